"""Listeners of gateways: one for each port and address, with one chain for plain HTTP or one for each TLS server."""

from collections.abc import Iterator
from dataclasses import replace

from weft_core.graph import query
from weft_core.ir.http import ForwardClientCert, HttpConnectionManager, RouteName
from weft_core.ir.listener import (
    TLS,
    Address,
    Direction,
    FilterChain,
    FilterChainMatch,
    Inspection,
    Listener,
    ListenerFilter,
    NetworkFilter,
    TcpProxy,
)
from weft_core.ir.rbac import Rbac
from weft_core.ir.route import TcpRoute
from weft_core.model.proxy_config import ForwardClientCertDetails
from weft_core.problems import ObjectRef
from weft_core.proxy import LocalPorts
from weft_core.registry import Registry
from weft_core.view.access_log import access_logs, listener_access_logs
from weft_core.view.client_secrets import client_secrets
from weft_core.view.connection_match import connection_match, without_overlaps
from weft_core.view.gateway_routes import EVERY_HOST, attached_virtual_services, server_groups
from weft_core.view.gateway_secrets import SecretId
from weft_core.view.gateway_tls import pushed_secrets, server_tls
from weft_core.view.gateways import GatewayId, GatewayPort, GatewayServer, Speech, gateway_ports
from weft_core.view.http_managers import http_filters, http_settings, network_security_filters, security_filters
from weft_core.view.ip_families import LOOPBACK
from weft_core.view.local_ports import localised
from weft_core.view.mesh import detection_timeout, gateway_topology
from weft_core.view.mesh_tls import HTTP_ALPN, TCP_ALPN
from weft_core.view.route_match import Viewpoint
from weft_core.view.tcp_routes import tcp_routes_of, tls_routes_of


@query
def gateway_listeners(db: Registry, gateway: GatewayId) -> tuple[Listener, ...]:
    """All listeners of a gateway. A TCP or TLS port on which nothing is routed is not opened."""
    found = (_listener(db, gateway, port) for port in gateway_ports(db, gateway))
    return tuple(listener for listener in found if listener)


@query
def gateway_secrets(db: Registry, gateway: GatewayId) -> tuple[SecretId, ...]:
    """The Secrets that a gateway's servers and clusters name: in its pod's namespace, whatever the Gateway's own is."""
    names = {
        name
        for port in gateway_ports(db, gateway)
        for server in port.servers
        if server.ends_tls and server.server.tls is not None
        for name in pushed_secrets(server.server.tls)
    }
    servers = (SecretId(gateway.client.namespace, name) for name in names)
    return tuple(sorted({*servers, *client_secrets(db, gateway.client)}))


def _listener(db: Registry, gateway: GatewayId, port: GatewayPort) -> Listener | None:
    chains = tuple(_http_chains(db, gateway, port) if port.speech is Speech.HTTP else _chains(db, gateway, port))
    if not chains:
        return None
    addresses = _addresses(gateway, port)
    tls = port.speech is Speech.TLS
    return Listener(
        name=f"{addresses[0].host}_{port.target}",
        addresses=addresses,
        direction=Direction.OUTBOUND,
        filter_chains=chains,
        listener_filters=(ListenerFilter(Inspection.TLS),) if tls else (),
        detection_timeout=detection_timeout(db),
        access_logs=listener_access_logs(db),
        origins=tuple(dict.fromkeys(_origins(db, gateway, port))),
    )


def _origins(db: Registry, gateway: GatewayId, port: GatewayPort) -> Iterator[ObjectRef]:
    """The Gateways of the port, the policies that protect it, and what routes its connections."""
    for server in port.servers:
        yield ObjectRef(kind="Gateway", namespace=server.gateway[0], name=server.gateway[1])
    for each in security_filters(db, gateway.client.namespace, gateway.labels):
        yield from each.origins
    for server in port.servers:
        if server.routes_http:
            continue
        viewpoint = _viewpoint(gateway, port, server)
        routes = tls_routes_of if server.rules == "tls" else tcp_routes_of
        for key in attached_virtual_services(db, gateway.client.namespace, server):
            for route in routes(db, gateway.client, key, viewpoint):
                yield from route.origins


def _addresses(gateway: GatewayId, port: GatewayPort) -> tuple[Address, ...]:
    """Where the port is opened: where proxies share a machine, on loopback and at a port of its own."""
    if gateway.local is not None:
        return (Address(LOOPBACK, gateway.local.application_port(port.target)),)
    hosts = (port.bind,) if port.bind else gateway.families.anywhere
    return tuple(Address(host, port.target) for host in hosts)


def _http_chains(db: Registry, gateway: GatewayId, port: GatewayPort) -> Iterator[FilterChain]:
    for group in server_groups(port):
        yield FilterChain(name=group.route_configuration, filters=(_manager(db, gateway, group.route_configuration),))


