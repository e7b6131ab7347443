"""Routes, virtual hosts and route configurations."""

from typing import Final

from envoy.config.core.v3 import config_source_pb2 as config_source
from envoy.config.route.v3.route_components_pb2 import Decorator, Route, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration, Vhds
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value

from weft_core.ir import route as ir
from weft_xds.build import cors, fault
from weft_xds.build.extension import packed
from weft_xds.build.headers import header_options
from weft_xds.build.redirect import build_direct_response, build_redirect
from weft_xds.build.route_action import build_route_action
from weft_xds.build.route_match import build_route_match

METADATA: Final = "istio"
_REQUIRE_TLS: Final = {ir.RequireTls.NONE: VirtualHost.NONE, ir.RequireTls.ALL: VirtualHost.ALL}
_VHDS: Final = Vhds(
    config_source=config_source.ConfigSource(
        ads=config_source.AggregatedConfigSource(), resource_api_version=config_source.V3
    )
)
_NO_VALIDATION: Final = BoolValue(value=False)
"""A route may name a cluster that is not there: requests are answered with 503, the others are routed."""


def build_route_configuration(configuration: ir.RouteConfiguration) -> RouteConfiguration:
    """Envoy's message."""
    message = RouteConfiguration(
        name=configuration.name,
        virtual_hosts=[build_virtual_host(host) for host in configuration.virtual_hosts],
        validate_clusters=_NO_VALIDATION,
        ignore_port_in_host_matching=configuration.ignore_port_in_host_matching,
        max_direct_response_body_size_bytes=UInt32Value(value=configuration.max_direct_response_body_size_bytes),
    )
    if configuration.vhds:
        message.vhds.CopyFrom(_VHDS)
    return message


def build_virtual_host(host: ir.VirtualHost) -> VirtualHost:
    """Envoy's message. Upstreams are told how often a request was tried, as Istio's are."""
    return VirtualHost(
        name=host.name,
        domains=host.domains,
        routes=[build_route(route) for route in host.routes],
        require_tls=_REQUIRE_TLS[host.require_tls],
        include_request_attempt_count=True,
    )


def build_route(route: ir.Route) -> Route:
    """Envoy's message."""
    message = Route(
        name=route.name,
        match=build_route_match(route.match),
        request_headers_to_add=header_options(route.headers.request),
        request_headers_to_remove=route.headers.request.remove,
        response_headers_to_add=header_options(route.headers.response),
        response_headers_to_remove=route.headers.response.remove,
        stat_prefix=route.stat_prefix,
    )
    _set_action(message, route.action)
    if route.operation:
        message.decorator.CopyFrom(Decorator(operation=route.operation))
    if route.config:
        message.metadata.filter_metadata[METADATA].fields["config"].string_value = route.config
    if route.fault is not None:
        message.typed_per_filter_config[fault.FILTER].CopyFrom(packed(fault.build_fault(route.fault)))
    if route.cors is not None:
        message.typed_per_filter_config[cors.FILTER].CopyFrom(packed(cors.build_cors(route.cors)))
    return message


def _set_action(message: Route, action: ir.Forward | ir.Redirect | ir.DirectResponse) -> None:
    match action:
        case ir.Forward():
            message.route.CopyFrom(build_route_action(action))
        case ir.Redirect():
            message.redirect.CopyFrom(build_redirect(action))
        case ir.DirectResponse():
            message.direct_response.CopyFrom(build_direct_response(action))
