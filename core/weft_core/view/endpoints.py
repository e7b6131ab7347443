"""Endpoints: the instances behind a service's port, with what locality, subsets and mutual TLS need to know of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from weft_core.graph import query
from weft_core.ir.endpoint import Instance, Locality
from weft_core.ir.service import Labels, Resolution, Service, ServicePort, ServiceRef
from weft_core.model import kubernetes as k8s
from weft_core.model.meta import Config
from weft_core.model.workload_entry import WorkloadEntry
from weft_core.problems import ObjectRef
from weft_core.registry import Key, Registry
from weft_core.view.peer_authentication import MutualTlsMode, mutual_tls_mode
from weft_core.view.proxies import workload
from weft_core.view.selectors import labels_of, selects
from weft_core.view.services import service

LOOPBACK = "127.0.0.1"
TLS_MODE_LABEL = "security.istio.io/tlsMode"
"""On pods that have a sidecar: `istio`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Backend:
    """Where one endpoint is, before its port is chosen."""

    address: str
    pod: Key | None = None
    zone: str = ""
    ready: bool = True
    further: tuple[str, ...] = ()


@query
def instances(db: Registry, ref: ServiceRef, number: int) -> tuple[Instance, ...]:
    """All usable endpoints of one port, sorted. Empty for a service that clients dial by its address."""
    found = service(db, ref)
    port = found.port(number) if found else None
    if found is None or port is None:
        return ()
    if found.kubernetes:
        return tuple(sorted(set(_kubernetes_instances(db, found, port))))
    return tuple(sorted(set(_entry_instances(db, found, port))))


@query
def service_accounts(db: Registry, ref: ServiceRef, number: int) -> tuple[str, ...]:
    """`NAMESPACE/ACCOUNT` of all endpoints of a port, sorted: whom a client may meet there."""
    return tuple(
        sorted({f"{i.namespace}/{i.service_account}" for i in instances(db, ref, number) if i.service_account})
    )


def workload_entry_origins(db: Registry, found: Service) -> tuple[ObjectRef, ...]:
    """The WorkloadEntries that are endpoints of a service; in most namespaces there are none to look at."""
    if not db.workload_entries.by("namespace", found.ref.namespace):
        return ()
    return _workload_entry_origins(db, found.ref)


@query
def _workload_entry_origins(db: Registry, ref: ServiceRef) -> tuple[ObjectRef, ...]:
    rows = db.workload_entries.rows("namespace", ref.namespace)
    selectors = _selectors(db, ref)
    return tuple(
        row.meta.ref for row in rows if any(selects(selector, labels_of(entry_labels(row))) for selector in selectors)
    )


def _selectors(db: Registry, ref: ServiceRef) -> list[dict[str, str]]:
    """The selectors by which a service has WorkloadEntries: a Kubernetes Service's own, or its ServiceEntries'."""
    found = service(db, ref)
    if found is None:
        return []
    if found.kubernetes:
        row = db.services.get((ref.namespace, found.name))
        return [dict(row.spec.selector)] if row and row.spec.selector else []
    entries = (entry for entry in db.service_entries.rows("host", ref.host) if entry.meta.namespace == ref.namespace)
    return [dict(entry.spec.workload_selector.labels) for entry in entries if entry.spec.workload_selector]


@query
def pod_state(db: Registry, key: Key) -> tuple[bool, bool]:
    """(ready, leaving) of a pod."""
    pod = db.pods.get(key)
    return (pod.ready, bool(pod.metadata.deletion_timestamp)) if pod else (False, True)


def _kubernetes_instances(db: Registry, found: Service, port: ServicePort) -> Iterator[Instance]:
    key = (found.ref.namespace, found.name)
    slices = db.endpoint_slices.rows("service", key)
    row = db.services.get(key)
    unready = row is not None and row.spec.publish_not_ready_addresses
    pods: dict[tuple[Key, int], dict[str, str]] = {}
    for endpoint_slice in slices:
        number = _slice_port(endpoint_slice, port)
        if number is None or endpoint_slice.address_type == "FQDN":  # EDS takes addresses: of a name all is refused
            continue
        for endpoint in endpoint_slice.endpoints:
            if not endpoint.addresses or not (endpoint.conditions.ready is not False or unready):
                continue
            target = endpoint.target_ref
            zone = endpoint.zone or ""
            if target and target.kind == "Pod":
                pod = (target.namespace or key[0], target.name)
                pods.setdefault((pod, number), {}).update(dict.fromkeys(endpoint.addresses, zone))
                continue
            for address in endpoint.addresses:
                yield _instance(db, _Backend(address=address, zone=zone), number, key[0])
    for (pod, number), addresses in pods.items():
        yield _instance(db, _pod_backend(db, pod, addresses), number, key[0])
    if not slices and db.settings.derive_endpoints and row is not None:
        yield from _derived(db, row, port, unready)
    if row is not None and row.spec.selector:
        yield from _workload_entries(db, found, port, dict(row.spec.selector))


def _pod_backend(db: Registry, key: Key, zones: Mapping[str, str]) -> _Backend:
    """A pod's addresses, by zone, in its own order: a dual-stack Service has a slice for each IP family.

    They are one endpoint, as there is one process: counted twice, it would get twice its share of failures and trust.
    """
    pod = workload(db, key)
    own = pod.addresses if pod else ()
    first, *others = sorted(zones, key=lambda address: (own.index(address) if address in own else len(own), address))
    return _Backend(address=first, pod=key, zone=zones[first], further=tuple(others))


