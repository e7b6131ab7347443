"""Credentials in Secrets: made before a pod is let in, renewed in time, deleted when nobody uses them."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from weft_core.errors import CertificateFault
from weft_injector.ca.authority import Authority
from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.names import Release, secret_name
from weft_injector.delivery.root_keeper import RootKeeper
from weft_injector.delivery.root_secret import root_secret
from weft_injector.delivery.secret_keeper import SecretKeeper
from weft_injector.delivery.secrets import SecretOptions, WorkloadSecrets
from weft_injector.delivery.times import instant, timestamp
from weft_injector.renewer import Clock
from weft_kube.client import Api
from weft_kube.errors import Forbidden, NotFound, Unavailable
from weft_kube.resource import CLUSTER_ROLES, PODS, SECRETS

Background = Callable[[Awaitable[object]], "asyncio.Future[object]"]
Turn = Callable[[timedelta], Awaitable[None]]
Before = Callable[[Callable[[str, str], Awaitable[None]]], None]
Make = Callable[..., WorkloadSecrets]
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NAME = secret_name("web", "shopper")
PATH = f"/api/v1/namespaces/shop/secrets/{NAME}"
CREATE = "POST /api/v1/namespaces/shop/secrets"


@pytest.fixture
def make(api: Api, root: RootKeeper, release: Release, clock: Clock, metrics: CertificateMetrics) -> Make:
    """Makes what each replica has."""

    def build(**changes: Any) -> WorkloadSecrets:
        options = SecretOptions(**{"release": release, **changes})
        return WorkloadSecrets(api, options, authority=lambda: root.authority, clock=clock, metrics=metrics)

    return build


@pytest.fixture
def keeper(api: Api, root: RootKeeper, make: Make, clock: Clock, metrics: CertificateMetrics) -> SecretKeeper:
    """The leader's."""
    return SecretKeeper(api, make(), root, clock=clock, metrics=metrics)


async def secret(api: Api) -> dict[str, Any]:
    return await api.get(SECRETS, NAME, "shop")


def expiry(found: dict[str, Any]) -> datetime:
    """When the certificate in a Secret expires; its key must be there and fit."""
    content = base64.b64decode(found["data"]["credentials.pem"])
    key = serialization.load_pem_private_key(content, None)
    leaf = x509.load_pem_x509_certificates(content)[0]
    assert leaf.public_key() == key.public_key()
    return leaf.not_valid_after_utc


async def mount(api: Api, name: str = NAME, phase: str = "Running") -> None:
    """A pod that mounts the Secret."""
    volume = {"name": "v", "projected": {"sources": [{"configMap": {}}, {"secret": {"name": name}}]}}
    body = {
        "metadata": {"name": "web-1"},
        "spec": {"volumes": [{"name": "tmp", "emptyDir": {}}, volume]},
        "status": {"phase": phase},
    }
    await api.create(PODS, body, "shop")


# ensure


