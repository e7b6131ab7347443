"""Sidecar resources: which one is in force for a workload, and which hosts its egress listeners let in."""

from dataclasses import dataclass

from weft_core.graph import query
from weft_core.ir.service import Labels, ServiceRef
from weft_core.names import matches_host
from weft_core.registry import Key, Registry
from weft_core.view.mesh import root_namespace
from weft_core.view.selectors import selects


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressHosts:
    """One egress listener of a Sidecar resource: the port it is about (None: all) and the hosts it lets in."""

    port: int | None
    hosts: tuple[tuple[str, str], ...]
    """(namespace, host pattern); the namespace is `*` or a name, behind a `~` where hosts are left out."""

    def lets_in(self, ref: ServiceRef) -> bool:
        """Whether this service is among the hosts, and not left out by a `~` entry."""
        matching = [ns for ns, host in self.hosts if matches_host(host, ref.host)]
        if f"~{ref.namespace}" in matching or "~*" in matching:
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


def _egress_host(text: str, namespace: str) -> tuple[str, str]:
    owner, _, host = text.partition("/")
    mark = "~" if owner.startswith("~") else ""
    name = owner.removeprefix("~") or "*"
    return mark + (namespace if name == "." else name), host
