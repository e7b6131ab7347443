"""Clusters: a service's port, or a subset of it, as a client reaches it; and the proxy's own workload, inbound."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from weft_core import names
from weft_core.ir.load_assignment import LoadAssignment
from weft_core.ir.service import ServiceRef
from weft_core.ir.tls import Transport
from weft_core.ir.traffic_policy import (
    LEAST_REQUEST,
    UNLIMITED_CIRCUIT,
    CircuitBreakers,
    LoadBalancer,
    OutlierDetection,
    TcpKeepalive,
)
from weft_core.problems import ObjectRef


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ClusterId:
    """All that decides the content of an outbound cluster. Clients to whom the same rules apply share it."""

    ref: ServiceRef
    port: int
    subset: str = ""
    rules: tuple[tuple[str, str], ...] = ()
    """Keys of the DestinationRules that apply (of one tier, host and selector), merged in this order: oldest first."""
    gateway: bool = False
    local: bool = False

    @property
    def name(self) -> str:
        """`outbound|9080|v1|reviews.default.svc.cluster.local`."""
        return names.outbound_cluster(self.port, self.subset, self.ref.host)


class ClusterType(Enum):
    """Where a cluster's endpoints come from."""

    EDS = "eds"
    STATIC = "static"
    STRICT_DNS = "strict-dns"
    """Every address that the names resolve to."""
    LOGICAL_DNS = "logical-dns"
    """The first address that the name resolves to, at each new connection."""
    ORIGINAL_DST = "original-dst"
    """The address that the client dialled."""


class HttpProtocol(Enum):
    """Which version of HTTP is spoken to the endpoints."""

    HTTP1 = "http1"
    HTTP2 = "http2"
    DOWNSTREAM = "downstream"
    """The one that the client speaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamHttp:
    """HTTP towards the endpoints. None leaves Envoy's default."""

    protocol: HttpProtocol = HttpProtocol.HTTP1
    idle_timeout: timedelta | None = None
    max_connection_duration: timedelta | None = None
    max_requests_per_connection: int | None = None
    max_concurrent_streams: int | None = None
    """HTTP/2 only."""
    auto_sni: bool = False
    """TLS's server name is the request's host."""
    auto_san_validation: bool = False
    """The server's certificate must be for that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """How a DNS cluster resolves its names; times to live in the answers go before `refresh_rate`."""

    refresh_rate: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLabel:
    """The service that a cluster stands for, as metrics name it (`filter_metadata.istio.services`)."""

    host: str
    name: str
    namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One cluster. Every field but name and type may be left at its default."""

    name: str
    type: ClusterType
    load_assignment: LoadAssignment | None = None
    """Endpoints of STATIC and DNS clusters; those of EDS clusters are resources of their own."""
    connect_timeout: timedelta = timedelta(seconds=10)
    load_balancer: LoadBalancer = LEAST_REQUEST
    circuit_breakers: CircuitBreakers = UNLIMITED_CIRCUIT
    outlier_detection: OutlierDetection | None = None
    panic_threshold: float | None = None
    """Below this share of healthy endpoints (per cent) Envoy uses the unhealthy too; 0 is never, None is Envoy's 50."""
    weighs_localities: bool = False
    """Localities have weights, and get traffic by them."""
    http: UpstreamHttp = UpstreamHttp()
    tcp_keepalive: TcpKeepalive | None = None
    transport: Transport = None
    dns: Dns | None = None
    upstream_port_override: int | None = None
    """ORIGINAL_DST: this port in place of the one that was dialled."""
    upstream_bind: tuple[str, ...] = ()
    """Source addresses of upstream connections, of which Envoy takes the first of the endpoint's family: 127.0.0.6 and
    ::6 tell a sidecar's inbound traffic from its application's."""
    services: tuple[ServiceLabel, ...] = ()
    subset: str = ""
    external: bool = False
    """Outside the mesh, for metrics."""
    config: ObjectRef | None = None
    """The DestinationRule in force (`filter_metadata.istio.config`)."""
    origins: tuple[ObjectRef, ...] = ()
    """The user's objects that it was made from."""
