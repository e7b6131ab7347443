"""VirtualServices: which of them decide about a host, for whom, in which order.

Candidates are ranked: private to the client's namespace, exported to it by name, public; within a rank the oldest
first. Sidecars never merge two of them: the first that yields a route takes the host. Gateways concatenate them in this
order.
"""

from dataclasses import dataclass

from weft_core.graph import query
from weft_core.ir.service import ServiceRef
from weft_core.model.virtual_service import HTTPRoute, TCPRoute, TLSRoute
from weft_core.names import MESH_GATEWAY, matches_host, qualified_gateway, resolve_host, specificity
from weft_core.registry import WILDCARD, Key, Registry
from weft_core.view.canonical import canonical_http, canonical_l4, naming
from weft_core.view.delegates import delegate_key, delegated
from weft_core.view.mesh import mesh
from weft_core.view.sidecar_scope import egress_hosts


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What decides where a VirtualService counts, without its rules: an edit of those leaves it equal."""

    key: Key
    hosts: tuple[str, ...]
    """Fully resolved."""
    gateways: tuple[str, ...]
    """`mesh`, or `namespace/name`."""
    export_to: tuple[str, ...]
    age: tuple[str, str, str]

    def rank(self, namespace: str) -> int | None:
        """For clients in `namespace`: 0 private, 1 exported to it by name, 2 public; None where they don't see it."""
        if "*" in self.export_to:
            return 2
        if "." in self.export_to and self.key[0] == namespace:
            return 0
        return 1 if namespace in self.export_to else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientNeeds:
    """What the rules of a VirtualService ask about the client."""

    label_keys: frozenset[str] = frozenset()
    namespace: bool = False


@query
def attachment(db: Registry, key: Key) -> Attachment | None:
    """Where a VirtualService counts; None for a delegate, which counts nowhere by itself."""
    row = db.virtual_services.get(key)
    if row is None or not row.spec.hosts:
        return None
    namespace = row.meta.namespace
    return Attachment(
        key=key,
        hosts=tuple(dict.fromkeys(resolve_host(host, namespace, db.settings.domain) for host in row.spec.hosts)),
        gateways=tuple(qualified_gateway(name, namespace) for name in row.spec.gateways) or (MESH_GATEWAY,),
        export_to=tuple(row.spec.export_to) or mesh(db).default_virtual_service_export_to or ("*",),
        age=row.meta.age_key,
    )


@query
def http_rules(db: Registry, key: Key) -> tuple[HTTPRoute, ...]:
    """The HTTP rules of a VirtualService, with those of its delegates in place; all names in full."""
    row = db.virtual_services.get(key)
    if row is None:
        return ()
    names = naming(db, row.meta.namespace)
    rules = (canonical_http(rule, names) for rule in row.spec.http)
    return tuple(each for rule in rules for each in delegated(db, key, rule))


@query
def delegate_keys(db: Registry, key: Key) -> tuple[Key, ...]:
    """The VirtualServices to which rules of this one delegate, whether they exist or not."""
    row = db.virtual_services.get(key)
    rules = row.spec.http if row else ()
    return tuple(dict.fromkeys(delegate_key(key, rule.delegate) for rule in rules if rule.delegate))


@query
def used_delegates(db: Registry) -> frozenset[Key]:
    """All VirtualServices to which some rule delegates, whether they exist or not."""
    return frozenset(key for root in db.virtual_services.all_keys() for key in delegate_keys(db, root))


@query
def tcp_rules(db: Registry, key: Key) -> tuple[TCPRoute, ...]:
    """The TCP rules of a VirtualService, names in full."""
    row = db.virtual_services.get(key)
    return tuple(canonical_l4(rule, naming(db, key[0])) for rule in row.spec.tcp) if row else ()


@query
def tls_rules(db: Registry, key: Key) -> tuple[TLSRoute, ...]:
    """The TLS rules of a VirtualService, names in full."""
    row = db.virtual_services.get(key)
    return tuple(canonical_l4(rule, naming(db, key[0])) for rule in row.spec.tls) if row else ()


@query
def http_destination_hosts(db: Registry, key: Key) -> tuple[str, ...]:
    """The hosts that the HTTP rules of a VirtualService, delegates included, send requests or copies to; sorted."""
    rules = http_rules(db, key)
    found = {entry.destination.host for rule in rules for entry in rule.route}
    found |= {rule.mirror.host for rule in rules if rule.mirror}
    found |= {entry.destination.host for rule in rules for entry in rule.mirrors}
    return tuple(sorted(found))


@query
def destination_hosts(db: Registry, key: Key) -> tuple[str, ...]:
    """The hosts that a VirtualService, delegates included, sends anything to; sorted."""
    found = {entry.destination.host for rule in tls_rules(db, key) for entry in rule.route}
    found |= {entry.destination.host for rule in tcp_rules(db, key) for entry in rule.route}
    return tuple(sorted(found.union(http_destination_hosts(db, key))))


@query
def client_needs(db: Registry, key: Key) -> ClientNeeds:
    """What must be known of a client to say which of the HTTP rules hold for it.

    A match that names gateways ignores its sourceLabels and sourceNamespace.
    """
    matches = [m for rule in http_rules(db, key) for m in rule.match if not m.gateways]
    return ClientNeeds(
        label_keys=frozenset(name for match in matches for name in match.source_labels),
        namespace=any(match.source_namespace for match in matches),
    )


@query
def mesh_candidates(db: Registry, host: str) -> tuple[Attachment, ...]:
    """The VirtualServices for sidecars that name this host or a wildcard over it; no order."""
    keys = dict.fromkeys((*db.virtual_services.by("host", host), *wildcard_keys(db)))
    found = (attachment(db, key) for key in keys)
    return tuple(
        a for a in found if a and MESH_GATEWAY in a.gateways and any(matches_host(pattern, host) for pattern in a.hosts)
    )


@query
def wildcard_keys(db: Registry) -> tuple[Key, ...]:
    """The VirtualServices with a wildcard host."""
    return db.virtual_services.by("host", WILDCARD)


@query
def mesh_virtual_services(db: Registry, namespace: str, sidecar: Key | None, host: str) -> tuple[Key, ...]:
    """The VirtualServices that may decide about a host for clients of a namespace, in order of precedence.

    The most specific host owns it: an exact name shuts wildcards out, a longer wildcard a shorter one.
    """
    seen = [(rank, a) for a in mesh_candidates(db, host) if (rank := a.rank(namespace)) is not None]
    if sidecar is not None:
        seen = [(rank, a) for rank, a in seen if imported(db, sidecar, namespace, a)]
    if not seen:
        return ()
    by_pattern = {a.key: max((p for p in a.hosts if matches_host(p, host)), key=specificity) for _, a in seen}
    owner = max(by_pattern.values(), key=specificity)
    ranked = sorted((rank, a.age, a.key) for rank, a in seen if by_pattern[a.key] == owner)
    return tuple(key for _, _, key in ranked)


def imported(db: Registry, sidecar: Key, namespace: str, found: Attachment) -> bool:
    """Whether a Sidecar resource's egress hosts let in one of the hosts of a VirtualService."""
    listeners = egress_hosts(db, sidecar, namespace)
    if listeners is None:
        return True
    refs = [ServiceRef(found.key[0], host) for host in found.hosts]
    return any(listener.lets_in(ref) for listener in listeners for ref in refs)
