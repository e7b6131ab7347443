"""What a workload takes: its ports, and the identity under which its replicas share one inbound configuration.

The ports are those of all Services that select the pod, by the number on the workload. Where two Services name one
port, the older decides what is spoken there. A Sidecar resource with `ingress` replaces them by its own list.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from weft_core.graph import query
from weft_core.ir.service import Labels, Protocol, ServiceRef
from weft_core.model.sidecar import IstioIngressListener
from weft_core.names import service_host
from weft_core.proxy import LocalPorts, ProxyId
from weft_core.registry import Key, Registry
from weft_core.view.endpoints import target_port
from weft_core.view.ip_families import IpFamilies, families_of
from weft_core.view.peer_authentication import port_level_ports, workload_policy
from weft_core.view.policy_scope import policy_label_keys
from weft_core.view.protocols import entry_protocol
from weft_core.view.proxies import workload
from weft_core.view.selectors import labels_of, project, selects
from weft_core.view.services import service
from weft_core.view.sidecar_scope import sidecar_for

NO_SERVICE = ServiceRef("", "")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class InboundPort:
    """One port of a workload, and the Service port that leads to it."""

    number: int
    """The workload's (the container's), not the Service's."""
    protocol: Protocol
    service: ServiceRef = NO_SERVICE
    service_port: int = 0
    endpoint: str = ""
    """Where the application listens instead (`127.0.0.1:8080`, `unix:///run/app.sock`); empty: where it was dialled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundId:
    """All that decides a workload's inbound listener and clusters: equal for all replicas of a Deployment."""

    namespace: str
    labels: Labels
    """Only those that security policies select by."""
    ports: tuple[InboundPort, ...]
    sidecar: Key | None = None
    local: LocalPorts | None = None
    families: IpFamilies = IpFamilies.V4


@query
def inbound_id(db: Registry, proxy: ProxyId) -> InboundId | None:
    """The inbound identity of a sidecar; None while its pod is not known."""
    found = workload(db, (proxy.namespace, proxy.name))
    if found is None:
        return None
    sidecar = sidecar_for(db, found.namespace, found.labels)
    ports = _ingress_ports(db, sidecar) if sidecar else ()
    if not ports:
        ports = service_ports(db, found.namespace, found.labels, found.ports)
    if found.local:
        ports = _with_local_ports(ports, found.local)
    return InboundId(
        namespace=found.namespace,
        labels=project(found.labels, policy_label_keys(db, found.namespace)),
        ports=ports,
        sidecar=sidecar,
        local=found.local,
        families=families_of(found.addresses),
    )


@query
def service_ports(
    db: Registry, namespace: str, labels: Labels, named: tuple[tuple[str, int], ...]
) -> tuple[InboundPort, ...]:
    """The ports that the Services and ServiceEntries selecting these labels lead to, by number.

    `named` are the pod's container ports, which a Service may refer to by name.
    """
    chosen: dict[int, InboundPort] = {}
    for ref in sorted(services_selecting(db, namespace, labels), key=lambda ref: _age(db, ref)):
        found = service(db, ref)
        for port in found.ports if found else ():
            number = target_port(port, named)
            if number is not None and port.protocol is not Protocol.UDP:
                candidate = InboundPort(number=number, protocol=port.protocol, service=ref, service_port=port.number)
                chosen.setdefault(number, candidate)
    return tuple(chosen[number] for number in sorted(chosen))


@query
def services_selecting(db: Registry, namespace: str, labels: Labels) -> tuple[ServiceRef, ...]:
    """The services of a namespace whose selector picks workloads with these labels."""
    found = [
        ServiceRef(namespace, service_host(key[1], namespace, db.settings.domain))
        for key in db.services.by("namespace", namespace)
        if (selector := _service_selector(db, key)) and selects(dict(selector), labels)
    ]
    for key in db.service_entries.by("namespace", namespace):
        hosts, wanted = _entry_selector(db, key)
        if wanted and selects(dict(wanted), labels):
            found += [ServiceRef(namespace, host) for host in hosts]
    return tuple(sorted(set(found)))


@query
def inbound_port_levels(db: Registry, inbound: InboundId) -> tuple[int, ...]:
    """Ports without a Service to which a PeerAuthentication gives a mode of their own."""
    known = {port.number for port in inbound.ports}
    policy = workload_policy(db, inbound.namespace, inbound.labels)
    return tuple(number for number in port_level_ports(db, policy) if number not in known)


@query
def _service_selector(db: Registry, key: Key) -> Labels:
    row = db.services.get(key)
    return labels_of(row.spec.selector or {}) if row else ()


@query
def _entry_selector(db: Registry, key: Key) -> tuple[tuple[str, ...], Labels]:
    row = db.service_entries.get(key)
    if row is None or row.spec.workload_selector is None:
        return (), ()
    return tuple(row.spec.hosts), labels_of(row.spec.workload_selector.labels)


@query
def _age(db: Registry, ref: ServiceRef) -> tuple[str, str, str]:
    found = service(db, ref)
    return found.created if found else ("", "", "")


@query
def _ingress_ports(db: Registry, sidecar: Key) -> tuple[InboundPort, ...]:
    row = db.sidecars.get(sidecar)
    return tuple(_ingress_port(listener) for listener in row.spec.ingress) if row else ()


def _ingress_port(listener: IstioIngressListener) -> InboundPort:
    endpoint = listener.default_endpoint
    # 0.0.0.0 and [::] stand for the pod's own address: where the connection was made to, if the port is the same.
    host, _, number = endpoint.rpartition(":")
    if host in ("0.0.0.0", "[::]") and number == str(listener.port.number):  # noqa: S104 - compared, not bound
        endpoint = ""
    return InboundPort(
        number=listener.port.number,
        protocol=entry_protocol(listener.port.protocol),
        endpoint=endpoint,
    )


def _with_local_ports(ports: tuple[InboundPort, ...], local: LocalPorts) -> tuple[InboundPort, ...]:
    """Where nothing is captured there is no passing through: ports that no Service leads to need chains as well."""
    known = {port.number: port for port in ports}
    others: Iterable[int] = (target for target, _ in local.inbound if target not in known)
    for number in others:
        known[number] = InboundPort(number=number, protocol=Protocol.AUTO)
    return tuple(known[number] for number in sorted(known))
