"""The root: made once, plugged in, shared, renewed, replaced step by step."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from weft_core.errors import CertificateFault
from weft_injector.ca.authority import Authority
from weft_injector.ca.keys import certificates_pem, private_key_pem
from weft_injector.ca.profile import Validity, root_certificate
from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.names import Release
from weft_injector.delivery.rollout import Phase, Timing, finished, in_force, renewal_due, replacement
from weft_injector.delivery.root import load_or_create_root
from weft_injector.delivery.root_keeper import RootKeeper, RootOptions
from weft_injector.delivery.root_secret import Previous, fingerprint, parse_root, root_secret
from weft_injector.renewer import Clock
from weft_kube.client import Api
from weft_kube.errors import Unavailable
from weft_kube.resource import CLUSTER_ROLES, SECRETS

RNS = "weft-system"
Turn = Callable[[timedelta], Awaitable[None]]
Background = Callable[[Awaitable[object]], "asyncio.Future[object]"]
Eventually = Callable[[Callable[[], object]], Awaitable[None]]
Before = Callable[[Callable[[str, str], Awaitable[None]]], None]
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def other(now: datetime) -> Authority:
    """Another root than `authority`."""
    return Authority.self_made(trust_domain="cluster.local", now=now)


def load(api: Api, release: Release, now: datetime) -> Awaitable[Any]:
    return load_or_create_root(api, release, trust_domain="cluster.local", now=now)


async def put(api: Api, authority: Authority, release: Release, name: str) -> None:
    """Somebody creates or replaces a root's Secret."""
    body = root_secret(authority, release, name)
    if await api.find(SECRETS, name, RNS) is None:
        await api.create(SECRETS, body, RNS)
    else:
        await api.replace(SECRETS, name, body, RNS)


# making and reading


async def test_a_mesh_without_a_root_gets_one_that_lies_in_a_secret_of_the_release(
    api: Api, release: Release, now: datetime
) -> None:
    source = await load(api, release, now)
    secret = await api.get(SECRETS, "weft-ca", RNS)
    assert sorted(secret["data"]) == ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"]
    assert secret["metadata"]["ownerReferences"] == release.owner_references
    assert base64.b64decode(secret["data"]["root-cert.pem"]) == source.authority.bundle.pem
    assert source.self_made


async def test_replicas_that_start_at_once_agree_on_one_root(api: Api, release: Release, now: datetime) -> None:
    sources = await asyncio.gather(*(load(api, release, now) for _ in range(5)))
    assert len({source.authority.bundle.pem for source in sources}) == 1


async def test_a_plugged_in_root_wins(api: Api, release: Release, now: datetime, authority: Authority) -> None:
    await load(api, release, now)
    await put(api, authority, release, "cacerts")
    source = await load(api, release, now)
    assert source.authority.bundle == authority.bundle
    assert not source.self_made


async def test_a_secret_of_cert_manager_is_read_as_well(authority: Authority, now: datetime) -> None:
    data = {
        "tls.crt": certificates_pem((authority.certificate,)),
        "tls.key": private_key_pem(authority.key),
        "ca.crt": authority.bundle.pem,
    }
    encoded = {name: base64.b64encode(content).decode() for name, content in data.items()}
    secret = {"metadata": {"namespace": RNS, "name": "cacerts"}, "type": "kubernetes.io/tls", "data": encoded}
    assert parse_root(secret, trust_domain="cluster.local", now=now).bundle == authority.bundle


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("ca-key.pem", None, "Secret weft-system/cacerts: the key ca-key.pem is missing"),
        ("ca-cert.pem", "????", "ca-cert.pem is not base64"),
        ("root-cert.pem", base64.b64encode(b"-----").decode(), "root-cert.pem"),
        ("ca-cert.pem", "", "ca-cert.pem holds no certificate"),
    ],
)
async def test_a_broken_plugged_in_root_is_a_fault_and_no_root_is_made_instead(
    api: Api,
    release: Release,
    now: datetime,
    authority: Authority,
    key: str,
    value: str | None,
    message: str,
) -> None:
    body = root_secret(authority, release, "cacerts")
    if value is None:
        del body["data"][key]
    else:
        body["data"][key] = value
    await api.create(SECRETS, body, RNS)
    with pytest.raises(CertificateFault, match=message):
        await load(api, release, now)
    assert await api.find(SECRETS, "weft-ca", RNS) is None


