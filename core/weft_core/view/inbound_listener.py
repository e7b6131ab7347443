"""`virtualInbound`: the one listener that all traffic to a workload comes through.

In a pod it is bound to 15006, and redirection brings every connection there; chains are chosen by the port that was
dialled. Ports that no Service names have chains too, so that mutual TLS and policies protect them alike. Beside other
proxies on one machine it is bound to a loopback port of its own for each port of the workload.
"""

from weft_core.graph import query
from weft_core.ir.authn import JwtAuthn
from weft_core.ir.http import HttpConnectionManager, InboundRoute
from weft_core.ir.listener import (
    Address,
    Direction,
    FilterChain,
    FilterChainMatch,
    Inspection,
    Listener,
    ListenerFilter,
    TcpProxy,
)
from weft_core.ir.rbac import Rbac
from weft_core.ir.service import Protocol
from weft_core.names import (
    BLACK_HOLE_CLUSTER,
    INBOUND_PASSTHROUGH_CLUSTER,
    INBOUND_PORT,
    VIRTUAL_INBOUND,
    inbound_cluster,
)
from weft_core.problems import ObjectRef
from weft_core.registry import Registry
from weft_core.view.access_log import access_logs, listener_access_logs
from weft_core.view.http_managers import (
    STAT_NAME_END,
    http_filters,
    http_settings,
    inbound_manager,
    network_security_filters,
    security_filters,
)
from weft_core.view.inbound import InboundId, InboundPort, inbound_port_levels
from weft_core.view.inbound_chains import Handlers, inspects_http, inspects_tls, port_chains
from weft_core.view.ip_families import LOOPBACK
from weft_core.view.local_ports import localised
from weft_core.view.mesh import detection_timeout
from weft_core.view.mesh_tls import HTTP_ALPN, TCP_ALPN, mesh_tls
from weft_core.view.peer_authentication import MutualTlsMode, deciding_policies, mutual_tls_mode

CATCH_ALL_HTTP = "virtualInbound-catchall-http"
BLACK_HOLE = "virtualInbound-blackhole"
PASSTHROUGH_VIRTUAL_HOST = "inbound|http|0"


@query
def inbound_listener(db: Registry, inbound: InboundId) -> Listener:
    """The inbound listener of the workloads that share this identity."""
    chains = [chain for port in inbound.ports for chain in _served_chains(db, inbound, port)]
    if inbound.local is None:
        chains = [_black_hole(), *chains, *_passthrough_chains(db, inbound)]
    return Listener(
        name=VIRTUAL_INBOUND,
        addresses=_addresses(inbound),
        direction=Direction.INBOUND,
        listener_filters=_listener_filters(db, inbound),
        detection_timeout=detection_timeout(db),
        filter_chains=tuple(chains),
        access_logs=listener_access_logs(db),
        origins=_origins(db, inbound),
    )


@query
def inbound_mode(db: Registry, inbound: InboundId, port: int) -> MutualTlsMode:
    """The mode of one of the workload's ports; 0 is every port without a mode of its own."""
    return mutual_tls_mode(db, inbound.namespace, inbound.labels, port)


def _addresses(inbound: InboundId) -> tuple[Address, ...]:
    if inbound.local is None:
        return tuple(Address(address, INBOUND_PORT) for address in inbound.families.anywhere)
    return tuple(Address(LOOPBACK, port) for _, port in inbound.local.inbound)


def _served_chains(db: Registry, inbound: InboundId, port: InboundPort) -> tuple[FilterChain, ...]:
    arrives = inbound.local.inbound_port(port.number) if inbound.local else port.number
    if arrives is None:
        return ()
    name = f"{inbound.families.anywhere[0]}_{port.number}"
    cluster = inbound_cluster(port.number)
    operation = f"{port.service.host}:{port.service_port}/*" if port.service.host else ""
    route = InboundRoute(
        cluster=cluster,
        virtual_host=f"inbound|http|{port.service_port}",
        operation=operation,
        retry=port.protocol not in (Protocol.GRPC, Protocol.GRPC_WEB),
    )
    handlers = _handlers(
        db, inbound, route, stat_prefix=name, names=(name, name), grpc_web=port.protocol is Protocol.GRPC_WEB
    )
    return port_chains(port.protocol, inbound_mode(db, inbound, port.number), handlers, arrives)


