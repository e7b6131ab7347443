"""HTTP filters, under the names that people's EnvoyFilters and dashboards know."""

from typing import Final

from envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from envoy.extensions.filters.http.cors.v3.cors_pb2 import Cors
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.http.grpc_stats.v3.config_pb2 import FilterConfig as GrpcStats
from envoy.extensions.filters.http.grpc_web.v3.grpc_web_pb2 import GrpcWeb
from envoy.extensions.filters.http.health_check.v3.health_check_pb2 import HealthCheck
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BoolValue

from weft_core.ir import http as ir
from weft_core.ir.authn import JwtAuthn
from weft_core.ir.rbac import Rbac
from weft_xds.build.extension import packed
from weft_xds.build.jwt import build_jwt_authn
from weft_xds.build.rbac import build_http_rbac


def build_http_filter(wanted: ir.HttpFilter) -> HttpFilter:
    """One filter of an HTTP connection manager."""
    match wanted:
        case JwtAuthn():
            return _filter("envoy.filters.http.jwt_authn", build_jwt_authn(wanted))
        case Rbac():
            return _filter("envoy.filters.http.rbac", build_http_rbac(wanted))
        case ir.Readiness(path):
            return _filter("envoy.filters.http.health_check", _health_check(path))
        case _:
            return _CONSTANT[type(wanted)]


def _health_check(path: str) -> HealthCheck:
    on_path = HeaderMatcher(name=":path", string_match=StringMatcher(exact=path))
    return HealthCheck(pass_through_mode=BoolValue(value=False), headers=[on_path])


def _filter(name: str, config: Message) -> HttpFilter:
    return HttpFilter(name=name, typed_config=packed(config))


_CONSTANT: Final[dict[type, HttpFilter]] = {
    ir.GrpcStats: _filter(
        "envoy.filters.http.grpc_stats",
        GrpcStats(emit_filter_state=True, stats_for_all_methods=BoolValue(value=False)),
    ),
    ir.GrpcWeb: _filter("envoy.filters.http.grpc_web", GrpcWeb()),
    ir.Fault: _filter("envoy.filters.http.fault", HTTPFault()),
    ir.Cors: _filter("envoy.filters.http.cors", Cors()),
    ir.Router: _filter("envoy.filters.http.router", Router()),
}
"""Filters without settings of their own, built once."""
