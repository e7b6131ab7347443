"""Listeners, put together from what the other builders make of their parts."""

from typing import Final

from envoy.config.core.v3.base_pb2 import TrafficDirection
from envoy.config.listener.v3 import listener_pb2
from envoy.config.listener.v3.listener_components_pb2 import ListenerFilter, ListenerFilterChainMatchPredicate
from envoy.extensions.filters.listener.http_inspector.v3.http_inspector_pb2 import HttpInspector
from envoy.extensions.filters.listener.original_dst.v3.original_dst_pb2 import OriginalDst
from envoy.extensions.filters.listener.proxy_protocol.v3.proxy_protocol_pb2 import ProxyProtocol
from envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import TlsInspector
from envoy.type.v3.range_pb2 import Int32Range
from google.protobuf.wrappers_pb2 import BoolValue

from weft_core.ir import listener as ir
from weft_xds.build.access_log import build_access_log
from weft_xds.build.address import build_address
from weft_xds.build.duration import duration
from weft_xds.build.extension import packed
from weft_xds.build.filter_chain import build_filter_chain

_DIRECTIONS: Final = {
    ir.Direction.UNSPECIFIED: TrafficDirection.UNSPECIFIED,
    ir.Direction.INBOUND: TrafficDirection.INBOUND,
    ir.Direction.OUTBOUND: TrafficDirection.OUTBOUND,
}
_INSPECTIONS: Final = {
    ir.Inspection.ORIGINAL_DESTINATION: ListenerFilter(
        name="envoy.filters.listener.original_dst", typed_config=packed(OriginalDst())
    ),
    ir.Inspection.TLS: ListenerFilter(name="envoy.filters.listener.tls_inspector", typed_config=packed(TlsInspector())),
    ir.Inspection.HTTP: ListenerFilter(
        name="envoy.filters.listener.http_inspector", typed_config=packed(HttpInspector())
    ),
    ir.Inspection.PROXY_PROTOCOL: ListenerFilter(
        name="envoy.filters.listener.proxy_protocol", typed_config=packed(ProxyProtocol())
    ),
}


def build_listener(listener: ir.Listener) -> listener_pb2.Listener:
    """Envoy's message for a listener."""
    first, *further = listener.addresses
    message = listener_pb2.Listener(
        name=listener.name,
        address=build_address(first),
        additional_addresses=[listener_pb2.AdditionalAddress(address=build_address(address)) for address in further],
        filter_chains=[build_filter_chain(chain) for chain in listener.filter_chains],
        traffic_direction=_DIRECTIONS[listener.direction],
        listener_filters=[_listener_filter(wanted) for wanted in listener.listener_filters],
        listener_filters_timeout=duration(listener.detection_timeout),
        continue_on_listener_filters_timeout=True,
        access_log=[build_access_log(log) for log in listener.access_logs],
    )
    if not listener.bind:
        message.bind_to_port.CopyFrom(BoolValue(value=False))
    if listener.use_original_destination:
        message.use_original_dst.CopyFrom(BoolValue(value=True))
    if listener.default_filter_chain is not None:
        message.default_filter_chain.CopyFrom(build_filter_chain(listener.default_filter_chain))
    return message


def _listener_filter(wanted: ir.ListenerFilter) -> ListenerFilter:
    if not wanted.disabled_ports:
        return _INSPECTIONS[wanted.inspection]
    message = ListenerFilter()
    message.CopyFrom(_INSPECTIONS[wanted.inspection])
    message.filter_disabled.CopyFrom(_any_port([_port(port) for port in wanted.disabled_ports]))
    return message


def _port(port: int) -> ListenerFilterChainMatchPredicate:
    return ListenerFilterChainMatchPredicate(destination_port_range=Int32Range(start=port, end=port + 1))


def _any_port(ports: list[ListenerFilterChainMatchPredicate]) -> ListenerFilterChainMatchPredicate:
    """Envoy wants two rules at least in a choice."""
    if len(ports) == 1:
        return ports[0]
    return ListenerFilterChainMatchPredicate(or_match=ListenerFilterChainMatchPredicate.MatchSet(rules=ports))
