"""Gateways: which of them a pod carries out, and what their servers come to together, port by port.

All Gateways that select a pod share its listeners. The oldest server decides what is spoken on a port; one that does
not fit beside it is left out, and its Gateway is told.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from weft_core.graph import query
from weft_core.ir.service import Labels
from weft_core.model.gateway import Server
from weft_core.model.port import HTTP_PROTOCOLS
from weft_core.model.server_tls import ServerTLSMode
from weft_core.proxy import LocalPorts, ProxyId
from weft_core.registry import Key, Registry
from weft_core.view.endpoints import target_port
from weft_core.view.inbound import services_selecting
from weft_core.view.ip_families import IpFamilies, families_of
from weft_core.view.policy_scope import policy_label_keys
from weft_core.view.proxies import client_of, workload
from weft_core.view.selectors import project, selects
from weft_core.view.services import service
from weft_core.view.visibility import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayId:
    """All that decides a gateway pod's configuration: equal for all replicas of a Deployment."""

    client: Client
    gateways: tuple[Key, ...]
    """Oldest first."""
    labels: Labels = ()
    """Only those that security policies select by."""
    ports: tuple[tuple[int, int], ...] = ()
    """(port of a Service in front of the pod, port on the pod)."""
    local: LocalPorts | None = None
    families: IpFamilies = IpFamilies.V4


class Speech(Enum):
    """What is spoken on a gateway's port. Servers of two kinds cannot share one."""

    HTTP = "HTTP"
    TLS = "TLS"
    TCP = "TCP"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayServer:
    """One server of a Gateway."""

    gateway: Key
    index: int
    server: Server

    @property
    def name(self) -> str:
        """Its Gateway's name, as VirtualServices write it."""
        return "/".join(self.gateway)

    @property
    def speech(self) -> Speech:
        """What is spoken on its port."""
        if self.server.port.protocol in HTTP_PROTOCOLS:
            return Speech.HTTP
        return Speech.TLS if self.server.tls is not None else Speech.TCP

    @property
    def ends_tls(self) -> bool:
        """Whether the gateway itself is the TLS server."""
        tls = self.server.tls
        return self.speech is Speech.TLS and tls is not None and tls.mode not in _PASSED_THROUGH

    @property
    def routes_http(self) -> bool:
        """Whether requests are looked into: plain HTTP, and HTTPS that ends here."""
        return self.speech is Speech.HTTP or (self.ends_tls and self.server.port.protocol == "HTTPS")

    @property
    def rules(self) -> Literal["http", "tls", "tcp"]:
        """The rules of a VirtualService that route what comes here."""
        if self.routes_http:
            return "http"
        return "tls" if self.speech is Speech.TLS and not self.ends_tls else "tcp"

    @property
    def hosts(self) -> tuple[tuple[str, str], ...]:
        """(namespaces whose VirtualServices may attach: a name or `*`, host)."""
        return tuple(_host(text, self.gateway[0]) for text in self.server.hosts)


