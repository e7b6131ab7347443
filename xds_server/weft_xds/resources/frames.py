"""Frames: from a resource's key through its view to its bytes. One query a resource, shared by all who get it."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from envoy.config.cluster.v3.cluster_pb2 import Cluster as ClusterMessage
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener as ListenerMessage
from envoy.config.route.v3.route_components_pb2 import VirtualHost as VirtualHostMessage
from envoy.config.route.v3.route_pb2 import RouteConfiguration as RouteConfigurationMessage
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from google.protobuf.message import Message

from weft_core.graph import query
from weft_core.ir.cluster import Cluster, ClusterId
from weft_core.ir.listener import Listener
from weft_core.ir.load_assignment import LoadAssignmentId
from weft_core.registry import Registry
from weft_core.view.clusters import cluster
from weft_core.view.gateway_secrets import SecretId, secret
from weft_core.view.load_assignment import load_assignment
from weft_core.view.outbound_listener import outbound_listener
from weft_core.view.outbound_listeners import HttpProxyId, PortListenerId, VirtualOutboundId
from weft_core.view.routes import RouteConfigurationId, route_configuration
from weft_core.view.virtual_hosts import VirtualHostId, virtual_host
from weft_xds.build.cluster import build_cluster
from weft_xds.build.listener import build_listener
from weft_xds.build.load_assignment import build_load_assignment
from weft_xds.build.route import build_route_configuration, build_virtual_host
from weft_xds.build.secret import build_secret
from weft_xds.frames import Frame, make_frame
from weft_xds.resources.keys import ResourceKey
from weft_xds.types import CDS, EDS, LDS, RDS, SDS, VHDS

MESSAGES: Final[Mapping[str, type[Message]]] = {
    CDS: ClusterMessage,
    EDS: ClusterLoadAssignment,
    LDS: ListenerMessage,
    RDS: RouteConfigurationMessage,
    VHDS: VirtualHostMessage,
    SDS: Secret,
}
"""The message of each type."""

_VIEWS: Mapping[type, Callable[[Registry, Any], Any]] = {
    ClusterId: cluster,
    LoadAssignmentId: load_assignment,
    VirtualOutboundId: outbound_listener,
    PortListenerId: outbound_listener,
    HttpProxyId: outbound_listener,
    RouteConfigurationId: route_configuration,
    VirtualHostId: virtual_host,
    SecretId: secret,
    Cluster: lambda _db, key: key,
    Listener: lambda _db, key: key,
}
"""From a key's view to the intermediate form. What is small and made with its section is its own view."""

_BUILDERS: Mapping[str, Callable[[Any], Message]] = {
    CDS: build_cluster,
    EDS: build_load_assignment,
    LDS: build_listener,
    RDS: build_route_configuration,
    VHDS: build_virtual_host,
    SDS: build_secret,
}


@query
def frame(db: Registry, key: ResourceKey) -> Frame | None:
    """The bytes of one resource; None where there is none (any more)."""
    view: Callable[[Registry, Any], Any] = _VIEWS[type(key.view)]
    form = view(db, key.view)
    if form is None:
        return None
    build: Callable[[Any], Message] = _BUILDERS[key.type_url]
    return make_frame(key.name, key.type_url, build(form), form.origins)
