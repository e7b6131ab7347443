"""Visibility: which services a client may see, by exportTo and by its Sidecar resource's egress hosts.

This is the mesh's main lever of scale: what a client can't see is neither built for it nor sent to it.
"""

from dataclasses import dataclass

from weft_core.graph import query
from weft_core.ir.service import Labels, Service, ServicePort, ServiceRef
from weft_core.names import MESH_GATEWAY
from weft_core.registry import Key, Registry
from weft_core.view.services import all_refs, refs_of_host, service
from weft_core.view.sidecar_scope import egress_hosts
from weft_core.view.virtual_services import attachment, destination_hosts, imported


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Client:
    """A client as the mesh tells clients apart: proxies with equal values are sent the same outbound configuration."""

    namespace: str
    labels: Labels = ()
    """Only those that some rule selects clients by."""
    sidecar: Key | None = None
    """The Sidecar resource that is in force for it."""
    gateway: bool = False
    local: bool = False
    """Shares one machine with its peers, traffic comes to it as to an HTTP proxy."""


@query
def find_service(db: Registry, client: Client, host: str) -> ServiceRef | None:
    """Where a host leads for this client: its own namespace first, then Kubernetes before ServiceEntry, then oldest."""
    found = [ref for ref in refs_of_host(db, host) if visible_ports(db, client, ref) is not None]
    return min(found, key=lambda ref: _preference(db, client.namespace, ref)) if found else None


@query
def visible_services(db: Registry, client: Client) -> tuple[ServiceRef, ...]:
    """All services that the client sees, one for each host, sorted by host."""
    chosen = client.sidecar is not None and not client.gateway
    public = () if chosen else public_services(db)
    hosts = tuple(dict.fromkeys(ref.host for ref in all_refs(db))) if chosen else disputed_hosts(db)
    found = [ref for host in hosts if (ref := find_service(db, client, host))]
    return tuple(sorted((*public, *found), key=lambda ref: ref.host)) if found else public


@query
def public_services(db: Registry) -> tuple[ServiceRef, ...]:
    """Services that every client without a Sidecar resource sees: shown to all, and the only ones of their host."""
    return tuple(ref for ref in all_refs(db) if _is_public(db, ref))


@query
def disputed_hosts(db: Registry) -> tuple[str, ...]:
    """The hosts of all other services, sorted: who asks decides what they lead to."""
    return tuple(dict.fromkeys(ref.host for ref in all_refs(db) if not _is_public(db, ref)))


@query
def _is_public(db: Registry, ref: ServiceRef) -> bool:
    found = service(db, ref)
    if found is None or "*" not in found.export_to or len(refs_of_host(db, ref.host)) != 1:
        return False
    return bool(found.ports or found.external_name)


@query
def visible_ports(db: Registry, client: Client, ref: ServiceRef) -> tuple[int, ...] | None:
    """The ports of this service that the client sees; None where it does not see the service at all.

    An ExternalName Service is seen or not: the ports that count are those of the service that it is another name of.
    """
    found = service(db, ref)
    if found is None or not found.exported_to(client.namespace):
        return None
    numbers = tuple(port.number for port in found.ports)
    listeners = egress_hosts(db, client.sidecar, client.namespace) if client.sidecar and not client.gateway else None
    if listeners is not None:
        letting = [listener.port for listener in listeners if listener.lets_in(ref)]
        if None not in letting and ref.host not in routed_hosts(db, client):
            if not letting:
                return None
            numbers = tuple(number for number in numbers if number in letting)
    return numbers if numbers or found.external_name else None


def seen_ports(db: Registry, client: Client, found: Service) -> tuple[ServicePort, ...]:
    """The ports of a service that the client sees, in the service's order."""
    visible = frozenset(visible_ports(db, client, found.ref) or ())
    return tuple(port for port in found.ports if port.number in visible)


@query
def routed_hosts(db: Registry, client: Client) -> frozenset[str]:
    """Hosts that VirtualServices within the client's egress hosts route to: imported with them, as in Istio."""
    if client.sidecar is None or not egress_hosts(db, client.sidecar, client.namespace):
        return frozenset()
    attached = (attachment(db, key) for key in db.virtual_services.by("gateway", MESH_GATEWAY))
    return frozenset(
        host
        for found in attached
        if found and imported(db, client.sidecar, client.namespace, found)
        for host in destination_hosts(db, found.key)
    )


def _preference(db: Registry, namespace: str, ref: ServiceRef) -> tuple[bool, bool, tuple[str, str, str]]:
    found = service(db, ref)
    if found is None:
        return (True, True, ("", "", ""))
    return (ref.namespace != namespace, not found.kubernetes, found.created)
