"""ALPN by connection: what Istio's own Envoy has a filter for, done with stock filter state.

A port that does not say its protocol has one cluster, with one ALPN list. The chain that a connection was sniffed into
knows better, and says so in the well-known filter state that TLS sockets towards upstreams read.
"""

from typing import Final

from envoy.config.core.v3.base_pb2 import DataSource
from envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from envoy.extensions.filters.common.set_filter_state.v3.value_pb2 import FilterStateValue
from envoy.extensions.filters.network.set_filter_state.v3.set_filter_state_pb2 import Config

from weft_core.ir.listener import UpstreamAlpn

APPLICATION_PROTOCOLS: Final = "envoy.network.application_protocols"


def build_upstream_alpn(alpn: UpstreamAlpn) -> Config:
    """Set when the connection is accepted; it holds for the upstream connections made for it, and no further."""
    protocols = SubstitutionFormatString(text_format_source=DataSource(inline_string=",".join(alpn.protocols)))
    return Config(
        on_new_connection=[
            FilterStateValue(
                object_key=APPLICATION_PROTOCOLS,
                format_string=protocols,
                shared_with_upstream=FilterStateValue.ONCE,
            )
        ]
    )
