"""Outbound listeners: what a workload's own connections pass through on their way into the mesh, or out of it."""

from collections.abc import Iterator

from weft_core.graph import query
from weft_core.ir.access_log import FileAccessLog
from weft_core.ir.http import HttpConnectionManager, RouteName
from weft_core.ir.listener import (
    RAW_BUFFER,
    Address,
    Direction,
    FilterChain,
    FilterChainMatch,
    Inspection,
    Listener,
    ListenerFilter,
    NetworkFilter,
    TcpProxy,
    UpstreamAlpn,
)
from weft_core.ir.route import TcpRoute
from weft_core.ir.service import Protocol
from weft_core.names import BLACK_HOLE_CLUSTER, HTTP_PROXY_ROUTE, OUTBOUND_PORT, VIRTUAL_OUTBOUND
from weft_core.registry import Registry
from weft_core.view.access_log import access_logs, listener_access_logs
from weft_core.view.connection_match import connection_match, without_overlaps
from weft_core.view.http_managers import STAT_NAME_END, http_settings, outbound_manager
from weft_core.view.ip_families import LOOPBACK
from weft_core.view.mesh import detection_timeout
from weft_core.view.outbound_listeners import (
    HttpProxyId,
    Member,
    OutboundListenerId,
    PortListenerId,
    VirtualOutboundId,
)
from weft_core.view.tcp_routes import service_route, tcp_routes, tls_routes
from weft_core.view.upstream_tls import MESH_HTTP2_ALPN, MESH_TCP_ALPN

BLACK_HOLE = "virtualOutbound-blackhole"
CATCH_ALL = "virtualOutbound-catchall-tcp"
PASSTHROUGH = "PassthroughFilterChain"
HTTP1, HTTP2 = ("http/1.1",), ("h2c",)
"""What Envoy's inspector calls HTTP in clear. HTTP/1.0 is passed on as bytes, as in Istio."""


@query
def outbound_listener(db: Registry, key: OutboundListenerId) -> Listener:
    """One outbound listener."""
    match key:
        case VirtualOutboundId():
            return _virtual_outbound(db, key)
        case PortListenerId():
            return _port_listener(db, key)
        case HttpProxyId():
            return _http_proxy(db, key)


def _virtual_outbound(db: Registry, key: VirtualOutboundId) -> Listener:
    """Connections to destinations without a listener end in the catch-all; those to 15001 itself would go round."""
    nowhere = TcpProxy(stat_prefix=BLACK_HOLE_CLUSTER, clusters=((BLACK_HOLE_CLUSTER, 1),))
    return Listener(
        name=VIRTUAL_OUTBOUND,
        addresses=tuple(Address(address, OUTBOUND_PORT) for address in key.addresses),
        direction=Direction.OUTBOUND,
        bind=key.bind,
        use_original_destination=True,
        filter_chains=(
            FilterChain(name=BLACK_HOLE, match=FilterChainMatch(destination_port=OUTBOUND_PORT), filters=(nowhere,)),
            _passed_through(CATCH_ALL, key.traffic.cluster, access_logs(db)),
        ),
        access_logs=listener_access_logs(db),
    )


def _http_proxy(db: Registry, key: HttpProxyId) -> Listener:
    manager = outbound_manager(
        http_settings(db), stat_prefix=f"outbound_{key.name}{STAT_NAME_END}", route=RouteName(HTTP_PROXY_ROUTE)
    )
    return Listener(
        name=key.name,
        addresses=(Address(LOOPBACK, key.port),),
        direction=Direction.OUTBOUND,
        filter_chains=(FilterChain(name=key.name, filters=(manager,)),),
        access_logs=listener_access_logs(db),
    )