async def test_a_root_that_went_with_a_replaced_cluster_role_comes_back_under_the_new_one(
    api: Api,
    root: RootKeeper,
    turn: Turn,
    background: Background,
    install: Callable[[str, str], None],
    requests: list[str],
) -> None:
    """Under the old one the garbage collector would delete it for ever, and a restart would make another root."""
    before = root.authority
    background(root.run())
    await asyncio.sleep(0.05)
    await api.delete(CLUSTER_ROLES, "weft-weft-system")
    await api.delete(SECRETS, "weft-ca", RNS)
    await asyncio.sleep(0.05)
    assert await api.find(SECRETS, "weft-ca", RNS) is None, "nothing is made while the release may be going away"
    install("weft-weft-system", "new")
    await turn(10 * timedelta(seconds=1))
    secret = await api.get(SECRETS, "weft-ca", RNS)
    assert [owner["uid"] for owner in secret["metadata"]["ownerReferences"]] == ["new"]
    assert base64.b64decode(secret["data"]["root-cert.pem"]) == before.bundle.pem
    assert root.authority is before
    assert sum(request.startswith("POST") and request.endswith("/secrets") for request in requests) == 2


async def test_a_root_that_outlived_its_cluster_role_is_owned_by_the_new_one(
    api: Api, root: RootKeeper, turn: Turn, background: Background, install: Callable[[str, str], None]
) -> None:
    background(root.run())
    await asyncio.sleep(0.05)
    install("weft-weft-system", "new")
    await turn(10 * timedelta(seconds=1))
    owners = (await api.get(SECRETS, "weft-ca", RNS))["metadata"]["ownerReferences"]
    assert "new" in [owner["uid"] for owner in owners]


async def test_a_second_revision_shares_the_root_and_owns_it_too(api: Api, release: Release, now: datetime) -> None:
    first = await load(api, release, now)
    canary = Release(name="weft-canary", namespace=RNS, uid="2")
    second = await load(api, canary, now)
    owners = (await api.get(SECRETS, "weft-ca", RNS))["metadata"]["ownerReferences"]
    assert second.authority.bundle == first.authority.bundle
    assert [owner["uid"] for owner in owners] == [release.uid, "2"]


# the steps of a replacement


def test_the_new_root_is_trusted_before_it_signs_and_the_old_one_until_its_leafs_are_gone(
    authority: Authority, other: Authority, now: datetime
) -> None:
    previous = replacement(authority, authority, other, now=now)
    assert previous is not None
    timing = Timing(spread=5 * MINUTE, leaf_lifetime=DAY)

    def at(passed: timedelta) -> tuple[Phase, bool, int]:
        found = in_force(other, previous, now=now + passed, timing=timing)
        return found.phase, found.authority.key is other.key, len(found.authority.bundle.roots)

    assert at(timedelta()) == (Phase.JOINING, False, 2)
    assert at(5 * MINUTE - timedelta(seconds=1)) == (Phase.JOINING, False, 2)
    assert at(5 * MINUTE) == (Phase.SIGNING, True, 2)
    assert at(DAY + 5 * MINUTE - timedelta(seconds=1)) == (Phase.SIGNING, True, 2)
    assert at(DAY + 5 * MINUTE) == (Phase.STEADY, True, 1)
    assert finished(previous, now=now + DAY + 5 * MINUTE, timing=timing)


