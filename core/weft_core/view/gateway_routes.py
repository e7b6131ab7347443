"""Routes of gateways: which VirtualServices attach to which server, and the virtual hosts that come of it.

A VirtualService attaches where it names the Gateway, one of its hosts meets one of the server's, and the server lets
its namespace in. Unlike sidecars, gateways concatenate all VirtualServices of a host, with catch-all routes moved to
the end.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from weft_core.graph import query
from weft_core.names import hosts_overlap, specificity
from weft_core.registry import Key, Registry
from weft_core.view.gateways import GatewayId, GatewayPort, GatewayServer, Speech, gateway_ports
from weft_core.view.http_routes import RouteScope, route_scope, yields_routes
from weft_core.view.routes import RouteConfigurationId, lone
from weft_core.view.virtual_hosts import VirtualHostId
from weft_core.view.virtual_services import Attachment, attachment
from weft_core.view.visibility import Client

EVERY_HOST = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerGroup:
    """Servers that share one route configuration: all plain HTTP ones of a port, or a single HTTPS one."""

    route_configuration: str
    port: int
    servers: tuple[GatewayServer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedHost:
    """One host of a server group, and the VirtualServices that attached to it, in order of precedence."""

    host: str
    virtual_services: tuple[tuple[Key, tuple[str, ...]], ...]
    """(key, names of the Gateways through which)."""
    redirects_to_https: bool = False


def server_groups(port: GatewayPort) -> Iterator[ServerGroup]:
    """The route configurations of a port, by Istio's names: `http.8080`, `https.443.https.gateway.istio-system`."""
    suffix = f".{port.bind}" if port.bind else ""
    if port.speech is Speech.HTTP:
        yield ServerGroup(route_configuration=f"http.{port.target}{suffix}", port=port.number, servers=port.servers)
        return
    for server in port.servers:
        if server.routes_http:
            namespace, name = server.gateway
            number, label = server.server.port.number, server.server.port.name
            yield ServerGroup(
                route_configuration=f"https.{number}.{label}.{name}.{namespace}{suffix}",
                port=number,
                servers=(server,),
            )


@query
def gateway_route_ids(db: Registry, gateway: GatewayId) -> tuple[RouteConfigurationId, ...]:
    """All route configurations of a gateway. The virtual host of `*` lies inside, in place of the 404 for the rest."""
    return tuple(_route_id(db, gateway, group) for port in gateway_ports(db, gateway) for group in server_groups(port))


def _route_id(db: Registry, gateway: GatewayId, group: ServerGroup) -> RouteConfigurationId:
    hosts = _host_ids(db, gateway, group)
    return RouteConfigurationId(
        name=group.route_configuration,
        gateway_port=group.port,
        virtual_host=next((lone(key) for key in hosts if key.host == EVERY_HOST), None),
        pushed=any(key.host != EVERY_HOST for key in hosts),
    )


@query
def gateway_virtual_host_ids(db: Registry, gateway: GatewayId) -> tuple[VirtualHostId, ...]:
    """The virtual hosts that a gateway is sent as resources of their own."""
    return tuple(
        key
        for port in gateway_ports(db, gateway)
        for group in server_groups(port)
        for key in _host_ids(db, gateway, group)
        if key.host != EVERY_HOST
    )


@query
def _host_ids(db: Registry, gateway: GatewayId, group: ServerGroup) -> tuple[VirtualHostId, ...]:
    found = (_host_id(db, gateway.client, group, one) for one in attached_hosts(db, gateway.client.namespace, group))
    return tuple(key for key in found if key)


def _host_id(db: Registry, client: Client, group: ServerGroup, one: AttachedHost) -> VirtualHostId | None:
    """None where no rule can hold through this server: the host is then as unknown as any other."""
    scopes = _scopes(db, client, group.port, one)
    if not scopes and not one.redirects_to_https:
        return None
    return VirtualHostId(
        route_configuration=group.route_configuration,
        host=one.host,
        port=group.port,
        scopes=scopes,
        require_tls=one.redirects_to_https,
    )


def _scopes(db: Registry, client: Client, port: int, one: AttachedHost) -> tuple[RouteScope, ...]:
    found = (route_scope(db, client, gateways, port, key) for key, gateways in one.virtual_services)
    return tuple(scope for scope in found if yields_routes(db, scope))


@query
def attached_hosts(db: Registry, namespace: str, group: ServerGroup) -> tuple[AttachedHost, ...]:
    """The hosts of a server group that have VirtualServices, or send their clients to https."""
    hosts: dict[str, dict[Key, dict[str, None]]] = {}
    redirecting: set[str] = set()
    ranks: dict[Key, tuple[int, tuple[str, str, str]]] = {}
    for server in group.servers:
        tls = server.server.tls
        redirects = server.speech is Speech.HTTP and tls is not None and tls.https_redirect
        if redirects:
            redirecting |= {host for _, host in server.hosts}
        for rank, found in _attaching(db, namespace, server):
            ranks[found.key] = (rank, found.age)
            for host in meeting_hosts(found, server):
                hosts.setdefault(host, {}).setdefault(found.key, {})[server.name] = None
                if redirects:
                    redirecting.add(host)
    return tuple(
        AttachedHost(
            host=host,
            virtual_services=tuple(
                (key, tuple(sorted(hosts.get(host, {})[key])))
                for key in sorted(hosts.get(host, {}), key=lambda key: (ranks[key], key))
            ),
            redirects_to_https=host in redirecting,
        )
        for host in sorted({*hosts, *redirecting})
    )


def meeting_hosts(found: Attachment, server: GatewayServer) -> tuple[str, ...]:
    """The hosts that a VirtualService and a server have in common: of two that overlap, the more specific one."""
    meeting = (
        max(own, offered, key=specificity)
        for own in found.hosts
        for namespace, offered in server.hosts
        if namespace in ("*", found.key[0]) and hosts_overlap(own, offered)
    )
    return tuple(dict.fromkeys(meeting))


@query
def _attaching(db: Registry, namespace: str, server: GatewayServer) -> tuple[tuple[int, Attachment], ...]:
    """(rank, VirtualService) for all that name the server's Gateway and are exported to the gateway pod's namespace."""
    found = (attachment(db, key) for key in db.virtual_services.by("gateway", server.name))
    return tuple((rank, a) for a in found if a and (rank := a.rank(namespace)) is not None)


@query
def attached_virtual_services(db: Registry, namespace: str, server: GatewayServer) -> tuple[Key, ...]:
    """All VirtualServices that attach to a server, in order of precedence: for its TCP and TLS routes."""
    ranked = sorted(
        (rank, found.age, found.key)
        for rank, found in _attaching(db, namespace, server)
        if meeting_hosts(found, server)
    )
    return tuple(key for _, _, key in ranked)