def _chains(db: Registry, gateway: GatewayId, port: GatewayPort) -> Iterator[FilterChain]:
    """The chains of TLS and TCP servers, each for the names that it serves."""
    routed = {group.servers[0]: group.route_configuration for group in server_groups(port)}
    for server in port.servers:
        tls = server.server.tls
        if server in routed and tls is not None:
            yield FilterChain(
                name=routed[server],
                match=_names(server),
                filters=(_manager(db, gateway, routed[server]),),
                tls=server_tls(db, tls, HTTP_ALPN),
            )
        elif server.ends_tls and tls is not None:
            for chain in _tcp_chains(db, gateway, port, server):
                blocks = chain.match.prefix_ranges if chain.match else ()
                match = replace(_names(server), prefix_ranges=blocks)
                yield replace(chain, match=match, tls=server_tls(db, tls, TCP_ALPN))
        elif server.speech is Speech.TLS:
            yield from _passed_through(db, gateway, port, server)
        else:
            yield from _tcp_chains(db, gateway, port, server)


def _names(server: GatewayServer) -> FilterChainMatch:
    """The server names of a chain; a server of every host takes clients that name none, too."""
    hosts = tuple(host for _, host in server.hosts)
    return FilterChainMatch(transport_protocol=TLS, server_names=() if EVERY_HOST in hosts else hosts)


def _tcp_chains(db: Registry, gateway: GatewayId, port: GatewayPort, server: GatewayServer) -> Iterator[FilterChain]:
    """Where the connections of a TCP server go: to what the oldest VirtualService with TCP rules says.

    Destination subnets are compared with the address at the pod: the one that Envoy sees.
    """
    viewpoint = _viewpoint(gateway, port, server)
    for key in attached_virtual_services(db, gateway.client.namespace, server):
        routes = tuple(without_overlaps(tcp_routes_of(db, gateway.client, key, viewpoint)))
        for route in routes:
            name = ":".join((server.name, *route.destination_subnets[:1]))
            yield FilterChain(name=name, match=connection_match(route), filters=_tcp_filters(db, gateway, route))
        if routes:
            return


def _passed_through(
    db: Registry, gateway: GatewayId, port: GatewayPort, server: GatewayServer
) -> Iterator[FilterChain]:
    """A chain for each TLS rule, chosen by address and server name; what two rules want is the first one's."""
    viewpoint = _viewpoint(gateway, port, server)
    attached = attached_virtual_services(db, gateway.client.namespace, server)
    routes = (route for key in attached for route in tls_routes_of(db, gateway.client, key, viewpoint))
    for route in without_overlaps(routes):
        match = connection_match(route) or FilterChainMatch()
        yield FilterChain(
            name=":".join((server.name, route.sni_hosts[0], *route.destination_subnets[:1])),
            match=replace(match, transport_protocol=TLS),
            filters=_tcp_filters(db, gateway, route),
        )


def _viewpoint(gateway: GatewayId, port: GatewayPort, server: GatewayServer) -> Viewpoint:
    client = gateway.client
    return Viewpoint(gateways=(server.name,), port=port.number, namespace=client.namespace, labels=client.labels)


def _tcp_filters(db: Registry, gateway: GatewayId, route: TcpRoute) -> tuple[NetworkFilter, ...]:
    security = network_security_filters(db, gateway.client.namespace, gateway.labels)
    local = _opened_ports(gateway)
    settings = route.settings
    proxy = TcpProxy(
        stat_prefix=route.stat_prefix,
        clusters=route.clusters,
        idle_timeout=settings.idle_timeout,
        max_connection_duration=settings.max_connection_duration,
        hash_source_ip=settings.use_source_ip,
        access_logs=access_logs(db),
    )
    return (*(localised(each, local) for each in security), proxy)


def _opened_ports(gateway: GatewayId) -> LocalPorts | None:
    """A gateway on a shared machine takes traffic where another workload's process would listen."""
    return replace(gateway.local, inbound=gateway.local.application) if gateway.local else None


def _manager(db: Registry, gateway: GatewayId, route_configuration: str) -> HttpConnectionManager:
    """At the edge nobody's word on addresses and identities is taken: both are what the connection shows.

    MeshConfig's `gatewayTopology` says which proxies in front are believed, and what becomes of identities.
    """
    settings, topology = http_settings(db), gateway_topology(db)
    security = security_filters(db, gateway.client.namespace, gateway.labels)
    local = _opened_ports(gateway)
    # Routes may ask for claims (`@request.auth.claims`), which are known once the tokens are verified.
    here = tuple(
        localised(each, local) if isinstance(each, Rbac) else replace(each, reroutes=True) for each in security
    )
    return HttpConnectionManager(
        stat_prefix=f"outbound_{route_configuration}",
        route=RouteName(route_configuration),
        filters=http_filters(here),
        forward_client_cert=_forwarding(topology.forward_client_cert_details),
        describe_client_cert=True,
        path_normalization=settings.path_normalization,
        use_remote_address=True,
        trusted_hops=topology.num_trusted_proxies,
        access_logs=settings.access_logs,
    )


def _forwarding(wanted: ForwardClientCertDetails) -> ForwardClientCert:
    """What becomes of `x-forwarded-client-cert`: by default it tells of the connection's own certificate alone."""
    if wanted is ForwardClientCertDetails.UNDEFINED:
        return ForwardClientCert.SANITIZE_SET
    return ForwardClientCert(wanted.value)
