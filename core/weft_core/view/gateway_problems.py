"""What is wrong with a valid Gateway: servers that an older one leaves no room for, and modes that are not served."""

from collections.abc import Iterator

from weft_core.graph import query
from weft_core.model.gateway import Gateway
from weft_core.model.meta import Config
from weft_core.model.server_tls import ServerTLSMode
from weft_core.problems import Code, ObjectRef, Problem, Severity, by_severity
from weft_core.registry import Key, Registry
from weft_core.view.finding import finding
from weft_core.view.gateways import GatewayId, gateway_conflicts, gateway_ids, service_ports
from weft_core.view.selector_problems import pod_namespaces, selects_no_pods, workloads_in
from weft_core.view.selectors import labels_of
from weft_core.view.visibility import Client


@query
def gateway_problems(db: Registry, key: Key) -> tuple[Problem, ...]:
    """All findings about one Gateway, worst first."""
    row = db.gateways.get(key)
    if row is None:
        return ()
    return by_severity(
        (*_selects_nothing(db, row), *_conflicts(db, row), *_behind_no_service(db, row), *_not_served(row))
    )


def _selects_nothing(db: Registry, row: Config[Gateway]) -> Iterator[Problem]:
    """Gateways select pods of all namespaces."""
    yield from selects_no_pods(
        db,
        row.meta.ref,
        ("selector",),
        row.spec.selector,
        namespaces=pod_namespaces(db),
        effect="no proxy opens these servers",
        code=Code.REFERENCED_RESOURCE_NOT_FOUND,
    )


def _conflicts(db: Registry, row: Config[Gateway]) -> Iterator[Problem]:
    """Conflicts with Gateways that select every pod that this one selects."""
    labels = labels_of(row.spec.selector)
    anywhere = GatewayId(client=Client(namespace="", gateway=True), gateways=gateway_ids(db, "", labels))
    for conflict in gateway_conflicts(db, anywhere):
        lost = conflict.server
        if lost.gateway != (row.meta.namespace, row.meta.name):
            continue
        winner = ObjectRef(kind="Gateway", namespace=conflict.winner.gateway[0], name=conflict.winner.gateway[1])
        yield finding(
            row.meta.ref,
            ("servers", lost.index),
            code=Code.CONFLICTING_GATEWAYS,
            severity=Severity.ERROR,
            message=f"port {lost.server.port.number} belongs to an older server of {winner}: {conflict.reason}",
            fix="choose another port, other hosts, or another selector",
        )


def _behind_no_service(db: Registry, row: Config[Gateway]) -> Iterator[Problem]:
    """Ports that no Service in front of the gateway's pods has. A server with an address is meant for the pod alone."""
    pods = workloads_in(db, pod_namespaces(db), row.spec.selector)
    fronts = [service_ports(db, pod.namespace, pod.labels, pod.ports) for pod in pods]
    known = sorted({number for ports in fronts for number, _ in ports})
    for index, server in enumerate(row.spec.servers):
        if known and not server.bind and server.port.number not in known:
            yield finding(
                row.meta.ref,
                ("servers", index, "port", "number"),
                code=Code.GATEWAY_PORT_NOT_ON_SERVICE,
                message=f"no Service of the gateway has port {server.port.number}: it is reached at its pods alone",
                fix=f"write one of {', '.join(map(str, known))}, or add the port to the Service",
            )


def _not_served(row: Config[Gateway]) -> Iterator[Problem]:
    for index, server in enumerate(row.spec.servers):
        if server.tls is not None and server.tls.mode is ServerTLSMode.AUTO_PASSTHROUGH:
            yield finding(
                row.meta.ref,
                ("servers", index, "tls", "mode"),
                code=Code.UNSUPPORTED_FIELD,
                severity=Severity.ERROR,
                message="AUTO_PASSTHROUGH is not supported, so the server is not opened",
                fix="write mode: PASSTHROUGH, and route its server names with the tls rules of a VirtualService",
            )
