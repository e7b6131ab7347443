"""Progress over all replicas: who is asked, what is added up, and what silence means."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, web
from structlog.testing import capture_logs

from weft_core.problems import ObjectRef
from weft_core.progress import Progress
from weft_core.registry import Registry
from weft_operator.ingest.report import Observations, Observed
from weft_operator.status.peers import Peers, peer_addresses, tally
from weft_operator.status.replica import PATH, Answer, Local, Told, handler

REF = ObjectRef(kind="Gateway", namespace="shop", name="front")
OTHER = ObjectRef(kind="Gateway", namespace="shop", name="back")


def local(progress: Progress, *, generation: int = 3, refused: tuple[ObjectRef, ...] = (), ready: bool = True) -> Local:
    observations = Observations()
    observations.put(Observed(kind="Gateway", namespace="shop", name="front", uid="1", generation=generation))
    return Local(
        observations=observations,
        progress=lambda ref: progress if ref == REF else Progress(),
        refused=lambda: refused,
        ready=lambda: ready,
    )


@asynccontextmanager
async def replica(of: Local) -> AsyncIterator[str]:
    """A replica's HTTP server; gives its address."""
    app = web.Application()
    app.router.add_route("*", PATH, handler(of))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"{host}:{port}"
    finally:
        await runner.cleanup()


async def test_replicas_add_up() -> None:
    mine = local(Progress(acknowledged=1, total=2))
    other = local(Progress(acknowledged=3, total=4, rejected=(("a", "why"),)), refused=(OTHER,))
    async with replica(other) as address, Peers(mine, lambda: [address]) as peers:
        found = await peers.ask({REF: 3})
    assert found.progress == {REF: Progress(acknowledged=4, total=6, rejected=(("a", "why"),))}
    assert found.refused == {OTHER}


@pytest.mark.parametrize("other", [local(Progress(), ready=False), local(Progress(), generation=2)])
async def test_a_replica_that_is_behind_holds_the_count_up(other: Local) -> None:
    async with replica(other) as address, Peers(local(Progress(acknowledged=1, total=1)), lambda: [address]) as peers:
        found = (await peers.ask({REF: 3})).progress[REF]
    assert not found.complete
    assert address in found.silent[0]


async def test_a_replica_that_is_gone_is_silent() -> None:
    async with Peers(local(Progress()), lambda: ["127.0.0.1:1"]) as peers:
        found = (await peers.ask({REF: 3})).progress[REF]
    assert found.silent == ("replica 127.0.0.1:1 does not answer",)


async def test_alone_nobody_is_asked() -> None:
    async with Peers(local(Progress(acknowledged=1, total=1), refused=(REF,)), list) as peers:
        found = await peers.ask({REF: 3})
    assert found.progress[REF].complete
    assert found.refused == {REF}


async def test_people_may_ask_too() -> None:
    async with replica(local(Progress(acknowledged=1, total=2))) as address, ClientSession() as session:
        async with session.get(f"http://{address}{PATH}?object=Gateway/shop/front") as response:
            found = await response.json()
        for bad in ("?object=Gateway", "?object=a/b/c/d"):
            async with session.get(f"http://{address}{PATH}{bad}") as response:
                assert response.status == 400
        async with session.post(f"http://{address}{PATH}", data=b"{") as response:
            assert response.status == 400
        many = {"objects": [["Gateway", "shop", "front"]] * 501}
        async with session.post(f"http://{address}{PATH}", json=many) as response:
            assert response.status == 413
    (told,) = found["objects"]
    assert (told["generation"], told["acknowledged"], told["total"]) == (3, 1, 2)


async def test_silence_is_told_once_until_it_ends() -> None:
    there: list[str] = ["127.0.0.1:1"]
    async with Peers(local(Progress()), lambda: there) as peers:
        with capture_logs() as logs:
            for _ in range(3):
                await peers.ask({REF: 3})
            assert [entry["event"] for entry in logs] == ["peer_silent"]
            there.clear()
            await peers.ask({REF: 3})
            there.append("127.0.0.1:1")
            await peers.ask({REF: 3})
    assert [entry["event"] for entry in logs] == ["peer_silent"] * 2


def test_an_object_that_a_replica_leaves_out_is_not_counted_as_taken() -> None:
    found = tally({REF: Progress()}, {REF: 3}, {"a:1": Answer()})
    assert not found.progress[REF].complete


def test_a_replica_that_is_ahead_counts() -> None:
    answer = Answer(objects=(Told(object=("Gateway", "shop", "front"), generation=4, acknowledged=1, total=1),))
    assert tally({REF: Progress()}, {REF: 3}, {"a:1": answer}).progress[REF] == Progress(acknowledged=1, total=1)


SLICES = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: weft-1, namespace: weft-system, labels: {kubernetes.io/service-name: weft}}
addressType: IPv4
endpoints:
- {addresses: [10.0.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: weft-a}}
- {addresses: [10.0.0.2], conditions: {ready: true}, targetRef: {kind: Pod, name: weft-b}}
- {addresses: [10.0.0.3], conditions: {ready: false}, targetRef: {kind: Pod, name: weft-c}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: weft-2, namespace: weft-system, labels: {kubernetes.io/service-name: weft}}
addressType: IPv6
endpoints:
- {addresses: ["fd00::1"], targetRef: {kind: Pod, name: weft-a}}
- {addresses: ["fd00::2"], targetRef: {kind: Pod, name: weft-b}}
- {addresses: ["fd00::4"], targetRef: {kind: Pod, name: weft-d}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: other, namespace: weft-system, labels: {kubernetes.io/service-name: other}}
addressType: IPv4
endpoints:
- {addresses: [10.0.0.9]}
"""


def test_peers_are_the_other_ready_replicas(registry: Callable[..., Registry]) -> None:
    db = registry(SLICES)
    for own in ("10.0.0.1", "fd00::1"):
        found = peer_addresses(db, namespace="weft-system", service="weft", own=own, port=15014)
        assert found == ("10.0.0.2:15014", "[fd00::4]:15014")
