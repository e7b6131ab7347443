"""A stream between a channel and the fan-out: backpressure, time, and how it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from envoy.config.core.v3.base_pb2 import Node
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from prometheus_client import CollectorRegistry

from weft_core.errors import ProtocolFault
from weft_core.proxy import ProxyId
from weft_core.spiffe import SpiffeId
from weft_xds.metrics import XdsMetrics
from weft_xds.stream import Refused, Stream
from weft_xds.types import CDS, LDS, RDS

if TYPE_CHECKING:
    from tests.unit.xds.conftest import Section, World

    MakeSection = Callable[[str, str], Section]


class Wire:
    """A channel in memory; `room` tells whether the proxy takes what is written."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.responses: list[DeltaDiscoveryResponse] = []
        self.room = asyncio.Event()
        self.room.set()
        self.broken = False

    async def read(self) -> bytes | None:
        return await self.requests.get()

    async def write(self, data: bytes) -> None:
        if self.broken:
            raise ConnectionResetError
        self.responses.append(DeltaDiscoveryResponse.FromString(data))
        await self.room.wait()

    def ask(self, type_url: str, **fields: Any) -> None:
        node = Node(id="sidecar~10.0.0.1~web.shop~shop.svc.cluster.local")
        self.requests.put_nowait(DeltaDiscoveryRequest(node=node, type_url=type_url, **fields).SerializeToString())

    def ack(self) -> None:
        last = self.responses[-1]
        self.ask(last.type_url, response_nonce=last.nonce)

    async def response(self, number: int) -> DeltaDiscoveryResponse:
        async with asyncio.timeout(2):
            while len(self.responses) < number:
                await asyncio.sleep(0)
        return self.responses[number - 1]


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def running(world: "World", wire: Wire, registry: CollectorRegistry) -> Any:
    """Runs a stream of `web` while the body runs; gives the stream and its task."""
    proxy = world.proxy("web")
    metrics = XdsMetrics(registry, lambda: 1)

    def authorize(identity: SpiffeId | None, node_id: str, metadata: Mapping[str, Any]) -> ProxyId | str:
        del identity, metadata
        return proxy if "web.shop" in node_id else "who?"

    @asynccontextmanager
    async def run() -> AsyncIterator[tuple[Stream, asyncio.Task[None]]]:
        stream = Stream(wire, world.fanout, metrics, patience=0.05)
        task = asyncio.create_task(stream.run(None, authorize))
        yield stream, task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        world.commit()
        assert len(world.graph) == 0, "the stream has left the fan-out"

    return run


async def test_a_slow_proxy_gets_the_newest_state_when_it_is_ready_for_it(
    world: "World", section: "MakeSection", wire: Wire, running: Any
) -> None:
    clusters = section(CDS, "all")
    world.proxy("web", clusters)
    world.put(clusters, "a", "0")
    async with running():
        wire.room.clear()
        wire.ask(CDS)
        await wire.response(1)
        wire.ack()
        for version in range(1, 100):
            world.put(clusters, "a", str(version))
            world.commit()
            await asyncio.sleep(0)
        assert len(wire.responses) == 1
        wire.room.set()
        assert (await wire.response(2)).resources[0].version == "99"
        await asyncio.sleep(0.01)
        assert len(wire.responses) == 2


async def test_patience_runs_out_without_any_event(
    world: "World", section: "MakeSection", wire: Wire, running: Any
) -> None:
    clusters, routes = section(CDS, "all"), section(RDS, "all")
    world.proxy("web", clusters, routes)
    world.put(clusters, "slow", "1")
    world.put(routes, "r", "1")
    async with running():
        wire.ask(CDS)
        await wire.response(1)
        wire.ask(RDS, resource_names_subscribe=["r"])
        assert (await wire.response(2)).type_url == RDS


async def test_a_proxy_that_hangs_up_ends_the_stream(wire: Wire, running: Any) -> None:
    async with running() as (_, task):
        wire.ask(CDS)
        await wire.response(1)
        wire.requests.put_nowait(None)
        await asyncio.wait_for(task, 1)


async def test_a_proxy_that_says_nothing_is_nobody(wire: Wire, running: Any) -> None:
    async with running() as (_, task):
        wire.requests.put_nowait(None)
        await asyncio.wait_for(task, 1)


async def test_a_transport_that_breaks_ends_the_stream(wire: Wire, running: Any) -> None:
    async with running() as (_, task):
        wire.broken = True
        wire.ask(CDS)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(task, 1)


async def test_closing_ends_the_stream_in_good_order(wire: Wire, running: Any) -> None:
    async with running() as (stream, task):
        wire.ask(CDS)
        await wire.response(1)
        stream.close()
        await asyncio.wait_for(task, 1)


async def test_nonsense_in_the_middle_ends_the_stream_with_its_reason(wire: Wire, running: Any) -> None:
    async with running() as (_, task):
        wire.ask(CDS)
        await wire.response(1)
        wire.requests.put_nowait(b"\xff")
        with pytest.raises(ProtocolFault, match="not a DeltaDiscoveryRequest"):
            await asyncio.wait_for(task, 1)


async def test_who_is_refused_learns_why(wire: Wire, running: Any) -> None:
    async with running() as (_, task):
        wire.requests.put_nowait(DeltaDiscoveryRequest(node=Node(id="?"), type_url=CDS).SerializeToString())
        with pytest.raises(Refused, match="who"):
            await asyncio.wait_for(task, 1)


async def test_status_and_metrics_follow_the_proxy(
    world: "World", section: "MakeSection", wire: Wire, running: Any, registry: CollectorRegistry
) -> None:
    clusters, listeners = section(CDS, "all"), section(LDS, "all")
    world.proxy("web", clusters, listeners)
    world.put(clusters, "a", "1")

    def states(stream: Stream) -> dict[str, tuple[str, int, str]]:
        status = stream.status()
        assert status is not None
        return {t.type: (t.state.value, t.resources, t.error) for t in status.types if t.state != "NOT SENT"}

    async with running() as (stream, _):
        assert stream.status() is None
        wire.ask(CDS)
        await wire.response(1)
        assert states(stream) == {"cds": ("STALE", 1, "")}
        wire.ack()
        wire.ask(LDS)
        await wire.response(2)
        wire.ack()
        await asyncio.sleep(0.01)
        assert states(stream) == {"cds": ("SYNCED", 1, ""), "lds": ("SYNCED", 0, "")}

        world.put(clusters, "a", "2")
        world.commit()
        await wire.response(3)
        wire.ack()
        await asyncio.sleep(0.01)
        assert registry.get_sample_value("pilot_proxy_convergence_time_count") == 1

        world.put(clusters, "a", "3")
        world.commit()
        refused = await wire.response(4)
        wire.ask(CDS, response_nonce=refused.nonce, error_detail={"message": "no"})
        await asyncio.sleep(0.01)
        assert states(stream)["cds"] == ("SYNCED", 1, "no")
        assert registry.get_sample_value("pilot_total_xds_rejects", {"type": "cds"}) == 1
        assert registry.get_sample_value("pilot_xds_pushes", {"type": "cds"}) == 3
