"""The trust bundle of each namespace of the mesh."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager

from bringup import Cluster
from waiting import running, until

from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.names import Release
from weft_injector.delivery.root_keeper import RootKeeper
from weft_injector.delivery.trust_bundles import BundleOptions, TrustBundles
from weft_injector.renewer import SystemClock
from weft_kube.client import Api
from weft_kube.errors import Unavailable
from weft_kube.resource import CONFIG_MAPS


async def test_a_labelled_namespace_has_its_bundle_at_once_and_keeps_it(
    api: Api, api_server: Cluster, release: Release, root: RootKeeper, metrics: CertificateMetrics, shop: str
) -> None:
    mesh: set[str] = set()
    options = BundleOptions(release=release)
    bundles = TrustBundles(api, root, options, namespaces=lambda: mesh, clock=SystemClock(), metrics=metrics)

    async def roots() -> str:
        found = await api.find(CONFIG_MAPS, "weft-trust-bundle", shop)
        return found["data"]["root.pem"] if found else ""

    async def mended() -> bool:
        return await roots() == root.authority.bundle.pem.decode()

    async def gone() -> bool:
        return not await roots()

    async with running(bundles.lead()):
        await asyncio.sleep(0.3)
        mesh.add(shop)
        bundles.look()
        assert (await until(roots)).encode() == root.authority.bundle.pem
        api_server.kubectl("patch", "configmap", "weft-trust-bundle", "-n", shop, "-p", '{"data":{"root.pem":"x"}}')
        await until(mended)
        api_server.kubectl("delete", "configmap", "weft-trust-bundle", "-n", shop)
        await until(roots)
        mesh.clear()
        bundles.look()
        await until(gone)


async def test_what_happens_during_an_outage_is_made_good_after_it(
    api: Api,
    release: Release,
    root: RootKeeper,
    metrics: CertificateMetrics,
    shop: str,
    outage: Callable[[], AbstractContextManager[None]],
) -> None:
    mesh: set[str] = set()
    bundles = TrustBundles(
        api, root, BundleOptions(release=release), namespaces=lambda: mesh, clock=SystemClock(), metrics=metrics
    )

    async def there() -> bool:
        try:
            return await api.find(CONFIG_MAPS, "weft-trust-bundle", shop) is not None
        except Unavailable:
            return False

    async with running(bundles.lead(), root.run()):
        await asyncio.sleep(0.3)
        with outage():
            mesh.add(shop)
            bundles.look()
            await asyncio.sleep(0.5)
        await until(there)
