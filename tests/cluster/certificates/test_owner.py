"""What is made at run time goes with the release's ClusterRole, and comes back with another one."""

import asyncio

import pytest
from bringup import Cluster
from waiting import running, until

from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.names import Release
from weft_injector.delivery.root_keeper import RootKeeper
from weft_injector.delivery.secrets import SecretOptions, WorkloadSecrets
from weft_injector.delivery.trust_bundles import BundleOptions, TrustBundles
from weft_injector.renewer import SystemClock
from weft_kube.client import Api
from weft_kube.errors import ApiError
from weft_kube.resource import CONFIG_MAPS, SECRETS

pytestmark = pytest.mark.parametrize("release", [True], indirect=True, ids=["secrets"])


@pytest.fixture
def bundles(api: Api, release: Release, root: RootKeeper, metrics: CertificateMetrics, shop: str) -> TrustBundles:
    """The keeper of the bundle in `shop`."""
    options = BundleOptions(release=release)
    return TrustBundles(api, root, options, namespaces=lambda: {shop}, clock=SystemClock(), metrics=metrics)


async def test_all_of_it_comes_back_when_the_cluster_role_is_made_anew(
    api: Api, api_server: Cluster, release: Release, root: RootKeeper, bundles: TrustBundles, shop: str
) -> None:
    """`kubectl replace --force`: the garbage collector takes what the old one owned, and must not take it again."""
    before, old = root.authority.certificate, release.uid
    role = api_server.kubectl("get", "clusterrole", release.cluster_name, "--output=json")

    async def owners() -> list[str]:
        found = [
            await api.find(SECRETS, "weft-ca", release.namespace),
            await api.find(CONFIG_MAPS, "weft-trust-bundle", shop),
        ]
        return [owner["uid"] for each in found if each for owner in each["metadata"].get("ownerReferences") or ()]

    async def owned() -> bool:
        return await owners() == [old, old]

    async with running(root.run(), bundles.lead()):
        await until(owned)
        await asyncio.to_thread(api_server.kubectl, "replace", "--force", "--filename=-", input=role)
        new = api_server.get("clusterrole", release.cluster_name)["metadata"]["uid"]
        async with asyncio.timeout(40):
            while await owners() != [new, new]:
                await asyncio.sleep(0.2)
        await asyncio.sleep(2)
        assert await owners() == [new, new]
    assert root.authority.certificate == before


async def test_all_of_it_goes_with_the_cluster_role(
    api: Api,
    api_server: Cluster,
    release: Release,
    root: RootKeeper,
    bundles: TrustBundles,
    metrics: CertificateMetrics,
    shop: str,
) -> None:
    """`helm uninstall` deletes the ClusterRole; the garbage collector does the rest, in every namespace."""
    options = SecretOptions(release=release)
    secrets = WorkloadSecrets(api, options, authority=lambda: root.authority, clock=SystemClock(), metrics=metrics)
    await bundles.ensure(shop)
    name = await secrets.ensure(shop, "shopper", "web")
    api_server.kubectl("delete", "clusterrole", release.cluster_name)
    for kind, object_, namespace in (
        ("secret", name, shop),
        ("configmap", "weft-trust-bundle", shop),
        ("secret", "weft-ca", release.namespace),
    ):
        api_server.kubectl("wait", "--for=delete", f"{kind}/{object_}", "-n", namespace, "--timeout=60s")
    with pytest.raises(ApiError):
        await api.get(SECRETS, name, shop)
