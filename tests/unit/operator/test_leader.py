"""Work that runs on one replica at a time, against a Lease that is only memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from weft_kube.client import Api
from weft_kube.errors import AlreadyExists, Conflict, Unavailable
from weft_kube.login import Login
from weft_kube.resource import LEASES, Resource
from weft_operator.leader import Leader, Timing

FAST = Timing(lease=1.5, renew=1.0, retry=0.02)


class Server(Api):
    """One Lease."""

    def __init__(self) -> None:
        super().__init__(Login(server="http://127.0.0.1:1", tls=None, authorization=str))
        self.lease: dict[str, Any] | None = None
        self.away = False
        self.stored = 0

    async def find(self, resource: Resource, name: str, namespace: str = "") -> dict[str, Any] | None:
        assert (resource, name, namespace) == (LEASES, "weft", "weft-system")
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("away")
        return self.lease

    async def create(
        self, resource: Resource, body: Mapping[str, Any], namespace: str = "", *, dry_run: bool = False
    ) -> dict[str, Any]:
        del resource, namespace, dry_run
        if self.lease is not None:
            raise AlreadyExists("weft")
        return self._store(body)

    async def replace(
        self, resource: Resource, name: str, body: Mapping[str, Any], namespace: str = ""
    ) -> dict[str, Any]:
        del resource, namespace
        if self.away:
            raise Unavailable("away")
        if self.lease is None or body["metadata"]["resourceVersion"] != str(self.stored):
            raise Conflict(name)
        return self._store(body)

    def _store(self, body: Mapping[str, Any]) -> dict[str, Any]:
        self.stored += 1
        self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.stored)}}
        return self.lease


class Replica:
    """A candidate; `active` holds those whose work runs."""

    def __init__(self, server: Server, name: str, active: list[str]) -> None:
        self.name = name
        self.active = active
        self.begun = 0
        self.leader = Leader(server, name="weft", namespace="weft-system", identity=name, timing=FAST)

    async def work(self) -> None:
        self.begun += 1
        self.active.append(self.name)
        assert self.active == [self.name], "two lead at once"
        try:
            await asyncio.Event().wait()
        finally:
            self.active.remove(self.name)

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.leader.run(self.work))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_one_of_two_works_and_the_other_follows_at_once_when_it_ends() -> None:
    server, active = Server(), list[str]()
    one, two = Replica(server, "one", active), Replica(server, "two", active)
    async with one.standing():
        await until(lambda: active == ["one"])
        async with two.standing():
            await asyncio.sleep(FAST.lease)
            assert active == ["one"]
            assert one.leader.leading
            assert not two.leader.leading
            assert two.leader.holder == "one"
    assert server.lease is not None
    assert "holderIdentity" not in server.lease["spec"]
    async with two.standing():
        await until(lambda: active == ["two"])
        assert server.lease["spec"]["leaseTransitions"] == 1


async def test_work_stops_when_the_lease_cannot_be_renewed_and_begins_again() -> None:
    server, active = Server(), list[str]()
    one = Replica(server, "one", active)
    async with one.standing():
        await until(lambda: active)
        server.away = True
        await until(lambda: not active)
        assert not one.leader.leading
        server.away = False
        await until(lambda: active)
    assert one.begun == 2


async def test_work_stops_when_somebody_else_has_the_lease() -> None:
    server, active = Server(), list[str]()
    one = Replica(server, "one", active)
    async with one.standing():
        await until(lambda: active)
        assert server.lease is not None
        server._store({**server.lease, "spec": {"holderIdentity": "other", "leaseDurationSeconds": 15}})
        await until(lambda: not active)
        assert one.leader.holder == "other"
    assert server.lease["spec"]["holderIdentity"] == "other", "what is another's is not given back"


async def test_a_work_that_ends_leaves_the_others_alone() -> None:
    server, active = Server(), list[str]()
    one = Replica(server, "one", active)

    async def short() -> None:
        await asyncio.sleep(0)

    task = asyncio.create_task(one.leader.run(short, one.work))
    await until(lambda: active)
    await asyncio.sleep(5 * FAST.retry)
    assert active == ["one"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not active


async def test_a_work_that_cancels_itself_ends_neither_the_others_nor_the_candidacy() -> None:
    server, active = Server(), list[str]()
    one = Replica(server, "one", active)

    async def gives_up() -> None:
        raise asyncio.CancelledError

    task = asyncio.create_task(one.leader.run(gives_up, one.work))
    await until(lambda: active)
    await asyncio.sleep(5 * FAST.retry)
    assert active == ["one"]
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_work_that_fails_ends_the_candidacy_with_its_error() -> None:
    server = Server()

    async def fails() -> None:
        raise ValueError("a fault")

    leader = Leader(server, name="weft", namespace="weft-system", identity="one", timing=FAST)
    with pytest.raises(ValueError, match="a fault"):
        await leader.run(fails)
    assert server.lease is not None
    assert "holderIdentity" not in server.lease["spec"]


async def test_a_lease_made_here_names_its_owner() -> None:
    server = Server()
    owner = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "weft", "uid": "1"}
    leader = Leader(server, name="weft", namespace="weft-system", identity="one", owners=lambda: [owner], timing=FAST)
    task = asyncio.create_task(leader.run())
    await until(lambda: server.lease)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert server.lease is not None
    assert server.lease["metadata"]["ownerReferences"] == [owner]
