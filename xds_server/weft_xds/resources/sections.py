"""Sections: what each kind of proxy is sent, put together from parts that groups of proxies share."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Final, Protocol

from weft_core.graph import query
from weft_core.ir.endpoint import Locality
from weft_core.ir.service import Labels
from weft_core.proxy import LocalPorts, ProxyId, ProxyKind
from weft_core.registry import Registry
from weft_core.view.client_secrets import client_secrets
from weft_core.view.clusters import endpoint_key, share_cluster_ids, special_clusters
from weft_core.view.gateway_listeners import gateway_listeners, gateway_secrets
from weft_core.view.gateway_routes import gateway_route_ids, gateway_virtual_host_ids
from weft_core.view.gateways import gateway_id
from weft_core.view.inbound import InboundId, inbound_id
from weft_core.view.inbound_clusters import inbound_clusters
from weft_core.view.inbound_listener import inbound_listener
from weft_core.view.ip_families import IpFamilies, families_of
from weft_core.view.locality import failover_label_keys
from weft_core.view.outbound_listeners import http_proxy_id, outbound_listener_ids
from weft_core.view.proxies import client_of, workload
from weft_core.view.readiness import readiness_listener_of
from weft_core.view.routes import route_ids
from weft_core.view.selectors import project
from weft_core.view.shares import Share, shares
from weft_core.view.virtual_hosts import share_virtual_host_ids
from weft_xds.resources.keys import Part, ResourceKey, SectionKey
from weft_xds.types import CDS, EDS, LDS, RDS, SDS, VHDS

Place = tuple[Share, Locality, Labels]
"""A share of a client's services, where the client is, and its labels that failover looks at: endpoints may depend on
all three."""


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
    labels = project(pod.labels, failover_label_keys(db))
    families = families_of(pod.addresses)
    parts = shares(db, client)
    found = [SectionKey(CDS, Part.SPECIAL)]
    found += [SectionKey(CDS, Part.OUTBOUND, share) for share in parts]
    found += [SectionKey(EDS, Part.OUTBOUND, (share, pod.locality, labels)) for share in parts]
    if proxy.kind is ProxyKind.SIDECAR:
        found.append(SectionKey(LDS, Part.OUTBOUND, (client, families)))
        found += [SectionKey(type_url, Part.OUTBOUND, client) for type_url in (RDS, SDS)]
        found += [SectionKey(VHDS, Part.OUTBOUND, share) for share in parts]
        inbound = inbound_id(db, proxy)
        found += [SectionKey(type_url, Part.INBOUND, inbound) for type_url in (CDS, LDS)]
        if pod.local:
            found.append(SectionKey(LDS, Part.HTTP_PROXY, pod.local.proxy))
    else:
        gateway = gateway_id(db, proxy)
        found += [SectionKey(type_url, Part.GATEWAY, gateway) for type_url in (LDS, RDS, VHDS, SDS)]
    return (*found, SectionKey(LDS, Part.READINESS, (pod.local, families)))


@query
def section(db: Registry, key: SectionKey) -> tuple[ResourceKey, ...]:
    """The resources of a section."""
    return tuple(_SECTIONS[key.type_url, key.part](db, key.view))


def _keys(type_url: str, views: Iterable[Named]) -> Iterable[ResourceKey]:
    return (ResourceKey(type_url, view.name, view) for view in views)


def _outbound_endpoints(db: Registry, place: Place) -> Iterable[ResourceKey]:
    share, locality, labels = place
    found = (endpoint_key(db, key, locality, labels) for key in share_cluster_ids(db, share))
    return _keys(EDS, (key for key in found if key is not None))


def _inbound_listeners(db: Registry, inbound: InboundId) -> Iterable[ResourceKey]:
    return _keys(LDS, [inbound_listener(db, inbound)])


def _readiness(_db: Registry, place: tuple[LocalPorts | None, IpFamilies]) -> Iterable[ResourceKey]:
    listener = readiness_listener_of(*place)
    return [ResourceKey(LDS, listener.name, listener, last=True)]


_SECTIONS: Final[Mapping[tuple[str, Part], Callable[[Registry, Any], Iterable[ResourceKey]]]] = {
    (CDS, Part.SPECIAL): lambda _db, _none: _keys(CDS, special_clusters()),
    (CDS, Part.OUTBOUND): lambda db, share: _keys(CDS, share_cluster_ids(db, share)),
    (EDS, Part.OUTBOUND): _outbound_endpoints,
    (LDS, Part.OUTBOUND): lambda db, view: _keys(LDS, outbound_listener_ids(db, *view)),
    (RDS, Part.OUTBOUND): lambda db, client: _keys(RDS, route_ids(db, client)),
    (VHDS, Part.OUTBOUND): lambda db, share: _keys(VHDS, share_virtual_host_ids(db, share)),
    (SDS, Part.OUTBOUND): lambda db, client: _keys(SDS, client_secrets(db, client)),
    (CDS, Part.INBOUND): lambda db, inbound: _keys(CDS, inbound_clusters(db, inbound)),
    (LDS, Part.INBOUND): _inbound_listeners,
    (LDS, Part.GATEWAY): lambda db, gateway: _keys(LDS, gateway_listeners(db, gateway)),
    (RDS, Part.GATEWAY): lambda db, gateway: _keys(RDS, gateway_route_ids(db, gateway)),
    (VHDS, Part.GATEWAY): lambda db, gateway: _keys(VHDS, gateway_virtual_host_ids(db, gateway)),
    (SDS, Part.GATEWAY): lambda db, gateway: _keys(SDS, gateway_secrets(db, gateway)),
    (LDS, Part.HTTP_PROXY): lambda _db, port: _keys(LDS, [http_proxy_id(port)]),
    (LDS, Part.READINESS): _readiness,
}
