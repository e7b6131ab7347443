"""Circuit breakers: the limits of one proxy towards a cluster."""

from functools import lru_cache

from envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from envoy.type.v3.percent_pb2 import Percent
from google.protobuf.wrappers_pb2 import UInt32Value

from weft_core.ir import traffic_policy as ir


@lru_cache(maxsize=1024)
def build_circuit_breakers(limits: ir.CircuitBreakers) -> CircuitBreakers:
    """All four limits, since Envoy's own defaults would hold for one left out. Shared: most clusters have the same."""
    thresholds = CircuitBreakers.Thresholds(
        max_connections=UInt32Value(value=limits.max_connections),
        max_pending_requests=UInt32Value(value=limits.max_pending_requests),
        max_requests=UInt32Value(value=limits.max_requests),
        max_retries=UInt32Value(value=limits.max_retries),
        retry_budget=_retry_budget(limits.retry_budget),
        track_remaining=True,
    )
    return CircuitBreakers(thresholds=[thresholds])


def _retry_budget(budget: ir.RetryBudget | None) -> CircuitBreakers.Thresholds.RetryBudget | None:
    if budget is None:
        return None
    return CircuitBreakers.Thresholds.RetryBudget(
        budget_percent=Percent(value=budget.percent),
        min_retry_concurrency=UInt32Value(value=budget.minimum_concurrency),
    )
