"""Virtual hosts: one for each host and HTTP port that a client can call, each a resource of its own.

A changed rule changes one of them. Clients to whom a host means the same share it, whatever namespace they are in.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from weft_core import names
from weft_core.graph import query
from weft_core.ir.route import Forward, RequireTls, Route, VirtualHost, WeightedCluster
from weft_core.ir.service import Protocol, Service, ServicePort, ServiceRef
from weft_core.problems import ObjectRef
from weft_core.registry import Key, Registry
from weft_core.view.aliases import alias_target
from weft_core.view.destinations import shared_client
from weft_core.view.domains import (
    alias_domains,
    service_addresses,
    service_domains,
    taken_domains,
    with_ports,
)
from weft_core.view.http_routes import RouteScope, http_routes, route_scope, yields_routes
from weft_core.view.load_balancing import hash_policies
from weft_core.view.route_retry import default_retry, for_hashing
from weft_core.view.services import service
from weft_core.view.shared_hosts import is_ordinary, nobody
from weft_core.view.shares import OWN, Share, share_services, shares
from weft_core.view.virtual_services import attachment, delegate_keys, mesh_virtual_services
from weft_core.view.visibility import Client, find_service, seen_ports, visible_services

ANYONE = Client(namespace="")
MESH = (names.MESH_GATEWAY,)
PORT_OF_UNKNOWN_HOSTS = 80
"""The one port where a VirtualService may route a host that no service has, as in Istio."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class VirtualHostId:
    """All that decides one virtual host's content."""

    route_configuration: str
    host: str
    port: int
    """The port that clients dial: the service's, or a gateway server's."""
    service: ServiceRef | None = None
    """None for a host that no service has: a gateway's, or one that only a VirtualService knows."""
    scopes: tuple[RouteScope, ...] = ()
    """The VirtualServices that route it. None: everything goes to the service."""
    client: Client = ANYONE
    """Whose DestinationRules say what a route without VirtualService hashes."""
    same_namespace: bool = False
    aliases: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    """Domains of the service that another virtual host has."""
    any_host: bool = False
    """The only virtual host of its route configuration: takes whatever host is asked for."""
    require_tls: bool = False

    @property
    def name(self) -> str:
        """The resource's name: `9080/reviews.default.svc.cluster.local:9080`."""
        return names.virtual_host(self.route_configuration, self.host, self.port)

    @property
    def virtual_services(self) -> tuple[Key, ...]:
        """Keys of the VirtualServices that route it."""
        return tuple(scope.virtual_service for scope in self.scopes)


@query
def virtual_host_ids(db: Registry, client: Client) -> tuple[VirtualHostId, ...]:
    """All virtual hosts that a sidecar is sent as resources of their own."""
    return tuple(key for share in shares(db, client) for key in share_virtual_host_ids(db, share))


@query
def share_virtual_host_ids(db: Registry, share: Share) -> tuple[VirtualHostId, ...]:
    """The virtual hosts of a share; hosts that no service has belong to the client's own."""
    client = share.client
    found = [key for ref in share_services(db, share) for key in service_virtual_host_ids(db, client, ref)]
    return (*found, *unknown_host_ids(db, client)) if share.bucket == OWN else tuple(found)


def service_virtual_host_ids(db: Registry, client: Client, ref: ServiceRef) -> tuple[VirtualHostId, ...]:
    """The virtual hosts of one service: one for each HTTP port, and again for a client that uses an HTTP proxy."""
    return own_virtual_host_ids(db, nobody(client) if is_ordinary(db, client, ref.host) else client, ref)


@query
def own_virtual_host_ids(db: Registry, client: Client, ref: ServiceRef) -> tuple[VirtualHostId, ...]:
    """As `service_virtual_host_ids`, computed for this very client."""
    return tuple(
        key
        for port in http_ports(db, client, ref)
        for name in shared_route_names(ref, port, client)
        if (key := virtual_host_id(db, client, ref, port.number, name))
    )