def test_a_root_replaced_during_a_replacement_forgets_nobody(
    authority: Authority, other: Authority, now: datetime
) -> None:
    third = Authority.self_made(trust_domain="cluster.local", now=now)
    first = in_force(other, replacement(authority, authority, other, now=now), now=now, timing=Timing())
    second = in_force(third, replacement(first.authority, other, third, now=now), now=now, timing=Timing())
    assert second.authority.key is authority.key
    assert set(second.authority.bundle.roots) == {
        authority.certificate,
        other.certificate,
        third.certificate,
    }


def test_an_expired_root_does_not_sign_a_minute_longer(other: Authority, now: datetime) -> None:
    old = Authority.self_made(trust_domain="cluster.local", now=now, lifetime=MINUTE)
    previous = Previous(authority=old, joined_at=now, replaced_by=fingerprint(other.bundle))
    assert in_force(other, previous, now=now, timing=Timing()).until == old.expires_at
    assert in_force(other, previous, now=old.expires_at, timing=Timing()).phase is Phase.SIGNING


def test_a_root_that_changed_while_nobody_looked_signs_at_once_and_old_roots_stay(
    authority: Authority, other: Authority, now: datetime
) -> None:
    previous = Previous(authority=other, joined_at=now, replaced_by="somebody else")
    found = in_force(authority, previous, now=now, timing=Timing())
    assert found.phase is Phase.SIGNING
    assert found.authority.key is authority.key
    assert found.authority.bundle.roots == (authority.certificate, other.certificate)


def test_another_intermediate_below_the_same_root_is_used_at_once(authority: Authority, now: datetime) -> None:
    assert replacement(authority, authority, replace(authority, intermediates=()), now=now) is None


def test_a_root_is_due_in_the_last_tenth_of_its_life(authority: Authority, now: datetime) -> None:
    assert not renewal_due(authority, now=now + 3280 * DAY)
    assert renewal_due(authority, now=now + 3290 * DAY)


# the keeper


async def test_a_replaced_root_takes_effect_step_by_step_on_every_replica(
    api: Api,
    release: Release,
    clock: Clock,
    metrics: CertificateMetrics,
    other: Authority,
    turn: Turn,
    background: Background,
    eventually: Eventually,
) -> None:
    options = RootOptions(release=release, trust_domain="cluster.local")
    keepers = [
        RootKeeper(api, options, clock=clock, metrics=each)
        for each in (metrics, CertificateMetrics(CollectorRegistry()))
    ]
    for keeper in keepers:
        await keeper.load()
        background(keeper.run())
    background(keepers[0].lead())
    before = keepers[0].authority
    await asyncio.sleep(0.05)

    await put(api, other, release, "weft-ca")
    await eventually(lambda: all(k.in_force.phase is Phase.JOINING for k in keepers))
    assert {k.authority.certificate for k in keepers} == {before.certificate}
    assert len({k.authority.bundle.pem for k in keepers}) == 1

    restarted = RootKeeper(api, options, clock=clock, metrics=CertificateMetrics(CollectorRegistry()))
    await restarted.load()
    assert restarted.in_force.phase is Phase.JOINING

    await turn(6 * MINUTE)
    await eventually(lambda: all(k.in_force.phase is Phase.SIGNING for k in keepers))
    assert {k.authority.certificate for k in keepers} == {other.certificate}

    await turn(DAY + 2 * HOUR)
    await eventually(lambda: all(k.in_force.phase is Phase.STEADY for k in keepers))
    assert {k.authority.bundle.roots for k in keepers} == {(other.certificate,)}
    assert await api.find(SECRETS, "weft-ca-previous", RNS) is None


async def test_a_root_from_a_clock_that_is_ahead_is_used_as_soon_as_it_is_valid(
    api: Api, root: RootKeeper, release: Release, now: datetime, turn: Turn, background: Background
) -> None:
    background(root.run())
    await asyncio.sleep(0.05)
    ahead = Authority.self_made(trust_domain="cluster.local", now=now + 5 * MINUTE)
    with capture_logs() as logs:
        await put(api, ahead, release, "cacerts")
        await turn(2 * MINUTE)
    told = [log["reason"] for log in logs if log["event"] == "root_unusable"]
    assert len(told) == 1, "once, however often it is looked at"
    assert "wait until then, or correct the clock" in told[0]
    await turn(3 * MINUTE)
    assert ahead.certificate in root.authority.bundle.roots


