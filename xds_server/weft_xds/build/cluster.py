"""Cluster: an upstream, put together from what the other builders make of its parts.

What equals Envoy's default is left out: clusters are the bulk of what a sidecar is sent.
"""

from typing import Final

from envoy.config.cluster.v3.cluster_pb2 import Cluster, UpstreamConnectionOptions
from envoy.config.core.v3 import config_source_pb2 as config_source
from envoy.config.core.v3.address_pb2 import BindConfig, ExtraSourceAddress, SocketAddress, TcpKeepalive
from envoy.config.core.v3.base_pb2 import Metadata
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.wrappers_pb2 import UInt32Value

from weft_core.ir import cluster as ir
from weft_core.ir import traffic_policy
from weft_core.ir.tls import MutualTlsByEndpoint, UpstreamTls
from weft_core.names import config_path
from weft_xds.build.circuit_breakers import build_circuit_breakers
from weft_xds.build.duration import duration
from weft_xds.build.load_assignment import build_load_assignment
from weft_xds.build.load_balancer import set_common_settings, set_load_balancer
from weft_xds.build.outlier_detection import build_outlier_detection
from weft_xds.build.upstream_http import HTTP_PROTOCOL_OPTIONS, build_upstream_http
from weft_xds.build.upstream_tls import build_transport_socket, build_transport_socket_matches

STAT_NAME_END: Final = ";"
"""Ends a cluster's name in statistics, so that metric tags can be cut out of it."""

_TYPES: Final = {
    ir.ClusterType.EDS: Cluster.EDS,
    ir.ClusterType.STATIC: Cluster.STATIC,
    ir.ClusterType.STRICT_DNS: Cluster.STRICT_DNS,
    ir.ClusterType.LOGICAL_DNS: Cluster.LOGICAL_DNS,
    ir.ClusterType.ORIGINAL_DST: Cluster.ORIGINAL_DST,
}
_ENDPOINTS_OVER_ADS: Final = Cluster.EdsClusterConfig(
    eds_config=config_source.ConfigSource(
        ads=config_source.AggregatedConfigSource(),
        initial_fetch_timeout=Duration(),
        resource_api_version=config_source.V3,
    )
)
"""Without a time limit: a cluster is not used before its endpoints are known, and never taken for an empty one."""


def build_cluster(cluster: ir.Cluster) -> Cluster:
    """Envoy's message for a cluster, inbound or outbound."""
    message = Cluster(
        name=cluster.name,
        alt_stat_name=cluster.name + STAT_NAME_END,
        type=_TYPES[cluster.type],
        connect_timeout=duration(cluster.connect_timeout),
        circuit_breakers=build_circuit_breakers(cluster.circuit_breakers),
        metadata=_metadata(cluster),
    )
    _set_discovery(message, cluster)
    set_load_balancer(message, cluster.load_balancer)
    set_common_settings(message, panic_threshold=cluster.panic_threshold, weighs_localities=cluster.weighs_localities)
    statuses: tuple[int, ...] = ()
    if cluster.outlier_detection is not None:
        message.outlier_detection.CopyFrom(build_outlier_detection(cluster.outlier_detection))
        statuses = cluster.outlier_detection.error_statuses
    if (options := build_upstream_http(cluster.http, statuses)) is not None:
        message.typed_extension_protocol_options[HTTP_PROTOCOL_OPTIONS].CopyFrom(options)
    _set_transport(message, cluster)
    if cluster.tcp_keepalive is not None:
        message.upstream_connection_options.CopyFrom(_keepalive(cluster.tcp_keepalive))
    if cluster.upstream_bind:
        first, *others = (SocketAddress(address=address, port_value=0) for address in cluster.upstream_bind)
        extra = [ExtraSourceAddress(address=other) for other in others]
        message.upstream_bind_config.CopyFrom(BindConfig(source_address=first, extra_source_addresses=extra))
    return message


def _set_discovery(message: Cluster, cluster: ir.Cluster) -> None:
    if cluster.type is ir.ClusterType.EDS:
        message.eds_cluster_config.CopyFrom(_ENDPOINTS_OVER_ADS)
    if cluster.load_assignment is not None:
        message.load_assignment.CopyFrom(build_load_assignment(cluster.load_assignment))
    if cluster.dns is not None:
        message.dns_refresh_rate.CopyFrom(duration(cluster.dns.refresh_rate))
        message.respect_dns_ttl = True
        message.dns_lookup_family = Cluster.V4_PREFERRED
    if cluster.upstream_port_override is not None:
        message.original_dst_lb_config.upstream_port_override.value = cluster.upstream_port_override


def _set_transport(message: Cluster, cluster: ir.Cluster) -> None:
    match cluster.transport:
        case UpstreamTls() as tls:
            message.transport_socket.CopyFrom(build_transport_socket(tls))
        case MutualTlsByEndpoint() as by_endpoint:
            message.transport_socket_matches.extend(build_transport_socket_matches(by_endpoint))


def _keepalive(settings: traffic_policy.TcpKeepalive) -> UpstreamConnectionOptions:
    keepalive = TcpKeepalive()
    if settings.probes is not None:
        keepalive.keepalive_probes.value = settings.probes
    if settings.time is not None:
        keepalive.keepalive_time.CopyFrom(UInt32Value(value=int(settings.time.total_seconds())))
    if settings.interval is not None:
        keepalive.keepalive_interval.CopyFrom(UInt32Value(value=int(settings.interval.total_seconds())))
    return UpstreamConnectionOptions(tcp_keepalive=keepalive)


def _metadata(cluster: ir.Cluster) -> Metadata | None:
    """What Istio says of a cluster, under the keys at which telemetry and people look for it."""
    fields: dict[str, Value] = {}
    if cluster.services:
        services = [Value(struct_value=_service(service)) for service in cluster.services]
        fields["services"] = Value(list_value=ListValue(values=services))
    if cluster.subset:
        fields["subset"] = Value(string_value=cluster.subset)
    if cluster.external:
        fields["external"] = Value(bool_value=True)
    if cluster.config is not None:
        fields["config"] = Value(string_value=config_path(cluster.config))
    return Metadata(filter_metadata={"istio": Struct(fields=fields)}) if fields else None


def _service(label: ir.ServiceLabel) -> Struct:
    return Struct(
        fields={
            "host": Value(string_value=label.host),
            "name": Value(string_value=label.name),
            "namespace": Value(string_value=label.namespace),
        }
    )