@query
def http_ports(db: Registry, client: Client, ref: ServiceRef) -> tuple["HttpPort", ...]:
    """The ports of a service that a client sees and that speak HTTP, or may turn out to."""
    found = service(db, ref)
    if found is None or found.external_name:
        return ()
    ports = seen_ports(db, client, found)
    return tuple(HttpPort(port.number, _has_own_listener(found, port)) for port in ports if _may_be_http(port))


@dataclass(frozen=True, slots=True)
class HttpPort:
    """An HTTP port of a service."""

    number: int
    alone: bool
    """It has a listener, and so a route configuration, of its own: unnamed protocol on the service's own address."""


def route_name(host: str, port: HttpPort) -> str:
    """The route configuration of a service's port: `9080`, shared, or `host:9080` where the port stands alone."""
    return f"{host}:{port.number}" if port.alone else str(port.number)


def shared_route_names(ref: ServiceRef, port: HttpPort, client: Client) -> Iterator[str]:
    """The route configurations that a port's virtual host is in, beside others."""
    if not port.alone:
        yield route_name(ref.host, port)
    if client.local:
        yield names.HTTP_PROXY_ROUTE


@query
def virtual_host_id(
    db: Registry, client: Client, ref: ServiceRef, port: int, route_configuration: str
) -> VirtualHostId | None:
    """One service's virtual host in one route configuration, for this client."""
    keys = mesh_virtual_services(db, client.namespace, client.sidecar, ref.host)
    scope = _first_that_routes(db, client, port, keys)
    return VirtualHostId(
        route_configuration=route_configuration,
        host=ref.host,
        port=port,
        service=ref,
        scopes=(scope,) if scope else (),
        client=ANYONE if scope else shared_client(db, client, (ref.host,)),
        same_namespace=client.namespace == ref.namespace,
        aliases=_left_over(db, client, alias_domains(db, client, ref.host), port),
        taken=(*taken_domains(db, client, ref), *_routed_elsewhere(db, client, ref, port)),
    )


@query
def unknown_host_ids(db: Registry, client: Client) -> tuple[VirtualHostId, ...]:
    """The virtual hosts of hosts that only VirtualServices know, on port 80, where the client has such a port."""
    shared = [str(PORT_OF_UNKNOWN_HOSTS)] if str(PORT_OF_UNKNOWN_HOSTS) in shared_names(db, client) else []
    if client.local:
        shared.append(names.HTTP_PROXY_ROUTE)
    found = []
    for host in unknown_hosts(db, client) if shared else ():
        keys = mesh_virtual_services(db, client.namespace, client.sidecar, host)
        scope = _first_that_routes(db, client, PORT_OF_UNKNOWN_HOSTS, keys)
        if scope is not None:
            found += [
                VirtualHostId(route_configuration=name, host=host, port=PORT_OF_UNKNOWN_HOSTS, scopes=(scope,))
                for name in shared
            ]
    return tuple(found)


@query
def unknown_hosts(db: Registry, client: Client) -> tuple[str, ...]:
    """The hosts of VirtualServices that no service visible to the client has; a wildcard: not below it either."""
    hosts: dict[str, None] = {}
    for key in db.virtual_services.by("gateway", names.MESH_GATEWAY):
        found = attachment(db, key)
        if found is not None and found.rank(client.namespace) is not None:
            hosts |= dict.fromkeys(host for host in found.hosts if not _known(db, client, host))
    return tuple(host for host in hosts if mesh_virtual_services(db, client.namespace, client.sidecar, host))


@query
def shared_names(db: Registry, client: Client) -> frozenset[str]:
    """The names of the route configurations that several services share, as far as this client has them."""
    return frozenset(
        str(port.number)
        for ref in visible_services(db, client)
        for port in http_ports(db, nobody(client) if is_ordinary(db, client, ref.host) else client, ref)
        if not port.alone
    )


