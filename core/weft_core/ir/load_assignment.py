"""Load assignments: the endpoints of a cluster, as the clients of one place see them."""

from dataclasses import dataclass

from weft_core.ir.endpoint import Locality
from weft_core.ir.service import Labels, ServiceRef
from weft_core.problems import ObjectRef

UNKNOWN = Locality()


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearness:
    """Which endpoints a client prefers by where they are: localities are weighted, or used in order of priority."""

    shares: tuple[tuple[str, int], ...] | None = None
    """(locality pattern, per cent): these localities alone, by these weights. Empty: all, by their endpoints."""
    labels: tuple[tuple[str, str], ...] = ()
    """Labels as the client has them, most important first: the more of them agree in a row, the sooner used."""
    client: Locality | None = None
    """Where the client is: same sub-zone, zone, region, then elsewhere."""
    next_region: str = ""
    """The region that goes before all others once the client's own has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadAssignmentId:
    """All that decides the content of a load assignment, but the endpoints themselves.

    `nearness` is None unless the client's place matters, so that all clients share one assignment.
    """

    name: str
    """The cluster's."""
    ref: ServiceRef
    port: int
    labels: Labels = ()
    """The subset's."""
    nearness: Nearness | None = None


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Endpoint:
    """One endpoint as Envoy is told of it."""

    address: str
    """IP address, host name (DNS clusters) or `unix://` path."""
    port: int
    mutual_tls: bool = False
    workload: str = ""
    """Istio's `name;namespace;canonical name;canonical revision;cluster`, for telemetry; empty outside the mesh."""
    weight: int = 1
    further: tuple[str, ...] = ()
    """Other addresses of the same endpoint: Envoy tries them in turn until one connects (RFC 8305)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalityEndpoints:
    """The endpoints of one locality at one priority; 0 is used first."""

    locality: Locality = UNKNOWN
    priority: int = 0
    weight: int | None = None
    """Share of the traffic, where localities are weighted."""
    endpoints: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadAssignment:
    """The endpoints of the cluster `name`, grouped by locality."""

    name: str
    localities: tuple[LocalityEndpoints, ...] = ()
    origins: tuple[ObjectRef, ...] = ()
