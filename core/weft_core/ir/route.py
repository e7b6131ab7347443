"""HTTP routes: what a request must look like, and what becomes of it; and the little that TCP and TLS routes have.

Shares are whole numbers out of a million (Envoy's `FractionalPercent` over MILLION), times are timedeltas. Lists keep
the order in which Envoy tries or applies them. Nothing here knows where it came from but `origins` and `config`.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, StrEnum

from weft_core.ir.string_match import StringMatch
from weft_core.ir.traffic_policy import HashPolicy, TcpSettings
from weft_core.problems import ObjectRef

MILLION = 1_000_000
MAX_DIRECT_RESPONSE_BODY = 1 << 20
"""Bytes; Envoy's own limit is 4 KiB, Istio's 1 MiB."""
NO_TCP_SETTINGS = TcpSettings()


class PathKind(StrEnum):
    """How a request's path is compared; the query string is never part of it."""

    EXACT = "exact"
    PREFIX = "prefix"
    """Textual: `/foo` matches `/foobar` (Istio's prefix)."""
    SEGMENTS = "segments"
    """By whole segments: `/foo` matches `/foo` and `/foo/bar` (Gateway API's and Ingress's prefix)."""
    REGEX = "regex"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathMatch:
    """A condition on the path. The default takes every path."""

    kind: PathKind = PathKind.PREFIX
    value: str = "/"
    ignore_case: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderMatch:
    """A condition on one header, or on a pseudo-header (`:method`)."""

    name: str
    match: StringMatch
    invert: bool = False
    missing_is_empty: bool = False
    """An absent header is compared as an empty text, so that absence satisfies an inverted condition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryMatch:
    """A condition on one parameter of the query string."""

    name: str
    match: StringMatch


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimMatch:
    """A condition on a claim of the request's verified token: `path` leads to it through nested claims."""

    path: tuple[str, ...]
    match: StringMatch
    invert: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteMatch:
    """All conditions must hold."""

    path: PathMatch = PathMatch()
    headers: tuple[HeaderMatch, ...] = ()
    query_parameters: tuple[QueryMatch, ...] = ()
    claims: tuple[ClaimMatch, ...] = ()

    @property
    def catches_all(self) -> bool:
        """Whether every request satisfies it, so that whatever comes after it is never tried."""
        if self.headers or self.query_parameters or self.claims:
            return False
        path = self.path
        return (path.kind in (PathKind.PREFIX, PathKind.SEGMENTS) and path.value == "/") or (
            path.kind is PathKind.REGEX and path.value in (".*", "/.*")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderOperations:
    """Changes to the headers of a message, in this order: `set` overwrites, `add` appends, then `remove`."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """Header operations of both directions."""

    request: HeaderOperations = HeaderOperations()
    response: HeaderOperations = HeaderOperations()


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedCluster:
    """One destination. Its weight counts only beside others."""

    name: str
    weight: int = 1
    headers: Headers = Headers()
    host_rewrite: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When and how often a request is tried again; `attempts` do not count the first try."""

    attempts: int
    retry_on: str
    status_codes: tuple[int, ...] = ()
    per_try_timeout: timedelta | None = None
    backoff: timedelta | None = None
    """Base interval of the exponential back-off; None: Envoy's 25 ms."""
    avoid_previous_hosts: bool = True
    other_localities: bool = False
    """Retries go to priorities that were not tried yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """Changes to path and host before a request goes upstream. `pattern` goes before `prefix`; empty: unchanged."""

    prefix: str = ""
    pattern: str = ""
    substitution: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """Copies of a share of the requests go to another cluster; its answers are dropped."""

    cluster: str
    per_million: int = MILLION


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """The request goes to one of `clusters`, by weight.

    `timeout` is for the whole request, zero for none; where it is set, it also bounds what a gRPC client may ask for.
    """

    clusters: tuple[WeightedCluster, ...]
    timeout: timedelta = timedelta(0)
    retry: RetryPolicy | None = None
    rewrite: Rewrite = Rewrite()
    mirrors: tuple[Mirror, ...] = ()
    hash_policies: tuple[HashPolicy, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """The client is told to go elsewhere; empty parts stay the request's own."""

    path: str = ""
    prefix: str = ""
    """Replaces the matched prefix of the path; excludes `path`."""
    host: str = ""
    scheme: str = ""
    port: int = 0
    code: int = 301


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectResponse:
    """The proxy answers by itself."""

    status: int
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """A share of the requests is held back."""

    duration: timedelta
    per_million: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """A share of the requests is answered with an error: an HTTP status, or a gRPC status where that is not None."""

    http_status: int = 0
    grpc_status: int | None = None
    per_million: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Faults that the proxy injects into a route."""

    delay: Delay | None = None
    abort: Abort | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """Which pages of other origins may call this route from a browser."""

    allow_origins: tuple[StringMatch, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: timedelta | None = None
    allow_credentials: bool | None = None
    forward_unmatched_preflights: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One entry of a virtual host's list: the first whose match holds takes the request."""

    name: str = "default"
    match: RouteMatch = RouteMatch()
    action: Forward | Redirect | DirectResponse
    headers: Headers = Headers()
    fault: Fault | None = None
    cors: Cors | None = None
    operation: str = ""
    """Name of the trace span."""
    stat_prefix: str = ""
    config: str = ""
    """API path of the object that it came from, as `filter_metadata.istio.config`."""


class RequireTls(Enum):
    """Whether plaintext requests are sent to https instead (301)."""

    NONE = 0
    ALL = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualHost:
    """The routes of some hosts. `name` is the resource's name where it travels by itself over VHDS.

    No domain may be in two virtual hosts of one route configuration: Envoy would refuse them all.
    """

    name: str
    domains: tuple[str, ...]
    routes: tuple[Route, ...]
    require_tls: RequireTls = RequireTls.NONE
    origins: tuple[ObjectRef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteConfiguration:
    """What an HTTP connection manager asks for by name.

    `virtual_hosts` are those inside it; where `vhds` is set, more come as resources of their own, named
    `NAME/HOST:PORT`. Envoy waits 15 s for a configuration that has neither, so there is always a static catch-all.
    """

    name: str
    virtual_hosts: tuple[VirtualHost, ...]
    vhds: bool = False
    ignore_port_in_host_matching: bool = True
    max_direct_response_body_size_bytes: int = MAX_DIRECT_RESPONSE_BODY
    origins: tuple[ObjectRef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpRoute:
    """Where a connection goes: clusters by weight, for the named subnets and server names only.

    Empty `sni_hosts` and `destination_subnets` hold for all connections of the service.
    """

    clusters: tuple[tuple[str, int], ...]
    """(cluster, weight)."""
    stat_prefix: str
    sni_hosts: tuple[str, ...] = ()
    destination_subnets: tuple[str, ...] = ()
    settings: TcpSettings = NO_TCP_SETTINGS
    origins: tuple[ObjectRef, ...] = ()
