"""A catalog of about the real one's sizes, for measuring the server without the translation.

Every service is a cluster, its endpoints and a virtual host; all sidecars share them. Each sidecar has a listener and
two clusters of its own. Messages are padded with metadata to the sizes that meshes have.
"""

from dataclasses import dataclass
from typing import Final

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import Metadata
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from google.protobuf.message import Message

from weft_core.graph import Graph, Table, query
from weft_core.proxy import ProxyId
from weft_xds.catalog import Catalog
from weft_xds.fanout import Fanout
from weft_xds.frames import Frame, make_frame
from weft_xds.types import CDS, EDS, LDS, RDS, VHDS

PORTS: Final = tuple(str(port) for port in (80, 443, 8080, 8081, 9080, 9090, 9100, 15014))
SHARED: Final = ""


@dataclass(frozen=True, slots=True)
class SectionKey:
    """All resources of a type that an owner has: a proxy's name, or nothing for what is shared."""

    type_url: str
    owner: str


@dataclass(frozen=True, slots=True)
class ResourceKey:
    """One resource; `subject` is the number of its service, or its owner's name."""

    type_url: str
    name: str
    subject: int | str
    last: bool = False


class ToyMesh:
    """`services` services of `endpoints` endpoints each, every one of them open to change."""

    def __init__(self, services: int, endpoints: int) -> None:
        self.graph = Graph()
        self._endpoints: Table[int, tuple[str, ...]] = Table(self.graph, "endpoints")
        self._routes: Table[int, int] = Table(self.graph, "routes")
        self._settings: Table[str, int] = Table(self.graph, "settings")
        self._settings.put("generation", 0)
        for number in range(services):
            self._endpoints.put(number, tuple(f"10.{number >> 8}.{number & 255}.{i}" for i in range(endpoints)))
            self._routes.put(number, 0)
        self.catalog = self._catalog(services)

    def change_endpoint(self, fanout: Fanout, number: int) -> None:
        """Move one endpoint of a service."""
        kept = (self._endpoints.peek(number) or ())[1:]
        self._endpoints.put(number, (*kept, f"10.200.{self.graph.revision >> 8 & 255}.{self.graph.revision & 255}"))
        fanout.schedule()

    def change_route(self, fanout: Fanout, number: int) -> None:
        """Change the routes of one host."""
        self._routes.put(number, (self._routes.peek(number) or 0) + 1)
        fanout.schedule()

    def change_everything(self, fanout: Fanout) -> None:
        """Change what every shared resource depends on."""
        self._settings.put("generation", (self._settings.peek("generation") or 0) + 1)
        fanout.schedule()

    def _catalog(self, services: int) -> Catalog[SectionKey, ResourceKey]:
        endpoints, routes, settings = self._endpoints, self._routes, self._settings

        @query
        def proxy_sections(_db: Graph, proxy: ProxyId) -> tuple[SectionKey, ...]:
            shared = tuple(SectionKey(type_url, SHARED) for type_url in (CDS, EDS, LDS, RDS, VHDS))
            return (*shared, SectionKey(CDS, proxy.name), SectionKey(LDS, proxy.name))

        @query
        def section(_db: Graph, key: SectionKey) -> tuple[ResourceKey, ...]:
            if key.owner:
                names = ("inbound|9080||", "inbound|9090||") if key.type_url == CDS else ("virtualInbound",)
                return tuple(ResourceKey(key.type_url, name, key.owner) for name in names)
            if key.type_url in {LDS, RDS}:
                return tuple(ResourceKey(key.type_url, port, port) for port in PORTS)
            return tuple(ResourceKey(key.type_url, _name(key.type_url, n), n) for n in range(services))

        @query
        def frame(_db: Graph, key: ResourceKey) -> Frame | None:
            generation = settings.get("generation") or 0
            if key.type_url == EDS and isinstance(key.subject, int):
                message = _load_assignment(key.name, endpoints.get(key.subject) or (), generation)
            elif key.type_url == VHDS and isinstance(key.subject, int):
                message = _virtual_host(key.name, routes.get(key.subject) or 0, generation)
            else:
                message = _STATIC[key.type_url](key.name, generation)
            return make_frame(key.name, key.type_url, message)

        return Catalog(proxy_sections=proxy_sections, section=section, frame=frame)


def _host(number: int) -> str:
    return f"service-{number}.shop.svc.cluster.local"


def _name(type_url: str, number: int) -> str:
    return f"80/{_host(number)}:80" if type_url == VHDS else f"outbound|80||{_host(number)}"


def _padding(metadata: Metadata, size: int, generation: int) -> None:
    fields = metadata.filter_metadata["istio"].fields
    fields["generation"].number_value = generation
    fields["padding"].string_value = "x" * size


def _cluster(name: str, generation: int) -> Message:
    message = Cluster(name=name, type=Cluster.EDS)
    message.eds_cluster_config.eds_config.ads.SetInParent()
    _padding(message.metadata, 1500, generation)
    return message


def _load_assignment(name: str, addresses: tuple[str, ...], generation: int) -> Message:
    message = ClusterLoadAssignment(cluster_name=name)
    locality = message.endpoints.add()
    for address in addresses:
        endpoint = locality.lb_endpoints.add()
        endpoint.endpoint.address.socket_address.address = address
        endpoint.endpoint.address.socket_address.port_value = 80
        _padding(endpoint.metadata, 100, generation)
    return message


def _virtual_host(name: str, version: int, generation: int) -> Message:
    host = name.partition("/")[2]
    message = VirtualHost(name=name, domains=[host, host.partition(".")[0]])
    route = message.routes.add(name=str(version))
    route.match.prefix = "/"
    route.route.cluster = f"outbound|80||{host.partition(':')[0]}"
    _padding(route.metadata, 1000, generation)
    return message


def _listener(name: str, generation: int) -> Message:
    message = Listener(name=name)
    if name in PORTS:
        manager = HttpConnectionManager(stat_prefix=name)
        manager.rds.route_config_name = name
        chain = message.filter_chains.add()
        chain.filters.add(name="envoy.filters.network.http_connection_manager").typed_config.Pack(manager)
    _padding(message.metadata, 3000, generation)
    return message


def _route_configuration(name: str, generation: int) -> Message:
    message = RouteConfiguration(name=name)
    message.vhds.config_source.ads.SetInParent()
    _padding(message.metadata, 500, generation)
    return message


_STATIC: Final = {CDS: _cluster, LDS: _listener, RDS: _route_configuration}
