"""Sections: what each kind of proxy is sent, put together from parts that groups of proxies share."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Final, Protocol

from weft_core.graph import query
from weft_core.ir.endpoint import Locality
from weft_core.ir.service import Labels
from weft_core.proxy import LocalPorts, ProxyId, ProxyKind
from weft_core.registry import Registry
from weft_core.view.clusters import cluster_ids, endpoint_key, special_clusters
from weft_core.view.gateway_listeners import gateway_listeners, gateway_secrets
from weft_core.view.gateway_routes import gateway_route_ids, gateway_virtual_host_ids
from weft_core.view.gateways import gateway_id
from weft_core.view.inbound import InboundId, inbound_id
from weft_core.view.inbound_clusters import inbound_clusters
from weft_core.view.inbound_listener import inbound_listener
from weft_core.view.locality import failover_label_keys
from weft_core.view.outbound_listeners import http_proxy_id, outbound_listener_ids
from weft_core.view.proxies import client_of, workload
from weft_core.view.readiness import readiness_listener_of
from weft_core.view.routes import route_ids
from weft_core.view.selectors import project
from weft_core.view.virtual_hosts import virtual_host_ids
from weft_core.view.visibility import Client
from weft_xds.resources.keys import Part, ResourceKey, SectionKey
from weft_xds.types import CDS, EDS, LDS, RDS, SDS, VHDS

Place = tuple[Client, Locality, Labels]
"""A client, where it is, and its labels that failover looks at: endpoints may depend on all three."""


class Named(Hashable, Protocol):
    """A view that knows its resource's name."""

    @property
    def name(self) -> str:
        """The resource's name on the wire."""


@query
def proxy_sections(db: Registry, proxy: ProxyId) -> tuple[SectionKey, ...]:
    """The sections of a proxy; none while its pod is not known."""
    client = client_of(db, proxy)
    pod = workload(db, (proxy.namespace, proxy.name))
    if client is None or pod is None:
        return ()
    place = (client, pod.locality, project(pod.labels, failover_label_keys(db)))
    found = [SectionKey(CDS, Part.OUTBOUND, client), SectionKey(EDS, Part.OUTBOUND, place)]
    if proxy.kind is ProxyKind.SIDECAR:
        found += [SectionKey(type_url, Part.OUTBOUND, client) for type_url in (LDS, RDS, VHDS)]
        inbound = inbound_id(db, proxy)
        found += [SectionKey(type_url, Part.INBOUND, inbound) for type_url in (CDS, LDS)]
        if pod.local:
            found.append(SectionKey(LDS, Part.HTTP_PROXY, pod.local.proxy))
    else:
        gateway = gateway_id(db, proxy)
        found += [SectionKey(type_url, Part.GATEWAY, gateway) for type_url in (LDS, RDS, VHDS, SDS)]
    return (*found, SectionKey(LDS, Part.READINESS, pod.local))


@query
def section(db: Registry, key: SectionKey) -> tuple[ResourceKey, ...]:
    """The resources of a section."""
    return tuple(_SECTIONS[key.type_url, key.part](db, key.view))


def _keys(type_url: str, views: Iterable[Named]) -> Iterable[ResourceKey]:
    return (ResourceKey(type_url, view.name, view) for view in views)


def _outbound_clusters(db: Registry, client: Client) -> Iterable[ResourceKey]:
    return _keys(CDS, (*cluster_ids(db, client), *special_clusters()))


def _outbound_endpoints(db: Registry, place: Place) -> Iterable[ResourceKey]:
    client, locality, labels = place
    found = (endpoint_key(db, key, locality, labels) for key in cluster_ids(db, client))
    return _keys(EDS, (key for key in found if key is not None))


def _inbound_listeners(db: Registry, inbound: InboundId) -> Iterable[ResourceKey]:
    return _keys(LDS, [inbound_listener(db, inbound)])


def _readiness(_db: Registry, local: LocalPorts | None) -> Iterable[ResourceKey]:
    listener = readiness_listener_of(local)
    return [ResourceKey(LDS, listener.name, listener, last=True)]


_SECTIONS: Final[Mapping[tuple[str, Part], Callable[[Registry, Any], Iterable[ResourceKey]]]] = {
    (CDS, Part.OUTBOUND): _outbound_clusters,
    (EDS, Part.OUTBOUND): _outbound_endpoints,
    (LDS, Part.OUTBOUND): lambda db, client: _keys(LDS, outbound_listener_ids(db, client)),
    (RDS, Part.OUTBOUND): lambda db, client: _keys(RDS, route_ids(db, client)),
    (VHDS, Part.OUTBOUND): lambda db, client: _keys(VHDS, virtual_host_ids(db, client)),
    (CDS, Part.INBOUND): lambda db, inbound: _keys(CDS, inbound_clusters(db, inbound)),
    (LDS, Part.INBOUND): _inbound_listeners,
    (LDS, Part.GATEWAY): lambda db, gateway: _keys(LDS, gateway_listeners(db, gateway)),
    (RDS, Part.GATEWAY): lambda db, gateway: _keys(RDS, gateway_route_ids(db, gateway)),
    (VHDS, Part.GATEWAY): lambda db, gateway: _keys(VHDS, gateway_virtual_host_ids(db, gateway)),
    (SDS, Part.GATEWAY): lambda db, gateway: _keys(SDS, gateway_secrets(db, gateway)),
    (LDS, Part.HTTP_PROXY): lambda _db, port: _keys(LDS, [http_proxy_id(port)]),
    (LDS, Part.READINESS): _readiness,
}
