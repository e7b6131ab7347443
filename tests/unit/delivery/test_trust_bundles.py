"""Trust bundles: there as soon as a namespace is of the mesh, right whoever touches them, gone when it leaves."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from weft_injector.ca.authority import Authority
from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.names import Release
from weft_injector.delivery.root_keeper import RootKeeper
from weft_injector.delivery.root_secret import root_secret
from weft_injector.delivery.trust_bundles import BundleOptions, TrustBundles
from weft_injector.renewer import Clock
from weft_kube.client import Api
from weft_kube.errors import Forbidden, NotFound
from weft_kube.resource import CLUSTER_ROLES, CONFIG_MAPS, SECRETS

Background = Callable[[Awaitable[object]], "asyncio.Future[object]"]
Turn = Callable[[timedelta], Awaitable[None]]
Before = Callable[[Callable[[str, str], Awaitable[None]]], None]
Make = Callable[..., TrustBundles]


@pytest.fixture
def mesh() -> set[str]:
    """The namespaces that need a bundle."""
    return {"shop", "bank"}


@pytest.fixture
def make(
    api: Api, root: RootKeeper, release: Release, clock: Clock, metrics: CertificateMetrics, mesh: set[str]
) -> Make:
    """Makes what each replica has."""

    def build(of: Release = release) -> TrustBundles:
        options = BundleOptions(release=of)
        return TrustBundles(api, root, options, namespaces=lambda: mesh, clock=clock, metrics=metrics)

    return build


async def bundle(api: Api, namespace: str = "shop") -> dict[str, Any]:
    await asyncio.sleep(0.05)
    return await api.get(CONFIG_MAPS, "weft-trust-bundle", namespace)


async def test_each_namespace_of_the_mesh_gets_the_roots_and_the_documents(
    api: Api, make: Make, root: RootKeeper, release: Release, background: Background
) -> None:
    background(make().lead())
    for namespace in ("shop", "bank"):
        found = await bundle(api, namespace)
        assert found["data"]["root.pem"].encode() == root.authority.bundle.pem
        assert json.loads(found["data"]["sds-default.json"])["resources"][0]["name"] == "default"
        assert json.loads(found["data"]["sds-rootca.json"])["resources"][0]["name"] == "ROOTCA"
        assert found["metadata"]["ownerReferences"] == release.owner_references


async def test_a_namespace_that_joins_has_its_bundle_at_once(
    api: Api, make: Make, mesh: set[str], background: Background
) -> None:
    bundles = make()
    background(bundles.lead())
    await bundle(api)
    mesh.add("new")
    bundles.look()
    await bundle(api, "new")


@pytest.mark.parametrize(
    "patch",
    [
        {"data": {"root.pem": "nobody"}},
        {"data": {"sds-default.json": None}},
        {"data": {"extra": "x"}},
        {"metadata": {"ownerReferences": []}},
    ],
)
async def test_what_others_change_is_put_right(
    api: Api, make: Make, background: Background, patch: dict[str, Any]
) -> None:
    background(make().lead())
    good = await bundle(api)
    await api.patch(CONFIG_MAPS, "weft-trust-bundle", patch, "shop")
    found = await bundle(api)
    assert found["data"] == good["data"]
    assert found["metadata"]["ownerReferences"] == good["metadata"]["ownerReferences"]


async def test_what_others_delete_is_put_back(api: Api, make: Make, background: Background) -> None:
    background(make().lead())
    await bundle(api)
    await api.delete(CONFIG_MAPS, "weft-trust-bundle", "shop")
    await bundle(api)


async def test_a_mesh_that_rests_costs_no_request(
    api: Api, make: Make, background: Background, requests: list[str], turn: Turn
) -> None:
    background(make().lead())
    await bundle(api)
    before = len(requests)
    await turn(timedelta(hours=1))
    assert len(requests) == before


async def test_a_namespace_that_left_loses_its_bundle_and_nobody_elses_goes(
    api: Api, make: Make, mesh: set[str], background: Background
) -> None:
    foreign = {"metadata": {"name": "weft-trust-bundle"}, "data": {"root.pem": "theirs"}}
    await api.create(CONFIG_MAPS, foreign, "elsewhere")
    bundles = make()
    background(bundles.lead())
    await bundle(api)
    mesh.discard("shop")
    bundles.look()
    with pytest.raises(NotFound):
        await bundle(api)
    assert (await bundle(api, "elsewhere"))["data"] == {"root.pem": "theirs"}


async def test_a_bundle_of_two_revisions_goes_with_the_last_of_them(
    api: Api, make: Make, mesh: set[str], background: Background
) -> None:
    first, second = make(), make(Release(name="weft-canary", uid="2"))
    await first.ensure("shop")
    await second.ensure("shop")
    assert len((await bundle(api))["metadata"]["ownerReferences"]) == 2
    mesh.clear()
    task = background(first.lead())
    assert [owner["uid"] for owner in (await bundle(api))["metadata"]["ownerReferences"]] == ["2"]
    task.cancel()
    background(second.lead())
    with pytest.raises(NotFound):
        await bundle(api)


async def test_both_roots_are_in_the_bundles_while_one_is_replaced(
    api: Api,
    make: Make,
    root: RootKeeper,
    release: Release,
    now: datetime,
    background: Background,
    turn: Turn,
) -> None:
    other = Authority.self_made(trust_domain="cluster.local", now=now)
    for work in (root.run(), make().lead()):
        background(work)
    await bundle(api)
    await api.create(SECRETS, root_secret(other, release, "cacerts"), "weft-system")
    assert (await bundle(api))["data"]["root.pem"].count("BEGIN") == 2
    await turn(timedelta(days=2))
    assert (await bundle(api))["data"]["root.pem"].encode() == other.bundle.pem


async def test_the_webhook_ensures_one_namespace_once(api: Api, make: Make, requests: list[str]) -> None:
    bundles = make()
    await bundles.ensure("shop", dry_run=True)
    with pytest.raises(NotFound):
        await bundle(api)
    await bundles.ensure("shop")
    await bundle(api)
    before = len(requests)
    await bundles.ensure("shop")
    assert len(requests) == before


async def test_nothing_is_made_while_the_release_has_no_cluster_role(
    api: Api,
    make: Make,
    release: Release,
    background: Background,
    turn: Turn,
    install: Callable[[str, str], None],
) -> None:
    """It may be going away; and when it has another one, that is the owner."""
    await api.delete(CLUSTER_ROLES, release.cluster_name)
    background(make().lead())
    await asyncio.sleep(0.05)
    assert await api.find(CONFIG_MAPS, "weft-trust-bundle", "shop") is None
    install(release.cluster_name, "new")
    await turn(timedelta(seconds=5))
    assert [owner["uid"] for owner in (await bundle(api))["metadata"]["ownerReferences"]] == ["new"]


async def test_a_namespace_that_takes_no_bundle_holds_up_no_other_and_is_asked_ever_less_often(
    api: Api, make: Make, background: Background, before: Before, turn: Turn, requests: list[str]
) -> None:
    """Its quota of ConfigMaps is used up, say: that may stay so for days."""

    async def refuse(method: str, path: str) -> None:
        if method == "POST" and "/bank/" in path:
            raise Forbidden("exceeded quota")

    before(refuse)
    background(make().lead())
    assert (await bundle(api, "shop"))["data"]
    await turn(timedelta(minutes=5))
    tries = sum(request.startswith("POST") and "/bank/" in request for request in requests)
    assert 5 <= tries <= 16, "at 0, 2, 6, 14 and 30 s, then each 30 s"


async def test_pods_that_come_all_at_once_cost_one_write(make: Make, requests: list[str]) -> None:
    bundles, before = make(), len(requests)
    await asyncio.gather(*(bundles.ensure("shop") for _ in range(100)))
    assert [request.split()[0] for request in requests[before:]] == ["GET", "GET", "POST"], "bundle, owner, bundle"


async def test_replicas_that_ensure_at_once_agree(api: Api, make: Make) -> None:
    await asyncio.gather(*(make().ensure("shop") for _ in range(4)))
    await bundle(api)


async def test_one_namespace_that_refuses_does_not_hold_up_the_others_and_is_tried_again(
    api: Api, make: Make, background: Background, before: Before, turn: Turn
) -> None:
    quota = True

    async def refuse(method: str, path: str) -> None:
        if quota and method == "POST" and "/bank/" in path:
            raise Forbidden("exceeded quota", status=403)

    before(refuse)
    background(make().lead())
    await bundle(api, "shop")
    quota = False
    await turn(timedelta(seconds=3))
    await bundle(api, "bank")


async def test_a_namespace_that_is_going_away_is_left_in_peace(
    api: Api, make: Make, background: Background, before: Before, turn: Turn, requests: list[str]
) -> None:
    async def refuse(method: str, path: str) -> None:
        if method == "POST" and "/bank/" in path:
            raise Forbidden("forbidden: unable to create new content because it is being terminated", status=403)

    before(refuse)
    background(make().lead())
    await bundle(api, "shop")
    await turn(timedelta(seconds=25))
    assert requests.count("POST /api/v1/namespaces/bank/configmaps") <= 2