_PASSED_THROUGH = (ServerTLSMode.PASSTHROUGH, ServerTLSMode.AUTO_PASSTHROUGH)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPort:
    """All servers on one port and address of a gateway pod."""

    number: int
    """The Service's port: what VirtualServices match, and what clients dial."""
    target: int
    """The pod's."""
    bind: str
    speech: Speech
    servers: tuple[GatewayServer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A server that is left out, because of an older one."""

    server: GatewayServer
    winner: GatewayServer
    reason: str


@query
def gateway_id(db: Registry, proxy: ProxyId) -> GatewayId | None:
    """The gateway that a pod is; None while the pod is not known."""
    pod, client = workload(db, (proxy.namespace, proxy.name)), client_of(db, proxy)
    if pod is None or client is None:
        return None
    return GatewayId(
        client=client,
        gateways=gateway_ids(db, proxy.namespace, pod.labels),
        labels=project(pod.labels, policy_label_keys(db, proxy.namespace)),
        ports=service_ports(db, proxy.namespace, pod.labels, pod.ports),
        local=pod.local,
        families=families_of(pod.addresses),
    )


@query
def gateway_ids(db: Registry, namespace: str, labels: Labels) -> tuple[Key, ...]:
    """The Gateways that select pods with these labels, wherever the Gateway is; oldest first."""
    del namespace  # Istio's selectors reach into every namespace
    found = [(age, key) for key in db.gateways.all_keys() if (age := _selecting(db, key, labels))]
    return tuple(key for _, key in sorted(found))


@query
def service_ports(
    db: Registry, namespace: str, labels: Labels, named: tuple[tuple[str, int], ...]
) -> tuple[tuple[int, int], ...]:
    """(Service port, pod port) of all Services in front of a gateway pod. Of two for one Service port, the lower."""
    found: dict[int, int] = {}
    for ref in services_selecting(db, namespace, labels):
        one = service(db, ref)
        for port in one.ports if one else ():
            target = target_port(port, named)
            if target is not None:
                found[port.number] = min(target, found.get(port.number, target))
    return tuple(sorted(found.items()))


@query
def gateway_servers(db: Registry, key: Key) -> tuple[GatewayServer, ...]:
    """The servers of one Gateway."""
    row = db.gateways.get(key)
    servers = row.spec.servers if row else ()
    return tuple(GatewayServer(gateway=key, index=index, server=server) for index, server in enumerate(servers))


@query
def gateway_ports(db: Registry, gateway: GatewayId) -> tuple[GatewayPort, ...]:
    """The ports that a gateway pod opens, with their servers merged; by pod port and address."""
    return _merged(db, gateway)[0]


@query
def gateway_conflicts(db: Registry, gateway: GatewayId) -> tuple[Conflict, ...]:
    """The servers that found no place."""
    return _merged(db, gateway)[1]


@query
def _merged(db: Registry, gateway: GatewayId) -> tuple[tuple[GatewayPort, ...], tuple[Conflict, ...]]:
    targets = dict(gateway.ports)
    merged: dict[tuple[int, str], list[GatewayServer]] = {}
    conflicts: list[Conflict] = []
    for one in (server for key in gateway.gateways for server in gateway_servers(db, key)):
        number = one.server.port.number
        there = merged.setdefault((targets.get(number, number), one.server.bind), [])
        if conflict := next(_conflicts(there, one), None):
            conflicts.append(conflict)
        else:
            there.append(one)
    ports = (
        GatewayPort(
            number=servers[0].server.port.number,
            target=target,
            bind=bind,
            speech=servers[0].speech,
            servers=tuple(servers),
        )
        for (target, bind), servers in sorted(merged.items(), key=lambda item: item[0])
    )
    return tuple(ports), tuple(conflicts)


def _conflicts(there: list[GatewayServer], one: GatewayServer) -> Iterator[Conflict]:
    """Why a server has no place beside older ones on its port."""
    for older in there:
        if older.speech is not one.speech:
            reason = f"{older.speech.value} is spoken on this port"
        elif one.speech is Speech.TCP:
            reason = "a TCP port takes one server"
        elif one.speech is Speech.TLS and (shared := {h for _, h in older.hosts} & {h for _, h in one.hosts}):
            reason = f"{', '.join(sorted(shared))} is served on this port already"
        elif one.routes_http and one.speech is Speech.TLS and _route_name_of(older) == _route_name_of(one):
            reason = f"the port name {one.server.port.name} is taken"
        else:
            continue
        yield Conflict(server=one, winner=older, reason=reason)


def _route_name_of(one: GatewayServer) -> tuple[Key, int, str]:
    return one.gateway, one.server.port.number, one.server.port.name


@query
def _selecting(db: Registry, key: Key, labels: Labels) -> tuple[str, str, str] | None:
    """The age of a Gateway that selects these labels; None for one that does not."""
    row = db.gateways.get(key)
    return row.meta.age_key if row and selects(row.spec.selector, labels) else None


def _host(text: str, own: str) -> tuple[str, str]:
    """`./host` is for the Gateway's own namespace, `host` and `*/host` for all."""
    namespace, slash, host = text.rpartition("/")
    if not slash:
        return "*", host
    return (own if namespace == "." else namespace), host