def _port_listener(db: Registry, key: PortListenerId) -> Listener:
    routes = [route for member in key.members for route in _routes(db, key, member)]
    tcp = [_tcp_chain(db, key, route) for route in without_overlaps(routes)]
    chains = [*_http_chains(db, key), *(chain for chain in tcp if chain.match)]
    default = next((chain for chain in tcp if not chain.match), None)
    if default is None and key.traffic is not None:
        default = _passed_through(PASSTHROUGH, key.traffic.cluster, access_logs(db))
    if default is not None and not chains:
        chains, default = [default], None
    return Listener(
        name=key.name,
        addresses=tuple(Address(address, key.port) for address in key.addresses),
        direction=Direction.OUTBOUND,
        bind=False,
        listener_filters=tuple(_inspections(key, chains)),
        detection_timeout=detection_timeout(db),
        filter_chains=tuple(chains),
        default_filter_chain=default,
        access_logs=listener_access_logs(db),
        origins=tuple(sorted({origin for route in routes for origin in route.origins})),
    )


def _http_chains(db: Registry, key: PortListenerId) -> Iterator[FilterChain]:
    """HTTP in clear, known by its first bytes. Where one cluster serves a whole port, HTTP/2 is said upstream too."""
    if not key.route:
        return
    manager = outbound_manager(
        http_settings(db), stat_prefix=f"outbound_{key.name}{STAT_NAME_END}", route=RouteName(key.route)
    )
    if not key.sniffed:
        yield _http_chain(key, (*HTTP1, *HTTP2), (manager,))
        return
    yield _http_chain(key, HTTP1, (manager,))
    yield _http_chain(key, HTTP2, (UpstreamAlpn(MESH_HTTP2_ALPN), manager))


def _http_chain(
    key: PortListenerId, protocols: tuple[str, ...], filters: tuple[UpstreamAlpn | HttpConnectionManager, ...]
) -> FilterChain:
    match = FilterChainMatch(transport_protocol=RAW_BUFFER, application_protocols=protocols)
    return FilterChain(name=key.name, match=match, filters=filters)


def _routes(db: Registry, key: PortListenerId, member: Member) -> Iterator[TcpRoute]:
    """Where a member's connections go: by server name, by destination, then the rest."""
    if not member.routed:
        plain: tuple[TcpRoute, ...] = (service_route(db, member.client, member.ref, member.port),)
    else:
        yield from tls_routes(db, member.client, member.ref, member.port)
        plain = tcp_routes(db, member.client, member.ref, member.port)
    for route in plain:
        yield _narrowed(route, key, member)


def _narrowed(route: TcpRoute, key: PortListenerId, member: Member) -> TcpRoute:
    """On a shared listener a member takes no more than its own addresses or its own server name."""
    if key.traffic is None or route.destination_subnets or route.sni_hosts:
        return route
    return TcpRoute(
        clusters=route.clusters,
        stat_prefix=route.stat_prefix,
        settings=route.settings,
        origins=route.origins,
        destination_subnets=member.blocks,
        sni_hosts=(member.ref.host,) if member.protocol.is_tls else (),
    )


def _tcp_chain(db: Registry, key: PortListenerId, route: TcpRoute) -> FilterChain:
    proxy = TcpProxy(
        stat_prefix=route.stat_prefix,
        clusters=route.clusters,
        idle_timeout=route.settings.idle_timeout,
        max_connection_duration=route.settings.max_connection_duration,
        hash_source_ip=route.settings.use_source_ip,
        access_logs=access_logs(db),
    )
    unsaid = any(member.protocol is Protocol.AUTO for member in key.members)
    filters: tuple[NetworkFilter, ...] = (UpstreamAlpn(MESH_TCP_ALPN), proxy) if unsaid else (proxy,)
    match = connection_match(route)
    return FilterChain(name=key.name, match=match, filters=filters)


def _passed_through(name: str, cluster: str, logs: tuple[FileAccessLog, ...]) -> FilterChain:
    proxy = TcpProxy(stat_prefix=cluster, clusters=((cluster, 1),), access_logs=logs)
    return FilterChain(name=name, filters=(proxy,))


def _inspections(key: PortListenerId, chains: list[FilterChain]) -> Iterator[ListenerFilter]:
    """Only what some chain asks for: an inspection makes servers that speak first wait."""
    if key.route or any(chain.match and chain.match.server_names for chain in chains):
        yield ListenerFilter(Inspection.TLS)
    if key.route:
        yield ListenerFilter(Inspection.HTTP)