async def test_the_first_pod_finds_a_secret_with_key_and_chain(
    api: Api, make: Make, release: Release, now: datetime
) -> None:
    assert await make().ensure("shop", "shopper", "web") == NAME
    found = await secret(api)
    assert found["type"] == "weft.dev/credentials"
    assert expiry(found) == (now + timedelta(days=1)).replace(microsecond=0) + timedelta(seconds=1)
    content = base64.b64decode(found["data"]["credentials.pem"])
    leaf = x509.load_pem_x509_certificates(content)[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["web.shop.workload"]
    assert content.startswith(b"-----BEGIN PRIVATE KEY-----")
    meta = found["metadata"]
    assert meta["ownerReferences"] == release.owner_references
    assert meta["annotations"]["weft.dev/identity"] == "spiffe://cluster.local/ns/shop/sa/shopper"
    assert instant(meta["annotations"]["weft.dev/expires-at"]) == expiry(found)


async def test_a_dry_run_touches_nothing(make: Make, requests: list[str]) -> None:
    before = len(requests)
    assert await make().ensure("shop", "shopper", "web", dry_run=True) == NAME
    assert len(requests) == before


async def test_pods_that_come_all_at_once_cost_one_write(make: Make, requests: list[str]) -> None:
    secrets = make()
    names = await asyncio.gather(*(secrets.ensure("shop", "shopper", "web") for _ in range(100)))
    await secrets.ensure("shop", "shopper", "web")
    assert set(names) == {NAME}
    assert len([request for request in requests if "shop" in request]) == 2


async def test_replicas_that_race_agree_on_one_certificate(api: Api, make: Make, requests: list[str]) -> None:
    await asyncio.gather(*(make().ensure("shop", "shopper", "web") for _ in range(4)))
    assert requests.count(f"PUT {PATH}") == 0
    expiry(await secret(api))


async def test_a_caller_that_gives_up_leaves_the_others_theirs(make: Make) -> None:
    secrets = make()
    one = asyncio.ensure_future(secrets.ensure("shop", "shopper", "web"))
    two = asyncio.ensure_future(secrets.ensure("shop", "shopper", "web"))
    await asyncio.sleep(0)
    one.cancel()
    assert await two == NAME


async def test_what_is_half_used_up_is_renewed_before_the_pod_starts(api: Api, make: Make, turn: Turn) -> None:
    await make().ensure("shop", "shopper", "web")
    first = await secret(api)
    await turn(13 * HOUR)
    await make().ensure("shop", "shopper", "web")
    second = await secret(api)
    assert expiry(second) - expiry(first) == 13 * HOUR
    assert second["metadata"]["uid"] == first["metadata"]["uid"]


async def test_what_is_fresh_is_only_marked_as_used_and_that_not_each_time(
    api: Api, make: Make, turn: Turn, requests: list[str]
) -> None:
    await make().ensure("shop", "shopper", "web")
    first = await secret(api)
    await turn(20 * MINUTE)
    await make().ensure("shop", "shopper", "web")
    assert await secret(api) == first
    await turn(20 * MINUTE)
    await make().ensure("shop", "shopper", "web")
    marked = await secret(api)
    assert marked["data"] == first["data"]
    assert marked["metadata"]["annotations"]["weft.dev/used-at"] != first["metadata"]["annotations"]["weft.dev/used-at"]
    assert requests.count(f"PATCH {PATH}") == 1


@pytest.mark.parametrize(
    "patch",
    [
        {"data": {"credentials.pem": None}},
        {"metadata": {"annotations": {"weft.dev/expires-at": "soon"}}},
        {"metadata": {"annotations": {"weft.dev/identity": "spiffe://old/ns/shop/sa/shopper"}}},
        {"metadata": {"annotations": {"weft.dev/issuer": "somebody else"}}},
    ],
)
async def test_what_is_broken_or_of_another_root_or_domain_is_made_anew(
    api: Api, make: Make, patch: dict[str, Any]
) -> None:
    await make().ensure("shop", "shopper", "web")
    good = await secret(api)
    await api.patch(SECRETS, NAME, patch, "shop")
    await make().ensure("shop", "shopper", "web")
    found = await secret(api)
    assert found["metadata"]["annotations"] == good["metadata"]["annotations"]
    expiry(found)


async def test_somebody_elses_secret_of_this_name_is_left_alone(api: Api, make: Make) -> None:
    await api.create(SECRETS, {"metadata": {"name": NAME}, "type": "Opaque", "data": {"a": "Yg=="}}, "shop")
    with pytest.raises(CertificateFault, match=f"Secret shop/{NAME} is of type Opaque"):
        await make().ensure("shop", "shopper", "web")
    assert (await secret(api))["data"] == {"a": "Yg=="}


async def test_another_revision_becomes_an_owner_as_well(api: Api, make: Make, release: Release) -> None:
    await make().ensure("shop", "shopper", "web")
    await make(release=Release(name="weft-canary", uid="2")).ensure("shop", "shopper", "web")
    owners = (await secret(api))["metadata"]["ownerReferences"]
    assert [owner["uid"] for owner in owners] == [release.uid, "2"]


async def test_what_fails_is_told_to_the_caller_and_tried_anew_by_the_next(make: Make, before: Before) -> None:
    away = True

    async def refuse(_method: str, _path: str) -> None:
        if away:
            raise Unavailable("no answer")

    before(refuse)
    secrets = make()
    with pytest.raises(Unavailable):
        await secrets.ensure("shop", "shopper", "web")
    away = False
    assert await secrets.ensure("shop", "shopper", "web") == NAME


# the keeper


async def test_the_leader_renews_near_half_of_the_life(
    api: Api, make: Make, keeper: SecretKeeper, background: Background, turn: Turn
) -> None:
    await make().ensure("shop", "shopper", "web")
    await mount(api)
    first = expiry(await secret(api))
    background(keeper.lead())
    await asyncio.sleep(0.05)
    await turn(10 * HOUR)
    assert expiry(await secret(api)) == first
    await turn(2 * HOUR)
    renewed = expiry(await secret(api)) - first
    assert timedelta(hours=10.8) <= renewed <= timedelta(hours=12, minutes=1)


async def test_another_root_renews_everything_at_once(
    api: Api,
    make: Make,
    keeper: SecretKeeper,
    root: RootKeeper,
    release: Release,
    now: datetime,
    background: Background,
    turn: Turn,
) -> None:
    await make().ensure("shop", "shopper", "web")
    await mount(api)
    first = await secret(api)
    for work in (root.run(), keeper.lead()):
        background(work)
    await asyncio.sleep(0.05)
    other = Authority.self_made(trust_domain="cluster.local", now=now)
    await api.create(SECRETS, root_secret(other, release, "cacerts"), "weft-system")
    await asyncio.sleep(0.05)
    assert (await secret(api))["data"] == first["data"], "the new root is to be trusted everywhere before it signs"
    await turn(6 * MINUTE)
    found = await secret(api)
    leaf = x509.load_pem_x509_certificates(base64.b64decode(found["data"]["credentials.pem"]))[0]
    leaf.verify_directly_issued_by(other.certificate)


async def test_what_no_pod_mounts_goes_after_a_while(
    api: Api, make: Make, keeper: SecretKeeper, background: Background, turn: Turn
) -> None:
    await make().ensure("shop", "shopper", "web")
    await mount(api, phase="Succeeded")
    background(keeper.lead())
    await asyncio.sleep(0.05)
    await turn(90 * MINUTE)
    await secret(api)
    await turn(2 * HOUR)
    with pytest.raises(NotFound):
        await secret(api)


async def test_what_a_pod_mounts_stays(
    api: Api, make: Make, keeper: SecretKeeper, background: Background, turn: Turn
) -> None:
    await make().ensure("shop", "shopper", "web")
    await mount(api)
    background(keeper.lead())
    await asyncio.sleep(0.05)
    await turn(8 * HOUR)
    await secret(api)


async def test_a_pod_let_in_at_the_last_moment_keeps_the_secret(
    api: Api, make: Make, keeper: SecretKeeper, background: Background, before: Before, turn: Turn, clock: Clock
) -> None:
    """The webhook marks the Secret between the leader's look at the pods and its DELETE."""
    await make().ensure("shop", "shopper", "web")
    marked = False

    async def admit(method: str, path: str) -> None:
        nonlocal marked
        if method == "DELETE" and path == PATH and not marked:
            marked = True
            annotations = {"weft.dev/used-at": timestamp(clock.now())}
            await api.patch(SECRETS, NAME, {"metadata": {"annotations": annotations}}, "shop")

    before(admit)
    background(keeper.lead())
    await asyncio.sleep(0.05)
    await turn(3.5 * HOUR)
    assert marked
    await secret(api)


async def test_a_secret_deleted_under_a_running_pod_is_made_again(
    api: Api, make: Make, keeper: SecretKeeper, background: Background
) -> None:
    await make().ensure("shop", "shopper", "web")
    await mount(api)
    background(keeper.lead())
    await asyncio.sleep(0.05)
    await api.delete(SECRETS, NAME, "shop")
    await asyncio.sleep(0.05)
    expiry(await secret(api))


async def test_what_is_new_is_owned_by_the_cluster_role_that_there_is(
    api: Api, make: Make, release: Release, install: Callable[[str, str], None]
) -> None:
    """One that was made anew a moment ago, too: the garbage collector takes what names the old one."""
    install(release.cluster_name, "new")
    await make().ensure("shop", "shopper", "web")
    assert [owner["uid"] for owner in (await secret(api))["metadata"]["ownerReferences"]] == ["new"]
    await api.delete(CLUSTER_ROLES, release.cluster_name)
    with pytest.raises(Unavailable, match="no ClusterRole now that could own anything"):
        await make().ensure("shop", "shopper", "other")


async def test_a_deleted_secret_that_cannot_be_made_now_is_made_later(
    api: Api, make: Make, keeper: SecretKeeper, background: Background, before: Before, turn: Turn
) -> None:
    """Rights go and come back with a ClusterRole that is replaced; the pods that mount the Secret stay."""
    await make().ensure("shop", "shopper", "web")
    await mount(api)
    background(keeper.lead())
    await asyncio.sleep(0.05)
    forbidden = True

    async def refuse(method: str, path: str) -> None:
        if forbidden and method == "POST":
            raise Forbidden(f"{method} {path}")

    before(refuse)
    await api.delete(SECRETS, NAME, "shop")
    await asyncio.sleep(0.05)
    assert await api.find(SECRETS, NAME, "shop") is None
    forbidden = False
    await turn(timedelta(minutes=1))
    expiry(await secret(api))


async def test_other_peoples_secrets_and_those_of_other_control_planes_are_not_touched(
    api: Api,
    make: Make,
    keeper: SecretKeeper,
    background: Background,
    turn: Turn,
    install: Callable[[str, str], None],
) -> None:
    install("other-other-system", "9")
    await make(release=Release(name="other", namespace="other-system", uid="9")).ensure("shop", "shopper", "web")
    before = await secret(api)
    background(keeper.lead())
    await asyncio.sleep(0.05)
    await turn(30 * HOUR)
    assert await secret(api) == before


@pytest.mark.parametrize("annotations", [{"weft.dev/service-account": "a/b"}, {"weft.dev/workload": "ü.example"}])
async def test_a_secret_that_says_nonsense_about_itself_stops_nothing(
    api: Api,
    make: Make,
    keeper: SecretKeeper,
    background: Background,
    turn: Turn,
    annotations: dict[str, str],
) -> None:
    """Everybody who may write Secrets in a namespace can forge one of ours."""
    await make().ensure("shop", "shopper", "web")
    await mount(api)
    first = expiry(await secret(api))
    forged = await secret(api)
    notes = {**forged["metadata"]["annotations"], "weft.dev/issued-at": "", **annotations}
    name = secret_name(notes["weft.dev/workload"], notes["weft.dev/service-account"])
    meta = {**forged["metadata"], "name": name, "annotations": notes}
    await api.create(SECRETS, {**forged, "metadata": meta}, "shop")
    background(keeper.lead())
    await asyncio.sleep(0.05)
    await turn(13 * HOUR)
    assert expiry(await secret(api)) > first
