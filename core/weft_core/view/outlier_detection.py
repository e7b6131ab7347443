"""Outlier detection: when an endpoint that fails is left out for a while, and when none is."""

from weft_core.ir.traffic_policy import OutlierDetection
from weft_core.model import connection_pool as model


def outlier_detection(settings: model.OutlierDetection | None) -> OutlierDetection | None:
    """What an outlierDetection block comes to; without one no endpoint is ever ejected."""
    if settings is None:
        return None
    return OutlierDetection(
        consecutive_5xx=settings.effective_consecutive_5xx,
        consecutive_gateway_failure=settings.consecutive_gateway_errors,
        consecutive_local_origin_failure=settings.consecutive_local_origin_failures,
        split_external_local_origin_errors=settings.split_external_local_origin_errors,
        interval=settings.interval,
        base_ejection_time=settings.base_ejection_time,
        max_ejection_percent=settings.max_ejection_percent or None,
        error_statuses=settings.outlier_detection_http_error_codes,
    )


def panic_threshold(settings: model.OutlierDetection | None) -> float | None:
    """Share of healthy endpoints below which the ejected are used again (per cent).

    With outlier detection it is 0 unless minHealthPercent is set: an ejected endpoint must not be used all the same.
    """
    return None if settings is None else float(settings.min_health_percent or 0)
