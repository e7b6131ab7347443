"""Outlier detection: ejection of endpoints by errors in a row. By success rate it is always off, as in Istio."""

from envoy.config.cluster.v3.outlier_detection_pb2 import OutlierDetection
from envoy.config.common.matcher.v3.matcher_pb2 import HttpHeadersMatch, MatchPredicate
from envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.wrappers_pb2 import UInt32Value

from weft_core.ir import traffic_policy as ir
from weft_xds.build.duration import duration


def build_outlier_detection(settings: ir.OutlierDetection) -> OutlierDetection:
    """Envoy's message. A counter that is 0 is switched off by its enforcing percentage."""
    message = OutlierDetection(
        enforcing_success_rate=UInt32Value(value=0),
        interval=duration(settings.interval),
        base_ejection_time=duration(settings.base_ejection_time),
        split_external_local_origin_errors=settings.split_external_local_origin_errors,
    )
    if (limit := settings.consecutive_5xx) is not None:
        message.consecutive_5xx.value = limit
        message.enforcing_consecutive_5xx.value = _enforced(limit)
    if (limit := settings.consecutive_gateway_failure) is not None:
        message.consecutive_gateway_failure.value = limit
        message.enforcing_consecutive_gateway_failure.value = _enforced(limit)
    if settings.split_external_local_origin_errors and (limit := settings.consecutive_local_origin_failure) is not None:
        message.consecutive_local_origin_failure.value = limit
        message.enforcing_consecutive_local_origin_failure.value = _enforced(limit)
    if settings.max_ejection_percent is not None:
        message.max_ejection_percent.value = settings.max_ejection_percent
    return message


def build_error_matcher(statuses: tuple[int, ...]) -> MatchPredicate:
    """Answers that count as errors: those of any of these statuses."""
    rules = [
        MatchPredicate(
            http_response_headers_match=HttpHeadersMatch(
                headers=[HeaderMatcher(name=":status", string_match=StringMatcher(exact=str(status)))]
            )
        )
        for status in statuses
    ]
    return rules[0] if len(rules) == 1 else MatchPredicate(or_match=MatchPredicate.MatchSet(rules=rules))


def _enforced(limit: int) -> int:
    return 100 if limit else 0
