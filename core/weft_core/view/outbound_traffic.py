"""Traffic to destinations that the mesh does not know: let through, sent to a proxy of the user's, or refused.

The Sidecar resource in force decides where it says anything: a block without a mode means REGISTRY_ONLY. Otherwise the
mesh's own setting holds.
"""

from dataclasses import dataclass

from weft_core.graph import query
from weft_core.model.sidecar import OutboundMode
from weft_core.names import BLACK_HOLE_CLUSTER, PASSTHROUGH_CLUSTER, outbound_cluster, resolve_host
from weft_core.registry import Registry
from weft_core.view.aliases import real_host
from weft_core.view.destinations import destination_port
from weft_core.view.mesh import mesh
from weft_core.view.visibility import Client


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class OutboundTraffic:
    """The policy, and the cluster that carries it out."""

    allowed: bool
    cluster: str
    """`PassthroughCluster`, `BlackHoleCluster`, or that of the egress proxy."""


@query
def outbound_traffic(db: Registry, client: Client) -> OutboundTraffic:
    """What happens to a client's traffic to unknown destinations."""
    row = db.sidecars.get(client.sidecar) if client.sidecar else None
    policy = row.spec.outbound_traffic_policy if row else None
    if policy is None or client.sidecar is None:
        return _plain(mesh_allows_any(db))
    if policy.egress_proxy is not None:
        proxy = policy.egress_proxy
        host = real_host(db, resolve_host(proxy.host, client.sidecar[0], db.settings.domain))
        port = proxy.port.number if proxy.port else destination_port(db, client, host, 80)
        return OutboundTraffic(allowed=True, cluster=outbound_cluster(port, proxy.subset or "", host))
    return _plain(policy.mode is OutboundMode.ALLOW_ANY)


@query
def mesh_allows_any(db: Registry) -> bool:
    """The mesh's setting: unknown destinations are reachable unless it says REGISTRY_ONLY."""
    return mesh(db).outbound_traffic_policy.mode.value == OutboundMode.ALLOW_ANY.value


def _plain(allowed: bool) -> OutboundTraffic:
    return OutboundTraffic(allowed=allowed, cluster=PASSTHROUGH_CLUSTER if allowed else BLACK_HOLE_CLUSTER)