async def test_an_unusable_secret_leaves_the_root_in_force_and_is_told(
    api: Api, root: RootKeeper, registry: CollectorRegistry, background: Background, eventually: Eventually
) -> None:
    background(root.run())
    await asyncio.sleep(0.05)
    before = root.authority
    with capture_logs() as logs:
        await api.patch(SECRETS, "weft-ca", {"data": {"ca-key.pem": "bm8="}}, RNS)
        await eventually(lambda: registry.get_sample_value("weft_root_faults") == 1)
    assert root.authority is before
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["root_unusable"]


async def test_a_deleted_self_made_root_is_put_back_as_it_was(
    api: Api, root: RootKeeper, background: Background, requests: list[str], eventually: Eventually
) -> None:
    """A new one would be believed by no running proxy."""
    background(root.run())
    await asyncio.sleep(0.05)
    before = (await api.get(SECRETS, "weft-ca", RNS))["data"]
    await api.delete(SECRETS, "weft-ca", RNS)
    await eventually(lambda: requests.count(f"POST /api/v1/namespaces/{RNS}/secrets") == 2)
    assert (await api.get(SECRETS, "weft-ca", RNS))["data"] == before
    assert root.in_force.phase is Phase.STEADY


async def test_the_leader_renews_a_self_made_root_long_before_it_expires(
    api: Api, root: RootKeeper, turn: Turn, background: Background, eventually: Eventually
) -> None:
    before = root.authority.certificate
    background(root.run())
    await turn(3300 * DAY)
    background(root.lead())
    await eventually(lambda: root.in_force.phase is Phase.JOINING)
    assert before in root.authority.bundle.roots
    assert root.authority.certificate == before


async def test_a_plugged_in_root_is_warned_about_and_left_alone(
    api: Api, release: Release, now: datetime, clock: Clock, metrics: CertificateMetrics, background: Background
) -> None:
    key = Authority.self_made(trust_domain="cluster.local", now=now).key
    validity = Validity.starting(now - 99 * DAY, 100 * DAY)
    certificate = root_certificate(key=key, trust_domain="cluster.local", validity=validity)
    made = Authority.self_made(trust_domain="cluster.local", now=now)
    old = replace(made, key=key, certificate=certificate, bundle=type(made.bundle).of([certificate]))
    await put(api, old, release, "cacerts")
    keeper = RootKeeper(api, RootOptions(release=release, trust_domain="cluster.local"), clock=clock, metrics=metrics)
    await keeper.load()
    with capture_logs() as logs:
        background(keeper.lead())
        await asyncio.sleep(0.02)
    assert [log["event"] for log in logs] == ["root_expires_soon"]
    assert logs[0]["secret"] == "weft-system/cacerts"


async def test_an_api_server_that_is_away_costs_nothing_but_time(
    api: Api,
    root: RootKeeper,
    other: Authority,
    release: Release,
    turn: Turn,
    background: Background,
    before: Before,
    eventually: Eventually,
) -> None:
    background(root.run())
    await asyncio.sleep(0.05)
    away = True

    async def refuse(method: str, _path: str) -> None:
        if away and method == "GET":
            raise Unavailable("no answer")

    await put(api, other, release, "weft-ca")
    before(refuse)
    await asyncio.sleep(0.05)
    away = False
    await turn(10 * MINUTE)
    await eventually(lambda: root.authority.certificate == other.certificate)


async def test_the_roots_expiry_is_a_metric_of_istios_name(root: RootKeeper, registry: CollectorRegistry) -> None:
    expiry = root.authority.expires_at.timestamp()
    assert registry.get_sample_value("citadel_server_root_cert_expiry_timestamp") == expiry
    left = registry.get_sample_value("citadel_server_root_cert_expiry_seconds")
    assert left == pytest.approx(3650 * 86_400, abs=2)
