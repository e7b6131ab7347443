"""Leaders on a real API server: they take turns, stop in time, and leave a Lease that goes with the release."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import pytest
from bringup import Cluster

from weft_kube.client import Api
from weft_kube.login import login
from weft_kube.resource import CLUSTER_ROLES, LEASES
from weft_operator.leader import Leader, Timing

SECONDS = 20.0
"""For anything to happen; what is measured is far below."""
HURRIED = Timing(lease=3.0, renew=2.0, retry=0.3)

Outage = Callable[[], AbstractContextManager[None]]


@pytest.fixture
async def api(api_server: Cluster) -> AsyncIterator[Api]:
    """A client of the API server."""
    async with Api(await asyncio.to_thread(login, api_server.kubeconfig)) as found:
        yield found


class Candidate:
    """A replica that stands for election; `active` holds the names of those whose work runs."""

    def __init__(
        self, api: Api, namespace: str, name: str, active: set[str], owners: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self.name = name
        self._active = active
        self.leader = Leader(
            api, name="weft", namespace=namespace, identity=name, owners=lambda: owners, timing=HURRIED
        )

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.leader.run(self._work))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _work(self) -> None:
        assert not self._active, "two lead at once"
        self._active.add(self.name)
        try:
            await asyncio.Event().wait()
        finally:
            self._active.discard(self.name)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


async def holder(api: Api, namespace: str) -> str:
    """Who holds the Lease; empty for nobody."""
    lease = await api.get(LEASES, "weft", namespace)
    return str(lease["spec"].get("holderIdentity", ""))


async def test_a_leader_stays_one_and_gives_its_lease_back(api: Api, namespace: str) -> None:
    active: set[str] = set()
    one, two = (Candidate(api, namespace, name, active) for name in ("one", "two"))
    async with one.standing():
        await until(lambda: active)
        async with two.standing():
            await asyncio.sleep(HURRIED.lease + 1)
            assert active == {"one"}
            assert await holder(api, namespace) == two.leader.holder == "one"
    assert not active
    assert await holder(api, namespace) == ""


async def test_nobody_waits_for_a_lease_that_was_given_back(api: Api, namespace: str) -> None:
    active: set[str] = set()
    one, two = (Candidate(api, namespace, name, active) for name in ("one", "two"))
    leading = one.standing()
    await leading.__aenter__()
    await until(lambda: active)
    async with two.standing():
        await until(lambda: two.leader.holder == "one")
        await leading.__aexit__(None, None, None)
        began = time.monotonic()
        await until(lambda: active == {"two"})
        assert time.monotonic() - began < HURRIED.lease
        assert two.leader.leading


async def test_a_leader_without_an_api_server_stops_its_work_in_time(api: Api, namespace: str, outage: Outage) -> None:
    active: set[str] = set()
    async with Candidate(api, namespace, "one", active).standing():
        await until(lambda: active)
        stopping = outage()
        began = time.monotonic()
        await asyncio.to_thread(stopping.__enter__)
        await until(lambda: not active)
        assert time.monotonic() - began < HURRIED.lease
        await asyncio.to_thread(stopping.__exit__, None, None, None)
        await until(lambda: active)


async def test_a_fault_of_the_work_ends_the_candidacy_and_frees_the_lease(api: Api, namespace: str) -> None:
    async def fails() -> None:
        raise RuntimeError("broken")

    leader = Leader(api, name="weft", namespace=namespace, identity="one", timing=HURRIED)
    with pytest.raises(RuntimeError, match="broken"):
        await asyncio.wait_for(leader.run(fails), SECONDS)
    assert await holder(api, namespace) == ""


async def test_the_lease_goes_with_its_owner(api: Api, namespace: str) -> None:
    body = {"apiVersion": CLUSTER_ROLES.api_version, "kind": "ClusterRole", "metadata": {"name": namespace}}
    role = await api.create(CLUSTER_ROLES, body)
    owner = {"apiVersion": body["apiVersion"], "kind": "ClusterRole", "name": namespace, "uid": role["metadata"]["uid"]}
    active: set[str] = set()
    async with Candidate(api, namespace, "one", active, [owner]).standing():
        await until(lambda: active)
    await api.delete(CLUSTER_ROLES, namespace)
    async with asyncio.timeout(SECONDS):
        while await api.find(LEASES, "weft", namespace):
            await asyncio.sleep(0.2)
