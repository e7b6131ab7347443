"""Who the release is, and the root that its replicas share."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from bringup import Cluster
from waiting import running, until

from weft_injector.ca.authority import Authority
from weft_injector.delivery.names import Release
from weft_injector.delivery.release import find_release
from weft_injector.delivery.rollout import Phase
from weft_injector.delivery.root import load_or_create_root
from weft_injector.delivery.root_keeper import RootKeeper
from weft_injector.delivery.root_secret import root_secret
from weft_kube.client import Api
from weft_kube.errors import Forbidden
from weft_kube.resource import SECRETS


async def test_the_release_finds_itself(api: Api, release: Release) -> None:
    assert await find_release(api, "weft", release.namespace) == release


async def test_replicas_that_start_at_once_share_one_root(api: Api, release: Release) -> None:
    now = datetime.now(UTC)
    made = [load_or_create_root(api, release, trust_domain="cluster.local", now=now) for _ in range(4)]
    assert len({source.authority.bundle.pem for source in await asyncio.gather(*made)}) == 1


async def test_another_root_takes_effect_without_a_restart(
    api: Api, api_server: Cluster, release: Release, root: RootKeeper
) -> None:
    before = root.authority.certificate
    other = Authority.self_made(trust_domain="cluster.local", now=datetime.now(UTC))

    def in_phase(phase: Phase) -> Callable[[], Awaitable[bool]]:
        async def reached() -> bool:
            return root.in_force.phase is phase

        return reached

    async with running(root.run()):
        await asyncio.sleep(0.3)
        api_server.apply(root_secret(other, release, "cacerts"), namespace=release.namespace)
        await until(in_phase(Phase.JOINING))
        assert root.authority.certificate == before
        await until(in_phase(Phase.SIGNING))
        assert root.authority.certificate == other.certificate
        assert set(root.authority.bundle.roots) == {before, other.certificate}


@pytest.mark.parametrize("release", [False], indirect=True, ids=["pod-certificates"])
async def test_workloads_secrets_are_closed_to_a_control_plane_that_needs_none(
    api: Api, release: Release, root: RootKeeper
) -> None:
    assert (await api.get(SECRETS, "weft-ca", release.namespace))["data"]["root-cert.pem"]
    assert root.in_force.phase is Phase.STEADY
    with pytest.raises(Forbidden):
        await api.get(SECRETS, "anything", "default")
