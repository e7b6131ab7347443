"""What is wrong with a ServiceEntry or a WorkloadEntry in its surroundings."""

from collections.abc import Iterator

from weft_core.graph import query
from weft_core.ir.service import ServiceRef, is_exported
from weft_core.model.meta import Config
from weft_core.model.service_entry import Location, Resolution, ServiceEntry
from weft_core.problems import Code, Problem, Severity
from weft_core.registry import Key, Registry
from weft_core.view.endpoints import entry_labels
from weft_core.view.finding import finding
from weft_core.view.inbound import services_selecting
from weft_core.view.mesh import mesh
from weft_core.view.mutual_tls_conflicts import modes_taken
from weft_core.view.peer_authentication import MutualTlsMode
from weft_core.view.selector_problems import selects_no_pods, written
from weft_core.view.selectors import labels_of, selects

Row = Config[ServiceEntry]


@query
def service_entry_problems(db: Registry, key: Key) -> tuple[Problem, ...]:
    """All findings about one ServiceEntry that depend on other objects, and what is not served."""
    row = db.service_entries.get(key)
    if row is None:
        return ()
    return (*_unsupported(row), *_shadowed(db, row), *_selects_nothing(db, row), *_strict_outside(db, row))


@query
def workload_entry_problems(db: Registry, key: Key) -> tuple[Problem, ...]:
    """The finding about a WorkloadEntry that is nobody's endpoint."""
    row = db.workload_entries.get(key)
    if row is None or services_selecting(db, key[0], labels_of(entry_labels(row))):
        return ()
    labels = entry_labels(row)
    return (
        finding(
            row.meta.ref,
            ("labels",),
            code=Code.SELECTED_BY_NOTHING,
            message=f"no Service and no ServiceEntry of {key[0]} selects "
            + (f"the labels {written(labels)}" if labels else "an entry without labels"),
            fix="add labels that a workloadSelector picks, or a ServiceEntry with such a selector",
        ),
    )


def _unsupported(row: Row) -> Iterator[Problem]:
    if row.spec.resolution is Resolution.DYNAMIC_DNS:
        yield finding(
            row.meta.ref,
            ("resolution",),
            code=Code.UNSUPPORTED_FIELD,
            severity=Severity.ERROR,
            message="hosts are not resolved by request: requests to these hosts fail with 503",
            fix="write resolution: NONE, which calls the address that the application looked up",
        )
    for index, endpoint in enumerate(row.spec.endpoints):
        if endpoint.network and not endpoint.address:
            yield finding(
                row.meta.ref,
                ("endpoints", index, "network"),
                code=Code.UNSUPPORTED_FIELD,
                message="endpoints behind another network's gateway are not supported: this one is left out",
                fix="write an address that proxies can reach",
            )


def _shadowed(db: Registry, row: Row) -> Iterator[Problem]:
    """A host that another object declares as well: a Kubernetes Service goes first, then the older ServiceEntry."""
    namespace = row.meta.namespace
    for index, host in enumerate(row.spec.hosts):
        for owner, name in db.services.by("host", host):
            whom = "all clients" if owner == namespace else f"clients outside of {namespace}"
            yield finding(
                row.meta.ref,
                ("hosts", index),
                code=Code.SHADOWED_SERVICE,
                message=f"{host} is the Kubernetes Service {owner}/{name}, which {whom} get instead",
                fix="write another host, or a VirtualService for that Service",
            )
        for other in db.service_entries.rows("host", host):
            if other.meta.age_key >= row.meta.age_key:
                continue
            if other.meta.namespace == namespace:
                yield from _joined(row, other)
            elif _public(db, row) and _public(db, other):
                yield finding(
                    row.meta.ref,
                    ("hosts", index),
                    code=Code.SHADOWED_SERVICE,
                    message=f"clients of other namespaces get {host} from the older {other.meta.ref}",
                    fix="limit exportTo to the namespaces that need it, or keep one of the two",
                )


def _joined(row: Row, older: Row) -> Iterator[Problem]:
    """Entries of one namespace and host are one service: their ports are joined, everything else is the oldest's."""
    for field in ("resolution", "location"):
        if getattr(row.spec, field) != getattr(older.spec, field):
            yield finding(
                row.meta.ref,
                (field,),
                code=Code.SHADOWED_SERVICE,
                message=f"the older {older.meta.ref} has the same host, and its {field} "
                f"{getattr(older.spec, field)} is in force",
                fix=f"write the same {field} in both, or merge them",
            )
    known = {port.number: port for port in older.spec.ports}
    for index, port in enumerate(row.spec.ports):
        other = known.get(port.number)
        if other is not None and (other.protocol, other.target_port) != (port.protocol, port.target_port):
            yield finding(
                row.meta.ref,
                ("ports", index),
                code=Code.SHADOWED_SERVICE,
                message=f"the older {older.meta.ref} declares port {port.number} of the same host, "
                f"as {other.protocol or 'one whose protocol is detected'}",
                fix="remove the port from one of them",
            )


def _public(db: Registry, row: Row) -> bool:
    export_to = tuple(row.spec.export_to) or mesh(db).default_service_export_to or ("*",)
    return is_exported(export_to, row.meta.namespace, "")


def _selects_nothing(db: Registry, row: Row) -> Iterator[Problem]:
    selector = row.spec.workload_selector
    if selector is None or any(
        selects(selector.labels, labels_of(entry_labels(entry)))
        for entry in db.workload_entries.rows("namespace", row.meta.namespace)
    ):
        return
    yield from selects_no_pods(
        db,
        row.meta.ref,
        ("workloadSelector", "labels"),
        selector.labels,
        namespaces=(row.meta.namespace,),
        effect="the service has no endpoints",
    )


def _strict_outside(db: Registry, row: Row) -> Iterator[Problem]:
    """Pods that demand mutual TLS, declared as if outside of the mesh, where clients never begin it."""
    if row.spec.location is not Location.MESH_EXTERNAL or row.spec.workload_selector is None:
        return
    for host in row.spec.hosts:
        strict = [
            n for n, mode in modes_taken(db, ServiceRef(row.meta.namespace, host), ()) if mode is MutualTlsMode.STRICT
        ]
        if strict:
            yield finding(
                row.meta.ref,
                ("location",),
                code=Code.MTLS_POLICY_CONFLICT,
                message=f"the pods behind port {strict[0]} take mutual TLS only, which clients do not use towards "
                "MESH_EXTERNAL services",
                fix="write location: MESH_INTERNAL",
            )
            return