def _derived(db: Registry, row: k8s.Service, port: ServicePort, unready: bool) -> Iterator[Instance]:
    """What Kubernetes' endpoint controller would say, where there is none."""
    if not row.spec.selector:
        return
    for key in db.pods.by("namespace", row.metadata.namespace):
        pod = workload(db, key)
        if pod is None or not selects(row.spec.selector, pod.labels):
            continue
        ready, leaving = pod_state(db, key)
        number = target_port(port, pod.ports)
        if number is None or leaving or not (ready or unready):
            continue
        for address in pod.addresses[:1]:
            yield _instance(db, _Backend(address=address, pod=key), number, key[0])


def _entry_instances(db: Registry, found: Service, port: ServicePort) -> Iterator[Instance]:
    for row in db.service_entries.rows("host", found.ref.host):
        if row.meta.namespace != found.ref.namespace:
            continue
        for endpoint in row.spec.endpoints:
            if endpoint.address:
                yield _entry_instance(found, port, endpoint, row.meta.namespace, {})
        if row.spec.workload_selector is not None:
            yield from _selected(db, found, port, dict(row.spec.workload_selector.labels))
        elif not row.spec.endpoints and found.resolution in (Resolution.DNS, Resolution.DNS_ROUND_ROBIN):
            yield Instance(address=found.ref.host, port=_number(port))


def _selected(db: Registry, found: Service, port: ServicePort, selector: dict[str, str]) -> Iterator[Instance]:
    """Pods and WorkloadEntries of the ServiceEntry's namespace that its workloadSelector picks."""
    namespace = found.ref.namespace
    yield from _workload_entries(db, found, port, selector)
    for key in db.pods.by("namespace", namespace):
        pod = workload(db, key)
        if pod is None or not selects(selector, pod.labels):
            continue
        ready, leaving = pod_state(db, key)
        number = target_port(port, pod.ports)
        if ready and not leaving and number is not None and pod.addresses:
            yield _instance(db, _Backend(address=pod.addresses[0], pod=key), number, namespace)


def _workload_entries(db: Registry, found: Service, port: ServicePort, selector: dict[str, str]) -> Iterator[Instance]:
    """WorkloadEntries of the service's namespace that a selector picks: a ServiceEntry's, or a Kubernetes Service's."""
    for entry in db.workload_entries.rows("namespace", found.ref.namespace):
        labels = entry_labels(entry)
        if entry.spec.address and selects(selector, labels_of(labels)):
            yield _entry_instance(found, port, entry.spec, found.ref.namespace, labels)


def entry_labels(entry: Config[WorkloadEntry]) -> dict[str, str]:
    """The labels of a WorkloadEntry: its own field first, then its metadata."""
    return {**entry.meta.labels, **entry.spec.labels}


def _entry_instance(
    found: Service, port: ServicePort, entry: WorkloadEntry, namespace: str, more_labels: dict[str, str]
) -> Instance:
    labels = {**more_labels, **entry.labels}
    return Instance(
        address=entry.address or "",
        port=entry.ports.get(port.name) or entry.ports.get(str(port.target)) or _number(port),
        namespace=namespace,
        labels=labels_of(labels),
        locality=Locality.parse(entry.locality or ""),
        service_account=entry.service_account or "",
        mutual_tls=not found.external and (labels.get(TLS_MODE_LABEL) == "istio" or bool(entry.service_account)),
        weight=entry.weight or 1,
    )


def _instance(db: Registry, backend: _Backend, number: int, namespace: str) -> Instance:
    pod = workload(db, backend.pod) if backend.pod else None
    if pod is None:
        return Instance(
            address=backend.address,
            port=number,
            namespace=namespace,
            locality=Locality(zone=backend.zone),
            further=backend.further,
        )
    local = pod.local
    return Instance(
        address=LOOPBACK if local else backend.address,
        further=() if local else backend.further,
        port=(local.inbound_port(number) or local.application_port(number)) if local else number,
        namespace=pod.namespace,
        workload=pod.owner,
        labels=pod.labels,
        locality=pod.locality,
        service_account=pod.service_account,
        mutual_tls=_takes_mutual_tls(db, pod.namespace, pod.labels, number),
    )


def _takes_mutual_tls(db: Registry, namespace: str, labels: Labels, port: int) -> bool:
    if dict(labels).get(TLS_MODE_LABEL) != "istio":
        return False
    return mutual_tls_mode(db, namespace, labels, port) is not MutualTlsMode.DISABLE


def target_port(port: ServicePort, ports: tuple[tuple[str, int], ...]) -> int | None:
    """The workload's port behind a Service's: a number as it is, a name looked up among the containers' ports."""
    if isinstance(port.target, int):
        return _number(port)
    return dict(ports).get(port.target)


def _number(port: ServicePort) -> int:
    return port.target if isinstance(port.target, int) and port.target else port.number


def _slice_port(endpoint_slice: k8s.EndpointSlice, port: ServicePort) -> int | None:
    """A slice names its ports as the Service does; a Service with one unnamed port has slices with one unnamed port."""
    return next((p.port for p in endpoint_slice.ports if (p.name or "") == port.name), None)
