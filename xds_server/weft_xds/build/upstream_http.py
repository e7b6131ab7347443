"""HTTP towards a cluster: its version, the life of its connections, and TLS's server name taken from requests."""

from functools import lru_cache
from typing import Final

from envoy.config.core.v3 import protocol_pb2 as protocol
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from google.protobuf.any_pb2 import Any
from google.protobuf.wrappers_pb2 import UInt32Value

from weft_core.ir.cluster import HttpProtocol, UpstreamHttp
from weft_xds.build.duration import duration
from weft_xds.build.outlier_detection import build_error_matcher

HTTP_PROTOCOL_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_DEFAULT: Final = UpstreamHttp()


@lru_cache(maxsize=1024)
def build_upstream_http(http: UpstreamHttp, error_statuses: tuple[int, ...] = ()) -> Any | None:
    """The options of a cluster, encoded; None where Envoy's defaults (HTTP/1.1, nothing limited) are meant.

    Shared: clusters by the thousand have one of a few sets of options.
    """
    if http == _DEFAULT and not error_statuses:
        return None
    message = HttpProtocolOptions()
    _set_protocol(message, http)
    if http.idle_timeout is not None:
        message.common_http_protocol_options.idle_timeout.CopyFrom(duration(http.idle_timeout))
    if http.max_connection_duration is not None:
        message.common_http_protocol_options.max_connection_duration.CopyFrom(duration(http.max_connection_duration))
    if http.max_requests_per_connection is not None:
        message.common_http_protocol_options.max_requests_per_connection.value = http.max_requests_per_connection
    if http.auto_sni:
        message.upstream_http_protocol_options.auto_sni = True
        message.upstream_http_protocol_options.auto_san_validation = http.auto_san_validation
    if error_statuses:
        message.outlier_detection.error_matcher.CopyFrom(build_error_matcher(error_statuses))
    packed = Any()
    packed.Pack(message, deterministic=True)
    return packed


def _set_protocol(message: HttpProtocolOptions, http: UpstreamHttp) -> None:
    match http.protocol:
        case HttpProtocol.HTTP1:
            message.explicit_http_config.http_protocol_options.SetInParent()
        case HttpProtocol.HTTP2:
            message.explicit_http_config.http2_protocol_options.CopyFrom(_http2(http))
        case HttpProtocol.DOWNSTREAM:
            message.use_downstream_protocol_config.http_protocol_options.SetInParent()
            message.use_downstream_protocol_config.http2_protocol_options.CopyFrom(_http2(http))


def _http2(http: UpstreamHttp) -> protocol.Http2ProtocolOptions:
    if http.max_concurrent_streams is None:
        return protocol.Http2ProtocolOptions()
    return protocol.Http2ProtocolOptions(max_concurrent_streams=UInt32Value(value=http.max_concurrent_streams))
