"""Traffic policy: which of a rule's blocks apply to one port and subset.

A block is taken or left as a whole, fields are never mixed. The destination's blocks are replaced by those of its entry
for the port: all four, also the ones which that entry leaves out. A subset's blocks then replace what is left, one by
one; a subset's own entry for the port replaces all four again.
"""

from dataclasses import dataclass

from weft_core.graph import query
from weft_core.model.destination_rule import (
    ConnectionPoolSettings,
    LoadBalancerSettings,
    OutlierDetection,
    PortTrafficPolicy,
    RetryBudget,
    TrafficPolicy,
)
from weft_core.model.tls_settings import ClientTLSSettings
from weft_core.registry import Key, Registry
from weft_core.view.destination_rules import merged_rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """The blocks that apply; None where nobody set one."""

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None
    retry_budget: RetryBudget | None = None
    """Of the destination or the subset only: ports have none."""


@query
def policy_blocks(db: Registry, rules: tuple[Key, ...], port: int, subset: str) -> Blocks:
    """The blocks for one port of a service, or of a subset of it (empty: of the whole service)."""
    rule = merged_rule(db, rules)
    blocks = Blocks()
    if rule.policy is not None:
        blocks = _overlaid(_of(rule.policy), _port_entry(rule.policy, port))
    chosen = rule.subset(subset) if subset else None
    if chosen is not None and chosen.traffic_policy is not None:
        over = _of(chosen.traffic_policy)
        blocks = Blocks(
            load_balancer=over.load_balancer or blocks.load_balancer,
            connection_pool=over.connection_pool or blocks.connection_pool,
            outlier_detection=over.outlier_detection or blocks.outlier_detection,
            tls=over.tls or blocks.tls,
            retry_budget=over.retry_budget or blocks.retry_budget,
        )
        blocks = _overlaid(blocks, _port_entry(chosen.traffic_policy, port))
    return blocks


def _of(policy: TrafficPolicy) -> Blocks:
    return Blocks(
        load_balancer=policy.load_balancer,
        connection_pool=policy.connection_pool,
        outlier_detection=policy.outlier_detection,
        tls=policy.tls,
        retry_budget=policy.retry_budget,
    )


def _port_entry(policy: TrafficPolicy, port: int) -> PortTrafficPolicy | None:
    return next((entry for entry in policy.port_level_settings if entry.port.number == port), None)


def _overlaid(blocks: Blocks, entry: PortTrafficPolicy | None) -> Blocks:
    if entry is None:
        return blocks
    return Blocks(
        load_balancer=entry.load_balancer,
        connection_pool=entry.connection_pool,
        outlier_detection=entry.outlier_detection,
        tls=entry.tls,
        retry_budget=blocks.retry_budget,
    )
