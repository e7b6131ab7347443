"""Load assignments: the endpoints of a cluster, as one client locality sees them."""

from dataclasses import dataclass

from weft_core.ir.endpoint import Locality
from weft_core.ir.service import Labels, ServiceRef
from weft_core.problems import ObjectRef

UNKNOWN = Locality()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalityPolicy:
    """Preference for endpoints by where they are: one of `distribute` and failover, never both.

    `distribute` has the shares of the first entry that fits the client: (locality pattern, per cent). It is None where
    localities fail over in priorities instead: first by `failover_priority` labels, then, unless there are such and no
    `failover`, by region, zone and sub-zone.
    """

    distribute: tuple[tuple[str, int], ...] | None = None
    failover: tuple[tuple[str, str], ...] = ()
    """(from region, to region)."""
    failover_priority: tuple[str, ...] = ()
    """Label keys, or `key=value` for a value that stands in for the client's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadAssignmentId:
    """All that decides the content of a load assignment, but the endpoints themselves.

    `client_locality` and `client_labels` are empty unless `policy` depends on them, so that proxies share what they can.
    """

    name: str
    """The cluster's."""
    ref: ServiceRef
    port: int
    labels: Labels = ()
    """The subset's."""
    policy: LocalityPolicy | None = None
    client_locality: Locality | None = None
    client_labels: Labels = ()


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
