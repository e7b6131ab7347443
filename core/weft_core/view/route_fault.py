"""Faults of a rule. They lie on its routes, so that each rule, and so each version of a service, has its own."""

from weft_core.ir.route import MILLION, Abort, Delay, Fault
from weft_core.model import fault as model
from weft_core.model.base import Percent


def fault(injection: model.HTTPFaultInjection) -> Fault | None:
    """The faults that can happen; None where none can. A fault without percentage never fires, as in Istio."""
    delay = _delay(injection.delay) if injection.delay else None
    abort = _abort(injection.abort) if injection.abort else None
    return Fault(delay=delay, abort=abort) if delay or abort else None


def per_million(share: Percent | None, whole_percent: int | None = None) -> int:
    """A percentage out of a million; the deprecated whole percentage where that alone is set; else 0."""
    if share is not None:
        return round(share.value * MILLION / 100)
    return (whole_percent or 0) * MILLION // 100


def _delay(delay: model.Delay) -> Delay | None:
    if delay.fixed_delay is None:
        return None
    return Delay(duration=delay.fixed_delay, per_million=per_million(delay.percentage, delay.percent))


def _abort(abort: model.Abort) -> Abort | None:
    share = per_million(abort.percentage)
    if abort.grpc_status is not None:
        return Abort(grpc_status=model.GRPC_STATUSES.index(abort.grpc_status), per_million=share)
    return Abort(http_status=abort.http_status, per_million=share) if abort.http_status else None
