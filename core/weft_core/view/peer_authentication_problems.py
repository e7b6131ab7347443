"""What is wrong with a PeerAuthentication in its surroundings."""

from collections.abc import Iterator

from weft_core.graph import query
from weft_core.model.meta import Config
from weft_core.model.peer_authentication import PeerAuthentication
from weft_core.problems import Code, Problem
from weft_core.registry import Key, Registry
from weft_core.view.finding import finding
from weft_core.view.mesh import root_namespace
from weft_core.view.peer_authentication import namespace_policy, selector_of, workload_policy
from weft_core.view.selector_problems import selects_no_pods
from weft_core.view.selectors import labels_of
from weft_core.view.workload_ports import selected_ports, selected_workloads

Row = Config[PeerAuthentication]


@query
def peer_authentication_problems(db: Registry, key: Key) -> tuple[Problem, ...]:
    """All findings about one policy that depend on other objects."""
    row = db.peer_authentications.get(key)
    if row is None:
        return ()
    if selector_of(row) and key[0] == root_namespace(db):
        return (_selector_in_root(row),)
    return (*_shadowed(db, row), *_selects_nothing(db, row), *_unknown_ports(db, row))


def _key(row: Row) -> Key:
    return (row.meta.namespace, row.meta.name)


def _selector_in_root(row: Row) -> Problem:
    return finding(
        row.meta.ref,
        ("selector",),
        code=Code.INEFFECTIVE_SELECTOR,
        message=f"{row.meta.namespace} is the root namespace, where policies with a selector are ignored",
        fix="move it into the workloads' namespace, or remove the selector to mean the whole mesh",
    )


def _shadowed(db: Registry, row: Row) -> Iterator[Problem]:
    """An older policy for the same workloads is in force alone."""
    selector, namespace = selector_of(row), row.meta.namespace
    winner = workload_policy(db, namespace, labels_of(selector)) if selector else namespace_policy(db, namespace)
    if winner is not None and winner != _key(row):
        yield finding(
            row.meta.ref,
            ("selector",) if selector else (),
            code=Code.SHADOWED_POLICY,
            message=f"the older policy {winner[1]} is about the same workloads, and is in force alone",
            fix=f"merge the two into {winner[1]}, or remove one",
        )


def _selects_nothing(db: Registry, row: Row) -> Iterator[Problem]:
    yield from selects_no_pods(
        db,
        row.meta.ref,
        ("selector", "matchLabels"),
        selector_of(row),
        namespaces=(row.meta.namespace,),
        effect="the policy is in force nowhere",
    )


def _unknown_ports(db: Registry, row: Row) -> Iterator[Problem]:
    """PortLevelMtls speaks of container ports; people often write the Service's."""
    selector = labels_of(selector_of(row))
    ports = selected_ports(db, row.meta.namespace, selector)
    known = {port.number for port in ports}
    known |= {number for each in selected_workloads(db, row.meta.namespace, dict(selector)) for _, number in each.ports}
    for number in row.spec.port_level_mtls if known else ():
        if number in known:
            continue
        meant = next((port.number for port in ports if port.service_port == number), None)
        yield finding(
            row.meta.ref,
            ("portLevelMtls", str(number)),
            code=Code.REFERENCED_RESOURCE_NOT_FOUND,
            message=f"the selected pods have no port {number}" + (", which is the Service's" if meant else ""),
            fix=f"write the container's port, {meant}" if meant else "write one of the container's ports",
        )
