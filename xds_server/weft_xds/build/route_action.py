"""Where a request goes, and what happens to it on the way."""

from typing import Final

from envoy.config.route.v3.route_components_pb2 import RouteAction, WeightedCluster
from google.protobuf.duration_pb2 import Duration
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value

from weft_core.ir import route as ir
from weft_core.ir.traffic_policy import CookieHash, HashPolicy
from weft_xds.build.duration import duration
from weft_xds.build.fraction import runtime_fraction
from weft_xds.build.headers import header_options
from weft_xds.build.retry import build_retry_policy

_CLIENTS_LIMIT: Final = RouteAction.MaxStreamDuration(grpc_timeout_header_max=Duration())
_NOT_TRACED: Final = BoolValue(value=False)


def build_route_action(action: ir.Forward) -> RouteAction:
    """Envoy's message.

    A limit of 0 is none, and lets the one stand that a gRPC client asks for with `grpc-timeout`. Any other limit must
    stand alone: with `max_stream_duration` beside it Envoy ignores `timeout`, and the older field is deprecated.
    """
    message = RouteAction(
        timeout=duration(action.timeout),
        max_stream_duration=None if action.timeout else _CLIENTS_LIMIT,
        request_mirror_policies=[_mirror(mirror) for mirror in action.mirrors],
        hash_policy=[_hash_policy(policy) for policy in action.hash_policies],
    )
    _set_clusters(message, action)
    _set_rewrite(message, action.rewrite)
    if action.retry is not None:
        message.retry_policy.CopyFrom(build_retry_policy(action.retry))
    return message


def _set_clusters(message: RouteAction, action: ir.Forward) -> None:
    """A single destination is named by the route itself, unless the host is rewritten for it alone."""
    if len(action.clusters) == 1:
        only = action.clusters[0]
        message.cluster = only.name
        if only.host_rewrite:
            message.host_rewrite_literal = only.host_rewrite
        return
    message.weighted_clusters.clusters.extend(_weighted(cluster) for cluster in action.clusters)


def _weighted(cluster: ir.WeightedCluster) -> WeightedCluster.ClusterWeight:
    message = WeightedCluster.ClusterWeight(
        name=cluster.name,
        weight=UInt32Value(value=cluster.weight),
        request_headers_to_add=header_options(cluster.headers.request),
        request_headers_to_remove=cluster.headers.request.remove,
        response_headers_to_add=header_options(cluster.headers.response),
        response_headers_to_remove=cluster.headers.response.remove,
    )
    if cluster.host_rewrite:
        message.host_rewrite_literal = cluster.host_rewrite
    return message


def _set_rewrite(message: RouteAction, rewrite: ir.Rewrite) -> None:
    """Envoy replaces what the route's match took: the prefix, or the whole path after an exact or regex match."""
    if rewrite.pattern:
        message.regex_rewrite.pattern.regex = rewrite.pattern
        message.regex_rewrite.substitution = rewrite.substitution
    elif rewrite.prefix:
        message.prefix_rewrite = rewrite.prefix
    if rewrite.host:
        message.host_rewrite_literal = rewrite.host


def _mirror(mirror: ir.Mirror) -> RouteAction.RequestMirrorPolicy:
    """Copies are no spans of their own, and keep the host that the client asked for."""
    return RouteAction.RequestMirrorPolicy(
        cluster=mirror.cluster,
        runtime_fraction=runtime_fraction(mirror.per_million),
        trace_sampled=_NOT_TRACED,
        disable_shadow_host_suffix_append=True,
    )


def _hash_policy(policy: HashPolicy) -> RouteAction.HashPolicy:
    message = RouteAction.HashPolicy()
    if policy.header:
        message.header.header_name = policy.header
    elif policy.cookie is not None:
        message.cookie.CopyFrom(_cookie(policy.cookie))
    elif policy.query_parameter:
        message.query_parameter.name = policy.query_parameter
    else:
        message.connection_properties.source_ip = True
    return message


def _cookie(cookie: CookieHash) -> RouteAction.HashPolicy.Cookie:
    message = RouteAction.HashPolicy.Cookie(name=cookie.name, path=cookie.path, ttl=duration(cookie.ttl))
    for name, value in cookie.attributes:
        message.attributes.add(name=name, value=value)
    return message
