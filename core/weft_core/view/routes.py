"""Route configurations: what an HTTP connection manager asks for by name.

Those of shared ports are small: a catch-all, and the word that virtual hosts come by themselves (VHDS). An unnamed
port on a service's own address has one of its own, with that service's virtual host in it.
"""

from dataclasses import dataclass

from weft_core.graph import query
from weft_core.ir.route import DirectResponse, Forward, Route, RouteConfiguration, VirtualHost, WeightedCluster
from weft_core.ir.service import ServiceRef
from weft_core.names import HTTP_PROXY_ROUTE
from weft_core.registry import Registry
from weft_core.view.outbound_traffic import outbound_traffic
from weft_core.view.shared_hosts import is_ordinary, nobody
from weft_core.view.virtual_hosts import (
    VirtualHostId,
    http_ports,
    route_name,
    shared_names,
    virtual_host,
    virtual_host_id,
    virtual_host_ids,
)
from weft_core.view.visibility import Client, visible_services

ALLOW_ANY = "allow_any"
BLOCK_ALL = "block_all"
NOT_IN_THE_MESH = "no service of the mesh has this host; name one, or leave it out of HTTP_PROXY with NO_PROXY\n"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RouteConfigurationId:
    """All that decides one route configuration's content."""

    name: str
    catch_all: str = ""
    """The cluster for hosts that no virtual host has; empty: refused, with 502 by a sidecar, 404 by a gateway."""
    virtual_host: VirtualHostId | None = None
    """The only virtual host, for one that takes every host."""
    gateway_port: int = 0
    """Set for a gateway's."""
    pushed: bool = True
    """Some of its virtual hosts are resources of their own. Where none is, Envoy must not be told to expect any: it
    would keep the listener warming for 15 s."""


@query
def route_ids(db: Registry, client: Client) -> tuple[RouteConfigurationId, ...]:
    """All route configurations of a sidecar's outbound listeners."""
    policy = outbound_traffic(db, client)
    catch_all = policy.cluster if policy.allowed else ""
    found = [RouteConfigurationId(name=name, catch_all=catch_all) for name in sorted(shared_names(db, client))]
    if client.local:
        found.append(RouteConfigurationId(name=HTTP_PROXY_ROUTE, pushed=bool(virtual_host_ids(db, client))))
    for ref in visible_services(db, client):
        found += lone_route_ids(db, nobody(client) if is_ordinary(db, client, ref.host) else client, ref)
    return tuple(found)


@query
def lone_route_ids(db: Registry, client: Client, ref: ServiceRef) -> tuple[RouteConfigurationId, ...]:
    """The route configurations that a service has to itself."""
    found = []
    for port in http_ports(db, client, ref):
        name = route_name(ref.host, port)
        key = virtual_host_id(db, client, ref, port.number, name) if port.alone else None
        if key is not None:
            found.append(RouteConfigurationId(name=name, virtual_host=lone(key)))
    return tuple(found)


@query
def route_configuration(db: Registry, key: RouteConfigurationId) -> RouteConfiguration:
    """One route configuration, of a sidecar or a gateway."""
    if key.virtual_host is not None:
        found = virtual_host(db, key.virtual_host)
        return RouteConfiguration(
            name=key.name,
            virtual_hosts=(found,) if found else (_blackhole(key.gateway_port),),
            vhds=bool(key.gateway_port) and key.pushed,
            origins=found.origins if found else (),
        )
    return RouteConfiguration(
        name=key.name,
        virtual_hosts=(_catch_all(key),),
        vhds=key.pushed,
        ignore_port_in_host_matching=key.name != HTTP_PROXY_ROUTE,
    )


def lone(key: VirtualHostId) -> VirtualHostId:
    """The virtual host as the only one of its route configuration: it takes every host, so its names don't matter."""
    return VirtualHostId(
        route_configuration=key.route_configuration,
        host=key.host,
        port=key.port,
        service=key.service,
        scopes=key.scopes,
        client=key.client,
        any_host=True,
    )


def _catch_all(key: RouteConfigurationId) -> VirtualHost:
    if key.gateway_port:
        return _blackhole(key.gateway_port)
    if key.catch_all:
        action: Forward | DirectResponse = Forward(clusters=(WeightedCluster(name=key.catch_all),))
        return VirtualHost(name=ALLOW_ANY, domains=("*",), routes=(Route(name=ALLOW_ANY, action=action),))
    body = NOT_IN_THE_MESH.encode() if key.name == HTTP_PROXY_ROUTE else b""
    action = DirectResponse(status=502, body=body)
    return VirtualHost(name=BLOCK_ALL, domains=("*",), routes=(Route(name=BLOCK_ALL, action=action),))


def _blackhole(port: int) -> VirtualHost:
    """Answers everything with 404: a gateway must not pass on what nobody routed."""
    return VirtualHost(name=f"blackhole:{port}", domains=("*",), routes=())
