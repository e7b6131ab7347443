"""Load balancers: the policy of a cluster and its settings."""

from typing import Final

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import RuntimeDouble
from envoy.type.v3.percent_pb2 import Percent

from weft_core.ir.traffic_policy import Algorithm, LoadBalancer, SlowStart
from weft_xds.build.duration import duration

_POLICIES: Final = {
    Algorithm.LEAST_REQUEST: Cluster.LEAST_REQUEST,
    Algorithm.ROUND_ROBIN: Cluster.ROUND_ROBIN,
    Algorithm.RANDOM: Cluster.RANDOM,
    Algorithm.RING_HASH: Cluster.RING_HASH,
    Algorithm.MAGLEV: Cluster.MAGLEV,
    Algorithm.CLUSTER_PROVIDED: Cluster.CLUSTER_PROVIDED,
}
_AGGRESSION_KEY: Final = "upstream.slow_start.aggression"
"""Envoy demands a runtime key beside the value; nobody sets it."""


def set_load_balancer(message: Cluster, balancer: LoadBalancer) -> None:
    """Write the policy into a cluster."""
    message.lb_policy = _POLICIES[balancer.algorithm]
    if balancer.minimum_ring_size is not None:
        message.ring_hash_lb_config.minimum_ring_size.value = balancer.minimum_ring_size
    if balancer.table_size is not None:
        message.maglev_lb_config.table_size.value = balancer.table_size
    if balancer.slow_start is None:
        return
    start = _slow_start(balancer.slow_start)
    if balancer.algorithm is Algorithm.ROUND_ROBIN:
        message.round_robin_lb_config.slow_start_config.CopyFrom(start)
    else:
        message.least_request_lb_config.slow_start_config.CopyFrom(start)


def set_common_settings(message: Cluster, *, panic_threshold: float | None, weighs_localities: bool) -> None:
    """Write what holds for every policy: when unhealthy endpoints are used after all, and whether localities weigh."""
    if panic_threshold is not None:
        message.common_lb_config.healthy_panic_threshold.CopyFrom(Percent(value=panic_threshold))
    if weighs_localities:
        message.common_lb_config.locality_weighted_lb_config.SetInParent()


def _slow_start(start: SlowStart) -> Cluster.SlowStartConfig:
    message = Cluster.SlowStartConfig(
        slow_start_window=duration(start.window), min_weight_percent=Percent(value=start.minimum_percent)
    )
    if start.aggression != 1.0:
        message.aggression.CopyFrom(RuntimeDouble(default_value=start.aggression, runtime_key=_AGGRESSION_KEY))
    return message
