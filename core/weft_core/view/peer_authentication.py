"""PeerAuthentication: whether a workload's port takes mutual TLS, plain text, or both.

Three levels, most specific first: a policy that selects the workload, the namespace's own, the root namespace's.
Within a level the oldest is in force alone; UNSET asks the next level; where nobody says anything, PERMISSIVE. A policy
with a selector in the root namespace is in force nowhere.

A policy that cannot be read is STRICT on its level, whatever else that level says: nobody knows that it would take
plain text. Where its selector can't be made out it may be about any workload of its namespace, and goes before all.
"""

from enum import StrEnum

from weft_core.graph import query
from weft_core.ir.service import Labels
from weft_core.model.guard import PEER_AUTHENTICATION, Guard
from weft_core.model.meta import Config
from weft_core.model.peer_authentication import MutualTLS, MutualTLSMode, PeerAuthentication
from weft_core.registry import Key, Registry
from weft_core.view.guards import guards_of
from weft_core.view.mesh import root_namespace
from weft_core.view.selectors import project, selects


class MutualTlsMode(StrEnum):
    """What a port takes."""

    DISABLE = "DISABLE"
    """Plain text only; TLS is the application's own affair."""
    PERMISSIVE = "PERMISSIVE"
    """Mutual TLS from sidecars (told by their ALPN), everything else as it comes."""
    STRICT = "STRICT"
    """Mutual TLS only."""


@query
def mutual_tls_mode(db: Registry, namespace: str, labels: Labels, port: int) -> MutualTlsMode:
    """The mode of one workload port (the container's, never the Service's) of workloads with these labels."""
    own = project(labels, peer_authentication_label_keys(db, namespace))
    if workload_guards(db, namespace, own):
        return MutualTlsMode.STRICT
    return port_mode(db, workload_policy(db, namespace, own), namespace, port)


@query
def workload_policy(db: Registry, namespace: str, labels: Labels) -> Key | None:
    """The one policy with a selector that is in force for these labels: the oldest that selects them."""
    if namespace == root_namespace(db):
        return None
    found = [
        row
        for row in db.peer_authentications.rows("namespace", namespace)
        if (selector := selector_of(row)) and selects(selector, labels)
    ]
    return _key(min(found, key=lambda row: row.meta.age_key)) if found else None


@query
def namespace_policy(db: Registry, namespace: str) -> Key | None:
    """The one policy without a selector that is in force in a namespace: the oldest."""
    found = [row for row in db.peer_authentications.rows("namespace", namespace) if not selector_of(row)]
    return _key(min(found, key=lambda row: row.meta.age_key)) if found else None


@query
def namespace_mode(db: Registry, namespace: str) -> MutualTlsMode:
    """The mode of workloads in a namespace that no policy singles out."""
    for level in dict.fromkeys((namespace, root_namespace(db))):
        if namespace_guards(db, level):
            return MutualTlsMode.STRICT
        key = namespace_policy(db, level)
        row = db.peer_authentications.get(key) if key else None
        if row is not None and (mode := _mode(row.spec.mtls)):
            return mode
    return MutualTlsMode.PERMISSIVE


@query
def deciding_policies(db: Registry, namespace: str, labels: Labels) -> tuple[Key, ...]:
    """The policies that the modes of a workload's ports come from, most specific first."""
    singled_out = project(labels, peer_authentication_label_keys(db, namespace))
    if guards := workload_guards(db, namespace, singled_out):
        return tuple(_guard_key(guard) for guard in guards)
    own = workload_policy(db, namespace, singled_out)
    found = [own] if own else []
    for level in dict.fromkeys((namespace, root_namespace(db))):
        if guards := namespace_guards(db, level):
            return (*found, *(_guard_key(guard) for guard in guards))
        key = namespace_policy(db, level)
        row = db.peer_authentications.get(key) if key else None
        if key is None or row is None:
            continue
        found.append(key)
        if _mode(row.spec.mtls):
            break
    return tuple(found)


@query
def port_mode(db: Registry, policy: Key | None, namespace: str, port: int) -> MutualTlsMode:
    """The mode of a port under the workload's policy: its own entry, else the policy's mode, else the namespace's."""
    row = db.peer_authentications.get(policy) if policy else None
    if row is not None:
        mode = _mode(row.spec.port_level_mtls.get(port)) or _mode(row.spec.mtls)
        if mode:
            return mode
    return namespace_mode(db, namespace)


@query
def port_level_ports(db: Registry, policy: Key | None) -> tuple[int, ...]:
    """The container ports that a workload's policy names, sorted: they need filter chains of their own."""
    row = db.peer_authentications.get(policy) if policy else None
    return tuple(sorted(row.spec.port_level_mtls)) if row else ()


@query
def service_disables_mutual_tls(db: Registry, namespace: str) -> bool:
    """Whether a namespace, or the whole mesh, turns mutual TLS off: automatic mutual TLS then never begins it."""
    return namespace_mode(db, namespace) is MutualTlsMode.DISABLE


@query
def peer_authentication_label_keys(db: Registry, namespace: str) -> frozenset[str]:
    """The label keys by which this namespace's policies single out workloads."""
    rows = db.peer_authentications.rows("namespace", namespace)
    guarded = guards_of(db, PEER_AUTHENTICATION, namespace)
    selectors = [*(selector_of(row) for row in rows), *(_labels_of(guard) for guard in guarded)]
    return frozenset(key for selector in selectors for key in selector)


def workload_guards(db: Registry, namespace: str, labels: Labels) -> tuple[Guard, ...]:
    """The unreadable policies that single out workloads with these labels, or may do so."""
    if namespace == root_namespace(db):
        return ()
    found = guards_of(db, PEER_AUTHENTICATION, namespace)
    return tuple(g for g in found if g.selector is not None and selects(g.selector.match_labels, labels))


def namespace_guards(db: Registry, namespace: str) -> tuple[Guard, ...]:
    """The unreadable policies that are about a whole namespace: in the root namespace, those that may be."""
    found = guards_of(db, PEER_AUTHENTICATION, namespace)
    root = namespace == root_namespace(db)
    return tuple(g for g in found if g.selector is None or (root and not g.selector.match_labels))


def selector_of(row: Config[PeerAuthentication]) -> dict[str, str]:
    """The labels that a policy selects by; empty where it is meant for the whole namespace."""
    return dict(row.spec.selector.match_labels) if row.spec.selector else {}


def _mode(tls: MutualTLS | None) -> MutualTlsMode | None:
    """The mode that is set; None for UNSET, which asks the next level."""
    if tls is None or tls.mode is MutualTLSMode.UNSET:
        return None
    return MutualTlsMode(tls.mode.value)


def _key(row: Config[PeerAuthentication]) -> Key:
    return (row.meta.namespace, row.meta.name)


def _guard_key(guard: Guard) -> Key:
    return (guard.ref.namespace, guard.ref.name)


def _labels_of(guard: Guard) -> dict[str, str]:
    return dict(guard.selector.match_labels) if guard.selector else {}
