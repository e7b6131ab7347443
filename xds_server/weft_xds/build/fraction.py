"""Shares of requests."""

from envoy.config.core.v3.base_pb2 import RuntimeFractionalPercent
from envoy.type.v3.percent_pb2 import FractionalPercent


def fraction(per_million: int) -> FractionalPercent:
    """A share out of a million."""
    return FractionalPercent(numerator=per_million, denominator=FractionalPercent.MILLION)


def runtime_fraction(per_million: int) -> RuntimeFractionalPercent:
    """The same, where Envoy lets its runtime settings replace it: nobody does here."""
    return RuntimeFractionalPercent(default_value=fraction(per_million))
