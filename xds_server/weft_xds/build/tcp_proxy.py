"""The TCP proxy: a connection's bytes to a cluster."""

from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.type.v3.hash_policy_pb2 import HashPolicy

from weft_core.ir import listener as ir
from weft_xds.build.access_log import build_access_log
from weft_xds.build.duration import duration


def build_tcp_proxy(proxy: ir.TcpProxy) -> TcpProxy:
    """The filter's configuration; weights only where there is a choice."""
    message = TcpProxy(
        stat_prefix=proxy.stat_prefix,
        idle_timeout=duration(proxy.idle_timeout),
        max_downstream_connection_duration=duration(proxy.max_connection_duration),
        access_log=[build_access_log(log) for log in proxy.access_logs],
    )
    if len(proxy.clusters) == 1:
        message.cluster = proxy.clusters[0][0]
    else:
        for name, weight in proxy.clusters:
            message.weighted_clusters.clusters.add(name=name, weight=weight)
    if proxy.hash_source_ip:
        message.hash_policy.append(HashPolicy(source_ip=HashPolicy.SourceIp()))
    return message
