"""Filter chains: which connections they take, and what those pass through."""

from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, FilterChainMatch
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import UInt32Value

from weft_core.ir import listener as ir
from weft_core.ir.http import HttpConnectionManager
from weft_core.ir.rbac import Rbac
from weft_xds.build.address import build_cidr
from weft_xds.build.downstream_tls import build_downstream_tls
from weft_xds.build.extension import packed
from weft_xds.build.http_connection_manager import build_http_connection_manager
from weft_xds.build.rbac import build_network_rbac
from weft_xds.build.tcp_proxy import build_tcp_proxy
from weft_xds.build.upstream_alpn import build_upstream_alpn


def build_filter_chain(chain: ir.FilterChain) -> FilterChain:
    """Envoy's message for one chain."""
    return FilterChain(
        name=chain.name,
        filter_chain_match=_match(chain.match) if chain.match else None,
        filters=[build_network_filter(each) for each in chain.filters],
        transport_socket=build_downstream_tls(chain.tls) if chain.tls else None,
    )


def build_network_filter(wanted: ir.NetworkFilter) -> Filter:
    """One filter of a chain."""
    match wanted:
        case Rbac():
            return _filter("envoy.filters.network.rbac", build_network_rbac(wanted))
        case ir.UpstreamAlpn():
            return _filter("envoy.filters.network.set_filter_state", build_upstream_alpn(wanted))
        case ir.TcpProxy():
            return _filter("envoy.filters.network.tcp_proxy", build_tcp_proxy(wanted))
        case HttpConnectionManager():
            return _filter("envoy.filters.network.http_connection_manager", build_http_connection_manager(wanted))


def _match(wanted: ir.FilterChainMatch) -> FilterChainMatch:
    return FilterChainMatch(
        destination_port=UInt32Value(value=wanted.destination_port) if wanted.destination_port else None,
        prefix_ranges=[build_cidr(block) for block in wanted.prefix_ranges],
        server_names=wanted.server_names,
        transport_protocol=wanted.transport_protocol,
        application_protocols=wanted.application_protocols,
    )


def _filter(name: str, config: Message) -> Filter:
    return Filter(name=name, typed_config=packed(config))