def _passthrough_chains(db: Registry, inbound: InboundId) -> tuple[FilterChain, ...]:
    """Ports that no Service leads to: to where they were dialled, behind the same protection."""
    route = InboundRoute(
        cluster=INBOUND_PASSTHROUGH_CLUSTER, virtual_host=PASSTHROUGH_VIRTUAL_HOST, operation="", retry=False
    )
    handlers = _handlers(
        db, inbound, route, stat_prefix=INBOUND_PASSTHROUGH_CLUSTER, names=(CATCH_ALL_HTTP, VIRTUAL_INBOUND)
    )
    ports = (*inbound_port_levels(db, inbound), 0)
    return tuple(
        chain for port in ports for chain in port_chains(Protocol.AUTO, inbound_mode(db, inbound, port), handlers, port)
    )


def _handlers(
    db: Registry,
    inbound: InboundId,
    route: InboundRoute,
    *,
    stat_prefix: str,
    names: tuple[str, str],
    grpc_web: bool = False,
) -> Handlers:
    security = security_filters(db, inbound.namespace, inbound.labels)
    guards = network_security_filters(db, inbound.namespace, inbound.labels)
    manager: HttpConnectionManager = inbound_manager(
        http_settings(db),
        stat_prefix=f"inbound_{stat_prefix}{STAT_NAME_END}",
        route=route,
        filters=http_filters(tuple(_here(each, inbound) for each in security), grpc_web=grpc_web),
    )
    return Handlers(
        http=manager,
        guards=tuple(localised(each, inbound.local) for each in guards),
        tcp=TcpProxy(stat_prefix=route.cluster, clusters=((route.cluster, 1),), access_logs=access_logs(db)),
        http_tls=mesh_tls(db, HTTP_ALPN),
        tcp_tls=mesh_tls(db, TCP_ALPN),
        http_name=names[0],
        tcp_name=names[1],
    )


def _here(wanted: JwtAuthn | Rbac, inbound: InboundId) -> JwtAuthn | Rbac:
    return localised(wanted, inbound.local) if isinstance(wanted, Rbac) else wanted


def _black_hole() -> FilterChain:
    """A connection made to 15006 itself was not redirected; passing it on would bring it back here for ever."""
    proxy = TcpProxy(stat_prefix=BLACK_HOLE_CLUSTER, clusters=((BLACK_HOLE_CLUSTER, 1),))
    return FilterChain(name=BLACK_HOLE, match=FilterChainMatch(destination_port=INBOUND_PORT), filters=(proxy,))


def _listener_filters(db: Registry, inbound: InboundId) -> tuple[ListenerFilter, ...]:
    """What is looked for, and the ports where it is not: there, a server may speak first and nobody has to wait."""
    modes = [(port, inbound_mode(db, inbound, port.number)) for port in inbound.ports]
    inspections = [
        ListenerFilter(Inspection.TLS, _arriving(inbound, [p for p, mode in modes if not inspects_tls(mode)])),
        ListenerFilter(
            Inspection.HTTP, _arriving(inbound, [p for p, mode in modes if not inspects_http(p.protocol, mode)])
        ),
    ]
    if inbound.local is None:
        return (ListenerFilter(Inspection.ORIGINAL_DESTINATION), *inspections)
    everywhere = len(_addresses(inbound))
    return tuple(each for each in inspections if len(each.disabled_ports) < everywhere)


def _arriving(inbound: InboundId, ports: list[InboundPort]) -> tuple[int, ...]:
    local = inbound.local
    numbers = (local.inbound_port(port.number) if local else port.number for port in ports)
    return tuple(sorted(number for number in numbers if number is not None))


def _origins(db: Registry, inbound: InboundId) -> tuple[ObjectRef, ...]:
    """The policies, and the Sidecar, that shaped the listener."""
    found = {
        ObjectRef(kind="PeerAuthentication", namespace=key[0], name=key[1])
        for key in deciding_policies(db, inbound.namespace, inbound.labels)
    }
    if inbound.sidecar is not None:
        found.add(ObjectRef(kind="Sidecar", namespace=inbound.sidecar[0], name=inbound.sidecar[1]))
    for each in security_filters(db, inbound.namespace, inbound.labels):
        found.update(each.origins)
    return tuple(sorted(found))
