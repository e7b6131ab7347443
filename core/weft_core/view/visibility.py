"""Visibility: which services a client may see, by exportTo and by its Sidecar resource's egress hosts.

This is the mesh's main lever of scale: what a client can't see is neither built for it nor sent to it.
"""

from dataclasses import dataclass

from weft_core.graph import query
from weft_core.ir.service import Labels, ServiceRef
from weft_core.names import MESH_GATEWAY, matches_host, resolve_host
from weft_core.registry import Key, Registry
from weft_core.view.mesh import mesh, root_namespace
from weft_core.view.selectors import selects
from weft_core.view.services import all_refs, refs_of_host, service


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


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressHosts:
    """One egress listener of a Sidecar resource: the port it is about (None: all) and the hosts it lets in."""

    port: int | None
    hosts: tuple[tuple[str, str], ...]
    """(namespace, host pattern); the namespace is `*`, a name, or `~name` to leave hosts out."""

    def lets_in(self, ref: ServiceRef) -> bool:
        """Whether this service is among the hosts, and not left out by a `~` entry."""
        matching = [ns for ns, host in self.hosts if matches_host(host, ref.host)]
        if f"~{ref.namespace}" in matching:
            return False
        return "*" in matching or ref.namespace in matching


@query
def sidecar_for(db: Registry, namespace: str, labels: Labels) -> Key | None:
    """The one Sidecar in force: oldest that selects the labels, else oldest without selector here, else in the root."""
    best: list[tuple[int, tuple[str, ...], Key]] = []
    for row in db.sidecars.rows("namespace", namespace):
        selector = row.spec.workload_selector
        key = (row.meta.namespace, row.meta.name)
        if selector is None:
            best.append((1, row.meta.age_key, key))
        elif selects(selector.labels, labels):
            best.append((0, row.meta.age_key, key))
    root = root_namespace(db)
    best += [
        (2, row.meta.age_key, (row.meta.namespace, row.meta.name))
        for row in db.sidecars.rows("namespace", root)
        if row.spec.workload_selector is None and namespace != root
    ]
    return min(best)[2] if best else None


@query
def egress_hosts(db: Registry, sidecar: Key, namespace: str) -> tuple[EgressHosts, ...] | None:
    """The egress listeners of a Sidecar, as used from `namespace`; None where it has none and so leaves all visible."""
    row = db.sidecars.get(sidecar)
    if row is None or not row.spec.egress:
        return None
    return tuple(
        EgressHosts(
            port=listener.port.number if listener.port else None,
            hosts=tuple(_egress_host(host, namespace) for host in listener.hosts),
        )
        for listener in row.spec.egress
    )


@query
def find_service(db: Registry, client: Client, host: str) -> ServiceRef | None:
    """Where a host leads for this client: its own namespace first, then Kubernetes before ServiceEntry, then oldest."""
    found = [ref for ref in refs_of_host(db, host) if visible_ports(db, client, ref) != ()]
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
    return found is not None and "*" in found.export_to and bool(found.ports) and len(refs_of_host(db, ref.host)) == 1


@query
def visible_ports(db: Registry, client: Client, ref: ServiceRef) -> tuple[int, ...]:
    """The ports of this service that the client sees; empty where it does not see the service at all."""
    found = service(db, ref)
    if found is None or not found.exported_to(client.namespace):
        return ()
    numbers = tuple(port.number for port in found.ports)
    listeners = egress_hosts(db, client.sidecar, client.namespace) if client.sidecar and not client.gateway else None
    if listeners is None:
        return numbers
    letting = [listener.port for listener in listeners if listener.lets_in(ref)]
    if None in letting or ref.host in routed_hosts(db, client):
        return numbers
    return tuple(number for number in numbers if number in letting)


@query
def routed_hosts(db: Registry, client: Client) -> frozenset[str]:
    """Hosts that VirtualServices within the client's egress hosts route to: imported with them, as in Istio."""
    listeners = egress_hosts(db, client.sidecar, client.namespace) if client.sidecar else None
    if not listeners:
        return frozenset()
    return frozenset(
        host
        for key in db.virtual_services.by("gateway", MESH_GATEWAY)
        if _imports(db, listeners, key)
        for host in destination_hosts(db, key)
    )


@query
def destination_hosts(db: Registry, key: Key) -> tuple[str, ...]:
    """All hosts that a VirtualService sends requests or copies of them to, fully resolved and sorted."""
    row = db.virtual_services.get(key)
    if row is None:
        return ()
    found = [d.destination for route in row.spec.http for d in route.route]
    found += [route.mirror for route in row.spec.http if route.mirror]
    found += [m.destination for route in row.spec.http for m in route.mirrors]
    found += [d.destination for tls in row.spec.tls for d in tls.route]
    found += [d.destination for tcp in row.spec.tcp for d in tcp.route]
    return tuple(sorted({resolve_host(d.host, row.meta.namespace, db.settings.domain) for d in found}))


def _imports(db: Registry, listeners: tuple[EgressHosts, ...], key: Key) -> bool:
    row = db.virtual_services.get(key)
    if row is None:
        return False
    hosts = (resolve_host(host, row.meta.namespace, db.settings.domain) for host in row.spec.hosts)
    refs = [ServiceRef(row.meta.namespace, host) for host in hosts]
    return any(listener.lets_in(ref) for listener in listeners for ref in refs)


def _preference(db: Registry, namespace: str, ref: ServiceRef) -> tuple[bool, bool, tuple[str, str, str]]:
    found = service(db, ref)
    if found is None:
        return (True, True, ("", "", ""))
    return (ref.namespace != namespace, not found.kubernetes, found.created)


def _egress_host(text: str, namespace: str) -> tuple[str, str]:
    owner, _, host = text.partition("/")
    if owner == ".":
        return namespace, host
    if owner == "~":
        return "~", host
    return owner, host


def exports_virtual_service(db: Registry, key: Key, namespace: str) -> int | None:
    """Rank of a VirtualService for clients in `namespace`: 0 private, 1 exported to it, 2 public; None hidden."""
    row = db.virtual_services.get(key)
    if row is None:
        return None
    export_to = tuple(row.spec.export_to) or mesh(db).default_virtual_service_export_to or ("*",)
    if "*" in export_to:
        return 2
    if "." in export_to and row.meta.namespace == namespace:
        return 0
    return 1 if namespace in export_to else None
