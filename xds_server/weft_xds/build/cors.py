"""Cross-origin requests: the settings that a route has for the CORS filter."""

from typing import Final

from envoy.extensions.filters.http.cors.v3.cors_pb2 import CorsPolicy
from google.protobuf.wrappers_pb2 import BoolValue

from weft_core.ir import route as ir
from weft_xds.build.fraction import runtime_fraction
from weft_xds.build.string_match import build_string_match

FILTER: Final = "envoy.filters.http.cors"


def build_cors(cors: ir.Cors) -> CorsPolicy:
    """Envoy's message. Lists are written as the headers will carry them."""
    message = CorsPolicy(
        allow_origin_string_match=[build_string_match(origin) for origin in cors.allow_origins],
        allow_methods=",".join(cors.allow_methods),
        allow_headers=",".join(cors.allow_headers),
        expose_headers=",".join(cors.expose_headers),
        filter_enabled=runtime_fraction(ir.MILLION),
        forward_not_matching_preflights=BoolValue(value=cors.forward_unmatched_preflights),
    )
    if cors.max_age is not None:
        message.max_age = str(int(cors.max_age.total_seconds()))
    if cors.allow_credentials is not None:
        message.allow_credentials.value = cors.allow_credentials
    return message
