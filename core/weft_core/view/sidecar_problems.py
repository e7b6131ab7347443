"""What is wrong with a Sidecar in its surroundings: fields without effect, rivals, and hosts that let nothing in."""

from collections.abc import Iterator

from weft_core.graph import query
from weft_core.ir.service import ServiceRef
from weft_core.model.meta import Config
from weft_core.model.mistake import Path
from weft_core.model.sidecar import CaptureMode, Sidecar
from weft_core.names import hosts_overlap, resolve_host
from weft_core.problems import Code, Problem, Severity
from weft_core.registry import Key, Registry
from weft_core.view.finding import finding
from weft_core.view.mesh import root_namespace
from weft_core.view.selector_problems import selects_no_pods
from weft_core.view.services import all_refs, refs_of_host
from weft_core.view.sidecar_scope import sidecar_for
from weft_core.view.virtual_services import attachment
from weft_core.view.workload_ports import selected_workloads

Row = Config[Sidecar]


@query
def sidecar_problems(db: Registry, key: Key) -> tuple[Problem, ...]:
    """All findings about one Sidecar."""
    row = db.sidecars.get(key)
    if row is None:
        return ()
    found = [*_unsupported(row), *_rivals(db, row), *_empty_hosts(db, row), *_egress_proxy(db, row)]
    if row.spec.workload_selector is not None:
        found += selects_no_pods(
            db,
            row.meta.ref,
            ("workloadSelector", "labels"),
            row.spec.workload_selector.labels,
            namespaces=(row.meta.namespace,),
            effect="it is in force for nobody",
        )
    return tuple(found)


def _unsupported(row: Row) -> Iterator[Problem]:
    """Listeners that bind a port of their own: here all traffic comes by capture, to the listeners of its ports."""
    bound = "it opens no port of its own, and applies to captured traffic"
    for index, egress in enumerate(row.spec.egress):
        path: Path = ("egress", index)
        if egress.bind:
            yield _ignored(row, (*path, "bind"), "bind", bound)
        if egress.capture_mode is CaptureMode.NONE:
            yield _ignored(row, (*path, "captureMode"), "captureMode NONE", bound)
        if egress.port is not None and egress.port.protocol == "HTTP_PROXY":
            yield _ignored(row, (*path, "port", "protocol"), "HTTP_PROXY", "no proxy port is opened for applications")
    for index, ingress in enumerate(row.spec.ingress):
        path = ("ingress", index)
        if ingress.tls is not None:
            yield finding(
                row.meta.ref,
                (*path, "tls"),
                code=Code.UNSUPPORTED_FIELD,
                message="TLS of one's own is not supported: the port takes what PeerAuthentication says",
                fix="remove tls, and let a Gateway end TLS from outside of the mesh",
            )
        if ingress.bind:
            yield _ignored(row, (*path, "bind"), "bind", bound)
        if ingress.capture_mode is CaptureMode.NONE:
            yield _ignored(row, (*path, "captureMode"), "captureMode NONE", bound)


def _ignored(row: Row, path: Path, what: str, effect: str) -> Problem:
    return finding(
        row.meta.ref,
        path,
        code=Code.UNSUPPORTED_FIELD,
        message=f"{what} is not supported: {effect}",
        fix=f"remove {path[-1]}",
    )


def _rivals(db: Registry, row: Row) -> Iterator[Problem]:
    """Sidecars are never merged: of several the oldest is in force alone."""
    own, namespace = (row.meta.namespace, row.meta.name), row.meta.namespace
    selector = row.spec.workload_selector
    if selector is None:
        winner = sidecar_for(db, namespace, ())
        if winner is not None and winner != own and winner[0] == namespace:
            yield finding(
                row.meta.ref,
                (),
                code=Code.MULTIPLE_SIDECARS_WITHOUT_SELECTOR,
                severity=Severity.ERROR,
                message=f"the older Sidecar {winner[1]} has no workloadSelector either, and is in force alone",
                fix=f"merge the two into {winner[1]}, or add a workloadSelector",
            )
        return
    for pod in selected_workloads(db, namespace, selector.labels):
        winner = sidecar_for(db, namespace, pod.labels)
        if winner is not None and winner != own:
            yield finding(
                row.meta.ref,
                ("workloadSelector",),
                code=Code.CONFLICTING_SIDECAR_SELECTORS,
                severity=Severity.ERROR,
                message=f"the older Sidecar {winner[1]} selects pod {pod.name} too, and is in force for it alone",
                fix=f"merge the two, or select other pods than {winner[1]} does",
            )
            return


def _empty_hosts(db: Registry, row: Row) -> Iterator[Problem]:
    """Hosts of which there is none. Whole namespaces are not judged: many name the control plane's by habit."""
    for index, egress in enumerate(row.spec.egress):
        for position, text in enumerate(egress.hosts):
            namespace, _, host = text.partition("/")
            if namespace == "." and row.meta.namespace == root_namespace(db):
                continue
            owner = row.meta.namespace if namespace == "." else namespace
            if host != "*" and not namespace.startswith("~") and not _exists(db, owner, host):
                where = "" if owner == "*" else f" in namespace {owner}"
                elsewhere = sorted({ref.namespace for ref in refs_of_host(db, host)})
                yield finding(
                    row.meta.ref,
                    ("egress", index, "hosts", position),
                    code=Code.EGRESS_HOST_MATCHES_NOTHING,
                    message=f"no service and no VirtualService has the host {host}{where}",
                    fix=f"write {elsewhere[0]}/{host}" if elsewhere else "correct the host, or remove it",
                )


def _exists(db: Registry, namespace: str, pattern: str) -> bool:
    refs = all_refs(db) if pattern.startswith("*") else refs_of_host(db, pattern)
    if any(namespace in ("*", ref.namespace) and hosts_overlap(pattern, ref.host) for ref in refs):
        return True
    return any(namespace in ("*", ref.namespace) and hosts_overlap(pattern, ref.host) for ref in _routed_hosts(db))


@query
def _routed_hosts(db: Registry) -> tuple[ServiceRef, ...]:
    """The hosts of VirtualServices, which an egress host lets in as it does services."""
    found = (attachment(db, key) for key in db.virtual_services.all_keys())
    return tuple(ServiceRef(each.key[0], host) for each in found if each for host in each.hosts)


def _egress_proxy(db: Registry, row: Row) -> Iterator[Problem]:
    policy = row.spec.outbound_traffic_policy
    if policy is None or policy.egress_proxy is None:
        return
    host = resolve_host(policy.egress_proxy.host, row.meta.namespace, db.settings.domain)
    if not refs_of_host(db, host):
        yield finding(
            row.meta.ref,
            ("outboundTrafficPolicy", "egressProxy", "host"),
            code=Code.REFERENCED_RESOURCE_NOT_FOUND,
            severity=Severity.ERROR,
            message=f"there is no service `{host}`: traffic to unknown destinations goes nowhere",
            fix="correct the host, or add a Service or a ServiceEntry with it",
        )
