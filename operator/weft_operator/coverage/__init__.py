"""Coverage: pods that should have a sidecar and have none are found, marked by an Event and counted in a metric."""

from weft_operator.coverage.uncovered import Scope, uncovered
from weft_operator.coverage.watch import CoverageWatch

__all__ = ["CoverageWatch", "Scope", "uncovered"]
