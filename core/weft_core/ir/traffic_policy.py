"""Traffic policy: how a client balances over a service's endpoints, and the limits it keeps to.

What a DestinationRule's trafficPolicy comes to for one port and subset, with Istio's defaults where those differ from
Envoy's. None means that Envoy's own default holds.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

UNLIMITED = 2**32 - 1
"""Istio lifts all of Envoy's default limits (1024 connections, 3 retries …): a limit is there when somebody set it."""


class Algorithm(Enum):
    """How an endpoint is chosen."""

    LEAST_REQUEST = "least-request"
    ROUND_ROBIN = "round-robin"
    RANDOM = "random"
    RING_HASH = "ring-hash"
    MAGLEV = "maglev"
    CLUSTER_PROVIDED = "cluster-provided"
    """The cluster itself knows: the original destination."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowStart:
    """New endpoints get their share of traffic by and by: from `minimum_percent` of it, over `window`."""

    window: timedelta
    aggression: float = 1.0
    minimum_percent: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancer:
    """The algorithm and its settings."""

    algorithm: Algorithm = Algorithm.LEAST_REQUEST
    minimum_ring_size: int | None = None
    """RING_HASH only."""
    table_size: int | None = None
    """MAGLEV only; a prime."""
    slow_start: SlowStart | None = None
    """LEAST_REQUEST and ROUND_ROBIN only."""


LEAST_REQUEST = LoadBalancer()
"""What holds where nobody chose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieHash:
    """A cookie to hash. With a `ttl` the proxy makes one where the request has none; 0 is a session cookie."""

    name: str
    path: str = ""
    ttl: timedelta | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    """(name, value), as `("SameSite", "Strict")`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HashPolicy:
    """What of a request is hashed to choose its endpoint: exactly one of the fields is set.

    It lies on the route, because only the route sees the request; the cluster has the ring.
    """

    header: str = ""
    cookie: CookieHash | None = None
    query_parameter: str = ""
    source_ip: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """Retries as a share of the requests that are under way, in place of a fixed number."""

    percent: float = 20.0
    minimum_concurrency: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreakers:
    """Limits of one client proxy towards a cluster; what is above them is refused with 503 and the flag UO."""

    max_connections: int = UNLIMITED
    max_pending_requests: int = UNLIMITED
    max_requests: int = UNLIMITED
    max_retries: int = UNLIMITED
    retry_budget: RetryBudget | None = None


UNLIMITED_CIRCUIT = CircuitBreakers()


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpKeepalive:
    """SO_KEEPALIVE on upstream connections; None leaves it to the operating system."""

    probes: int | None = None
    time: timedelta | None = None
    interval: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierDetection:
    """When an endpoint is ejected for a while. 0 turns a counter off, None leaves Envoy's default (5)."""

    consecutive_5xx: int | None = None
    consecutive_gateway_failure: int | None = None
    """502, 503, 504 and failures to connect; off in Envoy unless set."""
    consecutive_local_origin_failure: int | None = None
    split_external_local_origin_errors: bool = False
    interval: timedelta | None = None
    base_ejection_time: timedelta | None = None
    max_ejection_percent: int | None = None
    error_statuses: tuple[int, ...] = ()
    """HTTP statuses that count as errors, in place of all 5xx."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpSettings:
    """What a TCP proxy in front of a cluster takes from the traffic policy."""

    idle_timeout: timedelta | None = None
    max_connection_duration: timedelta | None = None
    use_source_ip: bool = False
    """Hash the client's address to choose the endpoint."""
