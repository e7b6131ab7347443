"""The HTTP connection manager: how requests are read, which filters they pass, where their routes come from.

Tracing will be one more field of `HttpConnectionManager`; until then no spans are made.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import TypeAlias

from weft_core.ir.access_log import FileAccessLog
from weft_core.ir.authn import JwtAuthn
from weft_core.ir.rbac import Rbac


class PathNormalization(Enum):
    """MeshConfig's `pathNormalization`: what is done to a path before any filter or route looks at it."""

    NONE = "NONE"
    BASE = "BASE"
    """RFC 3986: dot segments, percent-encoded unreserved characters; a backslash is a slash."""
    MERGE_SLASHES = "MERGE_SLASHES"
    DECODE_AND_MERGE_SLASHES = "DECODE_AND_MERGE_SLASHES"


class ForwardClientCert(Enum):
    """What becomes of `x-forwarded-client-cert`."""

    SANITIZE = "SANITIZE"
    FORWARD_ONLY = "FORWARD_ONLY"
    APPEND_FORWARD = "APPEND_FORWARD"
    SANITIZE_SET = "SANITIZE_SET"
    ALWAYS_FORWARD_ONLY = "ALWAYS_FORWARD_ONLY"


class ServerHeader(Enum):
    """What becomes of a response's `server` header."""

    OVERWRITE = "OVERWRITE"
    APPEND_IF_ABSENT = "APPEND_IF_ABSENT"
    PASS_THROUGH = "PASS_THROUGH"  # noqa: S105 - not a password


@dataclass(frozen=True, slots=True)
class GrpcStats:
    """Counts gRPC messages and statuses."""


@dataclass(frozen=True, slots=True)
class GrpcWeb:
    """Translates gRPC-Web to gRPC."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Injects faults; empty, the routes say which."""


@dataclass(frozen=True, slots=True)
class Cors:
    """Answers preflights; empty, the routes say for whom."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Answers `path` with 200, and with 503 once the proxy is told to fail its health checks."""

    path: str


@dataclass(frozen=True, slots=True)
class Router:
    """Sends the request on: always last."""


HttpFilter: TypeAlias = JwtAuthn | Rbac | GrpcWeb | GrpcStats | Fault | Cors | Readiness | Router


@dataclass(frozen=True, slots=True)
class RouteName:
    """Routes come over RDS on ADS, under this name."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundRoute:
    """The one route of an inbound port, inline: everything goes to the workload, with no time limit.

    Two retries, each only where the request was never begun (a kept-alive connection closed just then); not for gRPC.
    """

    cluster: str
    virtual_host: str
    operation: str
    """Name of the server's span: `reviews.default.svc.cluster.local:9080/*`."""
    retry: bool = True


@dataclass(frozen=True, slots=True)
class NoRoute:
    """Whatever no filter answers is 404."""


RouteSource: TypeAlias = RouteName | InboundRoute | NoRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConnectionManager:
    """One HTTP connection manager; the defaults are a sidecar's."""

    stat_prefix: str
    route: RouteSource
    filters: tuple[HttpFilter, ...]
    server_name: str = "istio-envoy"
    server_header: ServerHeader = ServerHeader.OVERWRITE
    forward_client_cert: ForwardClientCert = ForwardClientCert.SANITIZE
    describe_client_cert: bool = False
    """Put subject, URI and DNS names of the client's certificate into `x-forwarded-client-cert`."""
    path_normalization: PathNormalization = PathNormalization.BASE
    use_remote_address: bool = False
    """The peer's address is the client's, as at the mesh's edge; otherwise X-Forwarded-For is believed."""
    trusted_hops: int = 0
    """Proxies in front whose X-Forwarded-For entries are believed."""
    upgrades: tuple[str, ...] = ("websocket",)
    stream_idle_timeout: timedelta = timedelta(0)
    """0: none, so that long-polling works; routes have time limits of their own."""
    idle_timeout: timedelta | None = None
    max_connection_duration: timedelta | None = None
    max_requests_per_connection: int = 0
    max_concurrent_streams: int = 0
    """Of HTTP/2; 0 is Envoy's default."""
    accept_http_10: bool = False
    preserve_header_case: bool = False
    access_logs: tuple[FileAccessLog, ...] = ()
