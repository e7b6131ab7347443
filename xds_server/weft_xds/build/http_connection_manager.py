"""The HTTP connection manager."""

from typing import Final

from envoy.config.core.v3 import config_source_pb2 as config_source
from envoy.config.core.v3.protocol_pb2 import Http1ProtocolOptions, HttpProtocolOptions
from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    Rds,
)
from envoy.extensions.http.header_formatters.preserve_case.v3.preserve_case_pb2 import PreserveCaseFormatterConfig
from google.protobuf.duration_pb2 import Duration
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value

from weft_core.ir import http as ir
from weft_xds.build.access_log import build_access_log
from weft_xds.build.duration import duration
from weft_xds.build.extension import packed
from weft_xds.build.http_filters import build_http_filter
from weft_xds.build.inbound_route import build_inbound_route

_Manager = HttpConnectionManager
_SERVER_HEADER: Final = {
    ir.ServerHeader.OVERWRITE: _Manager.OVERWRITE,
    ir.ServerHeader.APPEND_IF_ABSENT: _Manager.APPEND_IF_ABSENT,
    ir.ServerHeader.PASS_THROUGH: _Manager.PASS_THROUGH,
}
_FORWARD: Final = {
    ir.ForwardClientCert.SANITIZE: _Manager.SANITIZE,
    ir.ForwardClientCert.FORWARD_ONLY: _Manager.FORWARD_ONLY,
    ir.ForwardClientCert.APPEND_FORWARD: _Manager.APPEND_FORWARD,
    ir.ForwardClientCert.SANITIZE_SET: _Manager.SANITIZE_SET,
    ir.ForwardClientCert.ALWAYS_FORWARD_ONLY: _Manager.ALWAYS_FORWARD_ONLY,
}
_OVER_ADS: Final = config_source.ConfigSource(
    ads=config_source.AggregatedConfigSource(),
    initial_fetch_timeout=Duration(),
    resource_api_version=config_source.V3,
)
"""Without a time limit: a listener that is new waits for its routes rather than answer 404."""


def build_http_connection_manager(manager: ir.HttpConnectionManager) -> HttpConnectionManager:
    """The filter's configuration."""
    message = HttpConnectionManager(
        stat_prefix=manager.stat_prefix,
        http_filters=[build_http_filter(each) for each in manager.filters],
        server_name=manager.server_name,
        server_header_transformation=_SERVER_HEADER[manager.server_header],
        use_remote_address=BoolValue(value=manager.use_remote_address),
        xff_num_trusted_hops=manager.trusted_hops,
        forward_client_cert_details=_FORWARD[manager.forward_client_cert],
        stream_idle_timeout=duration(manager.stream_idle_timeout),
        proxy_100_continue=True,
        upgrade_configs=[_Manager.UpgradeConfig(upgrade_type=kind) for kind in manager.upgrades],
        access_log=[build_access_log(log) for log in manager.access_logs],
    )
    _set_routes(message, manager.route)
    _set_path_normalization(message, manager.path_normalization)
    _set_protocol_options(message, manager)
    if manager.describe_client_cert:
        details = _Manager.SetCurrentClientCertDetails(subject=BoolValue(value=True), uri=True, dns=True)
        message.set_current_client_cert_details.CopyFrom(details)
    return message


def _set_routes(message: HttpConnectionManager, route: ir.RouteSource) -> None:
    match route:
        case ir.RouteName(name):
            message.rds.CopyFrom(Rds(route_config_name=name, config_source=_OVER_ADS))
        case ir.InboundRoute():
            message.route_config.CopyFrom(build_inbound_route(route))
        case ir.NoRoute():
            nothing = VirtualHost(name="nothing", domains=["*"])
            message.route_config.CopyFrom(RouteConfiguration(name="nothing", virtual_hosts=[nothing]))


def _set_path_normalization(message: HttpConnectionManager, wanted: ir.PathNormalization) -> None:
    """What filters match must be what the workload will read, or a policy on paths can be walked around."""
    message.normalize_path.value = wanted is not ir.PathNormalization.NONE
    if wanted in (ir.PathNormalization.MERGE_SLASHES, ir.PathNormalization.DECODE_AND_MERGE_SLASHES):
        message.merge_slashes = True
    if wanted is ir.PathNormalization.DECODE_AND_MERGE_SLASHES:
        message.path_with_escaped_slashes_action = _Manager.UNESCAPE_AND_FORWARD


def _set_protocol_options(message: HttpConnectionManager, manager: ir.HttpConnectionManager) -> None:
    common = HttpProtocolOptions(
        idle_timeout=duration(manager.idle_timeout),
        max_connection_duration=duration(manager.max_connection_duration),
    )
    if manager.max_requests_per_connection:
        common.max_requests_per_connection.CopyFrom(UInt32Value(value=manager.max_requests_per_connection))
    if common.ByteSize():
        message.common_http_protocol_options.CopyFrom(common)
    if manager.accept_http_10:
        message.http_protocol_options.accept_http_10 = True
    if manager.preserve_header_case:
        message.http_protocol_options.header_key_format.CopyFrom(_PRESERVE_CASE)
    if manager.max_concurrent_streams:
        message.http2_protocol_options.max_concurrent_streams.value = manager.max_concurrent_streams


def _preserve_case() -> Http1ProtocolOptions.HeaderKeyFormat:
    formatted = Http1ProtocolOptions.HeaderKeyFormat()
    formatted.stateful_formatter.name = "envoy.http.stateful_header_formatters.preserve_case"
    formatted.stateful_formatter.typed_config.CopyFrom(packed(PreserveCaseFormatterConfig()))
    return formatted


_PRESERVE_CASE: Final = _preserve_case()
