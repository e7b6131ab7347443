"""What is wrong with a PeerAuthentication in its surroundings."""

from collections.abc import Iterator

from weft_core.graph import query
from weft_core.model.meta import Config
from weft_core.model.mistake import Path, format_path
from weft_core.model.peer_authentication import PeerAuthentication
from weft_core.model.tls_settings import ClientTLSMode
from weft_core.problems import Code, Problem, Severity
from weft_core.registry import Key, Registry
from weft_core.view.destination_rules import destination_rules_for
from weft_core.view.endpoints import target_port
from weft_core.view.inbound import services_selecting
from weft_core.view.mesh import root_namespace
from weft_core.view.peer_authentication import (
    MutualTlsMode,
    mutual_tls_mode,
    namespace_policy,
    selector_of,
    workload_policy,
)
from weft_core.view.proxies import Workload
from weft_core.view.selectors import labels_of
from weft_core.view.services import service
from weft_core.view.traffic_policy import policy_blocks
from weft_core.view.visibility import Client
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
    return (*_shadowed(db, row), *_selects_nothing(db, row), *_unknown_ports(db, row), *_conflicts(db, row))


def _key(row: Row) -> Key:
    return (row.meta.namespace, row.meta.name)


def _warning(row: Row, path: Path, *, code: str, message: str, fix: str) -> Problem:
    return Problem(
        code=code,
        severity=Severity.WARNING,
        object=row.meta.ref,
        path=format_path(("spec", *path)),
        message=message,
        fix=fix,
        source=row.meta.source,
    )


def _selector_in_root(row: Row) -> Problem:
    return _warning(
        row,
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
        yield _warning(
            row,
            ("selector",) if selector else (),
            code=Code.INEFFECTIVE_SELECTOR,
            message=f"the older policy {winner[1]} is about the same workloads, and is in force alone",
            fix=f"merge the two into {winner[1]}, or remove one",
        )


def _selects_nothing(db: Registry, row: Row) -> Iterator[Problem]:
    selector = selector_of(row)
    if selector and not selected_workloads(db, row.meta.namespace, selector):
        wanted = ", ".join(f"{name}={value}" for name, value in labels_of(selector))
        yield _warning(
            row,
            ("selector", "matchLabels"),
            code=Code.INEFFECTIVE_SELECTOR,
            message=f"no pod of {row.meta.namespace} has the labels {wanted}",
            fix="correct the labels, or start pods that have them",
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
        yield _warning(
            row,
            ("portLevelMtls", str(number)),
            code=Code.REFERENCED_RESOURCE_NOT_FOUND,
            message=f"the selected pods have no port {number}" + (", which is the Service's" if meant else ""),
            fix=f"write the container's port, {meant}" if meant else "write one of the container's ports",
        )


def _conflicts(db: Registry, row: Row) -> Iterator[Problem]:
    """Clients that a DestinationRule keeps from mutual TLS, where this policy demands it."""
    found: dict[tuple[Key, str, int], None] = {}
    for each in selected_workloads(db, row.meta.namespace, selector_of(row)):
        if (workload_policy(db, each.namespace, each.labels) or _key(row)) == _key(row):
            found |= dict.fromkeys(_plaintext_rules(db, each))
    for (namespace, name), host, port in found:
        yield _warning(
            row,
            ("mtls",),
            code=Code.MTLS_POLICY_CONFLICT,
            message=f"port {port} of {host} takes mutual TLS only, and DestinationRule {namespace}/{name} turns it off "
            "in clients: their requests fail",
            fix="remove trafficPolicy.tls from the DestinationRule, or set its mode to ISTIO_MUTUAL",
        )


def _plaintext_rules(db: Registry, pod: Workload) -> Iterator[tuple[Key, str, int]]:
    """(rule, host, port) of each strict port of the pod's services that a rule has clients call otherwise."""
    for ref in services_selecting(db, pod.namespace, pod.labels):
        found = service(db, ref)
        rules = destination_rules_for(db, Client(namespace=pod.namespace), ref)
        for port in found.ports if found and rules else ():
            number = target_port(port, pod.ports)
            tls = policy_blocks(db, rules, port.number, "").tls
            if number is None or tls is None or tls.mode is ClientTLSMode.ISTIO_MUTUAL:
                continue
            if mutual_tls_mode(db, pod.namespace, pod.labels, number) is MutualTlsMode.STRICT:
                yield rules[0], ref.host, port.number
