"""Credentials in Secrets: made, renewed, restored, and deleted where no pod mounts them."""

import asyncio
import base64
from collections.abc import Callable
from datetime import timedelta

import pytest
from bringup import Cluster
from waiting import running, until

from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.names import Release
from weft_injector.delivery.root_keeper import RootKeeper
from weft_injector.delivery.secret_keeper import KeeperOptions, SecretKeeper
from weft_injector.delivery.secrets import SecretOptions, WorkloadSecrets
from weft_injector.renewer import SystemClock
from weft_kube.client import Api
from weft_kube.resource import SECRETS

RunPod = Callable[..., None]

pytestmark = pytest.mark.parametrize("release", [True], indirect=True, ids=["secrets"])


@pytest.fixture
def secrets(api: Api, release: Release, root: RootKeeper, metrics: CertificateMetrics) -> WorkloadSecrets:
    options = SecretOptions(release=release)
    return WorkloadSecrets(api, options, authority=lambda: root.authority, clock=SystemClock(), metrics=metrics)


async def test_a_workloads_secret_is_made_renewed_and_restored(
    api: Api,
    api_server: Cluster,
    root: RootKeeper,
    metrics: CertificateMetrics,
    shop: str,
    secrets: WorkloadSecrets,
    run_pod: RunPod,
) -> None:
    keeper = SecretKeeper(
        api, secrets, root, options=KeeperOptions(tick=timedelta(seconds=0.2)), clock=SystemClock(), metrics=metrics
    )
    name = await secrets.ensure(shop, "shopper", "web")
    first = await api.get(SECRETS, name, shop)
    assert b"PRIVATE KEY" in base64.b64decode(first["data"]["credentials.pem"])
    run_pod("web-0", {"secret": {"name": name}})

    async def credentials() -> str:
        found = await api.find(SECRETS, name, shop)
        return found["data"]["credentials.pem"] if found else ""

    async def anew(old: str) -> bool:
        return await credentials() not in {"", old}

    async with running(keeper.lead()):
        await asyncio.sleep(0.5)
        assert await credentials() == first["data"]["credentials.pem"]
        note = "weft.dev/issued-at=2020-01-01T00:00:00Z"
        api_server.kubectl("annotate", "secret", name, "-n", shop, "--overwrite", note)
        await until(lambda: anew(first["data"]["credentials.pem"]))
        second = await credentials()
        api_server.kubectl("delete", "secret", name, "-n", shop)
        await until(lambda: anew(second))


async def test_what_no_pod_mounts_is_deleted(
    api: Api, root: RootKeeper, metrics: CertificateMetrics, shop: str, secrets: WorkloadSecrets, run_pod: RunPod
) -> None:
    used, unused = await secrets.ensure(shop, "shopper", "used"), await secrets.ensure(shop, "shopper", "unused")
    run_pod("web-0", {"secret": {"name": used}})
    options = KeeperOptions(sweep=timedelta(seconds=0.3), unused=timedelta())
    keeper = SecretKeeper(api, secrets, root, options=options, clock=SystemClock(), metrics=metrics)

    async def gone() -> bool:
        return await api.find(SECRETS, unused, shop) is None

    async with running(keeper.lead()):
        await asyncio.sleep(1)  # the times in annotations are whole seconds
        await until(gone)
        assert await api.find(SECRETS, used, shop) is not None
