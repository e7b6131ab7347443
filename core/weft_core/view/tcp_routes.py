"""TCP and TLS routes: where connections go that the mesh doesn't look into, by port, subnet and server name.

Unlike HTTP matches, these need everything they say to hold: port, gateways, sourceLabels and sourceNamespace.
sourceSubnet is ignored, as in Istio.
"""

from collections.abc import Iterator

from weft_core.graph import query
from weft_core.ir.route import TcpRoute
from weft_core.ir.service import ServiceRef
from weft_core.ir.traffic_policy import TcpSettings
from weft_core.model.virtual_service import L4MatchAttributes, RouteDestination
from weft_core.names import MESH_GATEWAY, hosts_overlap, outbound_cluster
from weft_core.problems import ObjectRef
from weft_core.registry import Key, Registry
from weft_core.view.connection_pool import tcp_settings
from weft_core.view.destinations import destination_cluster, destination_port
from weft_core.view.route_match import Viewpoint, holds_l4
from weft_core.view.virtual_services import mesh_virtual_services, tcp_rules, tls_rules
from weft_core.view.visibility import Client, find_service


@query
def tcp_routes(db: Registry, client: Client, ref: ServiceRef, port: int) -> tuple[TcpRoute, ...]:
    """Where a client's connections to a service's TCP port go: by destination subnet first, then the rest.

    Without a VirtualService that says anything about this port, to the service itself; so do the addresses that its
    rules leave out.
    """
    viewpoint = _viewpoint(client, port)
    for key in mesh_virtual_services(db, client.namespace, client.sidecar, ref.host):
        if found := tuple(tcp_routes_of(db, client, key, viewpoint)):
            return found if not found[-1].destination_subnets else (*found, service_route(db, client, ref, port))
    return (service_route(db, client, ref, port),)


@query
def tls_routes(db: Registry, client: Client, ref: ServiceRef, port: int) -> tuple[TcpRoute, ...]:
    """Where a client's TLS connections to a service's port go, by server name; empty without such rules."""
    viewpoint = _viewpoint(client, port)
    for key in mesh_virtual_services(db, client.namespace, client.sidecar, ref.host):
        found = tuple(
            route
            for route in tls_routes_of(db, client, key, viewpoint)
            if any(hosts_overlap(name, ref.host) for name in route.sni_hosts)
        )
        if found:
            return found
    return ()


def service_route(db: Registry, client: Client, ref: ServiceRef, port: int) -> TcpRoute:
    """All connections to the service itself."""
    cluster = outbound_cluster(port, "", ref.host)
    settings = tcp_settings(db, client, ref, port, "")
    return TcpRoute(clusters=((cluster, 1),), stat_prefix=cluster, settings=settings)


def tcp_routes_of(db: Registry, client: Client, key: Key, viewpoint: Viewpoint) -> Iterator[TcpRoute]:
    """The TCP rules of one VirtualService that hold from here. One without subnets takes all, and ends the list."""
    for rule in tcp_rules(db, key):
        matches = [match for match in rule.match if holds_l4(match, viewpoint)]
        if rule.match and not matches:
            continue
        subnets = () if any(not match.destination_subnets for match in matches) else _subnets(matches)
        yield _route(db, client, key, viewpoint.port, rule.route, subnets=subnets)
        if not subnets:
            return


def tls_routes_of(db: Registry, client: Client, key: Key, viewpoint: Viewpoint) -> Iterator[TcpRoute]:
    """The TLS rules of one VirtualService that hold from here. Of equal conditions the first counts."""
    seen: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
    for rule in tls_rules(db, key):
        for match in rule.match:
            condition = (match.sni_hosts, match.destination_subnets)
            if holds_l4(match, viewpoint) and condition not in seen:
                seen.add(condition)
                yield _route(
                    db,
                    client,
                    key,
                    viewpoint.port,
                    rule.route,
                    names=match.sni_hosts,
                    subnets=match.destination_subnets,
                )


def _route(
    db: Registry,
    client: Client,
    key: Key,
    port: int,
    entries: tuple[RouteDestination, ...],
    *,
    names: tuple[str, ...] = (),
    subnets: tuple[str, ...] = (),
) -> TcpRoute:
    chosen = entries if len(entries) == 1 else tuple(entry for entry in entries if entry.weight)
    clusters: tuple[tuple[str, int], ...] = tuple(
        (destination_cluster(db, client, entry.destination, port), entry.weight if len(chosen) > 1 else 1)
        for entry in chosen
    )
    namespace, name = key
    return TcpRoute(
        clusters=clusters,
        stat_prefix=clusters[0][0] if len(clusters) == 1 else f"{name}.{namespace}",
        sni_hosts=names,
        destination_subnets=subnets,
        settings=_settings(db, client, next(iter(chosen)), port),
        origins=(ObjectRef(kind="VirtualService", namespace=namespace, name=name),),
    )


def _settings(db: Registry, client: Client, entry: RouteDestination, port: int) -> TcpSettings:
    """The traffic policy of the first destination holds for the connection as a whole."""
    destination = entry.destination
    ref = find_service(db, client, destination.host)
    if ref is None:
        return TcpSettings()
    number = destination.port.number if destination.port else destination_port(db, client, destination.host, port)
    return tcp_settings(db, client, ref, number, destination.subset or "")


def _subnets(matches: list[L4MatchAttributes]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(subnet for match in matches for subnet in match.destination_subnets))


def _viewpoint(client: Client, port: int) -> Viewpoint:
    return Viewpoint(gateways=(MESH_GATEWAY,), port=port, namespace=client.namespace, labels=client.labels)
