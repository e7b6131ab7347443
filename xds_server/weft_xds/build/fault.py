"""Fault injection: the settings that a route has for the fault filter."""

from typing import Final

from envoy.extensions.filters.common.fault.v3.fault_pb2 import FaultDelay
from envoy.extensions.filters.http.fault.v3.fault_pb2 import FaultAbort, HTTPFault

from weft_core.ir import route as ir
from weft_xds.build.fraction import fraction

FILTER: Final = "envoy.filters.http.fault"


def build_fault(fault: ir.Fault) -> HTTPFault:
    """Envoy's message."""
    message = HTTPFault()
    if fault.delay is not None:
        message.delay.CopyFrom(FaultDelay(percentage=fraction(fault.delay.per_million)))
        message.delay.fixed_delay.FromTimedelta(fault.delay.duration)
    if fault.abort is not None:
        message.abort.CopyFrom(_abort(fault.abort))
    return message


def _abort(abort: ir.Abort) -> FaultAbort:
    share = fraction(abort.per_million)
    if abort.grpc_status is not None:
        return FaultAbort(grpc_status=abort.grpc_status, percentage=share)
    return FaultAbort(http_status=abort.http_status, percentage=share)