@query
def virtual_host(db: Registry, key: VirtualHostId) -> VirtualHost | None:
    """A virtual host; None once its service is gone."""
    found = service(db, key.service) if key.service else None
    if key.service is not None and found is None:
        return None
    routes = tuple(route for scope in key.scopes for route in http_routes(db, scope))
    if len(key.scopes) > 1:
        routes = tuple(sorted(routes, key=lambda route: route.match.catches_all))
    if found is not None and not key.scopes:
        routes = (_default_route(db, key, found.ref),)
    return VirtualHost(
        name=f"{key.host}:{key.port}" if key.any_host else key.name,
        domains=_domains(db, key, found),
        routes=routes,
        require_tls=RequireTls.ALL if key.require_tls else RequireTls.NONE,
        origins=(*_virtual_services(db, key), *(found.origins if found else ())),
    )


def _first_that_routes(db: Registry, client: Client, port: int, keys: tuple[Key, ...]) -> RouteScope | None:
    """Sidecars never merge VirtualServices: the first of which a rule can hold has the host to itself."""
    scopes = (route_scope(db, client, MESH, port, key) for key in keys)
    return next((scope for scope in scopes if yields_routes(db, scope)), None)


def _default_route(db: Registry, key: VirtualHostId, ref: ServiceRef) -> Route:
    """Everything to the service, as Envoy would not do by itself: no time limit, two careful retries."""
    hashed = hash_policies(db, key.client, ref, key.port, "")
    retry = default_retry(db)
    return Route(
        action=Forward(
            clusters=(WeightedCluster(name=names.outbound_cluster(key.port, "", ref.host)),),
            retry=for_hashing(retry) if hashed else retry,
            hash_policies=hashed,
        ),
        operation=f"{ref.host}:{key.port}/*",
    )


def _domains(db: Registry, key: VirtualHostId, found: Service | None) -> tuple[str, ...]:
    if key.any_host:
        return ("*",)
    if found is None:
        domains: tuple[str, ...] = (key.host,)
    else:
        own = service_domains(found, same_namespace=key.same_namespace, domain=db.settings.domain, aliases=key.aliases)
        domains = tuple(name for name in own if name.removeprefix("*.") not in key.taken)
    if key.route_configuration == names.HTTP_PROXY_ROUTE:
        return with_ports(domains, key.port)
    return domains


def _known(db: Registry, client: Client, host: str) -> bool:
    if host.startswith("*"):
        return any(names.matches_host(host, ref.host) for ref in visible_services(db, client))
    ref = find_service(db, client, host)
    return ref is not None and not alias_target(db, ref)


def _routed_elsewhere(db: Registry, client: Client, ref: ServiceRef, port: int) -> tuple[str, ...]:
    """The service's short names that a VirtualService routes as hosts of their own."""
    if port != PORT_OF_UNKNOWN_HOSTS:
        return ()
    unknown = unknown_hosts(db, client)
    return tuple(host for host in unknown if "." in host and ref.host.startswith(f"{host}."))


def _left_over(db: Registry, client: Client, aliases: tuple[str, ...], port: int) -> tuple[str, ...]:
    """The aliases that are not routed as hosts of their own."""
    if not aliases or port != PORT_OF_UNKNOWN_HOSTS:
        return aliases
    unknown = frozenset(unknown_hosts(db, client))
    return tuple(name for name in aliases if name not in unknown)


def _may_be_http(port: ServicePort) -> bool:
    return port.protocol.is_http or port.protocol is Protocol.AUTO


def _has_own_listener(found: Service, port: ServicePort) -> bool:
    return port.protocol is Protocol.AUTO and bool(service_addresses(found))


def _virtual_services(db: Registry, key: VirtualHostId) -> Iterator[ObjectRef]:
    """The VirtualServices that route it, each before those that it delegates to."""
    for root in key.virtual_services:
        yield _origin(root)
        yield from (_origin(delegate) for delegate in delegate_keys(db, root) if delegate != root)


def _origin(key: Key) -> ObjectRef:
    return ObjectRef(kind="VirtualService", namespace=key[0], name=key[1])
