"""Retry policies."""

from typing import Final

from envoy.config.route.v3.route_components_pb2 import RetryPolicy
from envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2 import PreviousHostsPredicate
from envoy.extensions.retry.priority.previous_priorities.v3.previous_priorities_config_pb2 import (
    PreviousPrioritiesConfig,
)
from google.protobuf.wrappers_pb2 import UInt32Value

from weft_core.ir import route as ir
from weft_xds.build.duration import duration
from weft_xds.build.extension import packed

MAX_HOST_SELECTIONS: Final = 5
"""How often another host is looked for, in place of one that was tried already."""
PRIORITY_UPDATE_FREQUENCY: Final = 2

_PREVIOUS_HOSTS: Final = RetryPolicy.RetryHostPredicate(
    name="envoy.retry_host_predicates.previous_hosts", typed_config=packed(PreviousHostsPredicate())
)
_PREVIOUS_PRIORITIES: Final = RetryPolicy.RetryPriority(
    name="envoy.retry_priorities.previous_priorities",
    typed_config=packed(PreviousPrioritiesConfig(update_frequency=PRIORITY_UPDATE_FREQUENCY)),
)


def build_retry_policy(policy: ir.RetryPolicy) -> RetryPolicy:
    """Envoy's message."""
    message = RetryPolicy(
        retry_on=policy.retry_on,
        num_retries=UInt32Value(value=policy.attempts),
        retriable_status_codes=policy.status_codes,
        per_try_timeout=duration(policy.per_try_timeout),
    )
    if policy.avoid_previous_hosts:
        message.retry_host_predicate.append(_PREVIOUS_HOSTS)
        message.host_selection_retry_max_attempts = MAX_HOST_SELECTIONS
    if policy.other_localities:
        message.retry_priority.CopyFrom(_PREVIOUS_PRIORITIES)
    if policy.backoff is not None:
        message.retry_back_off.base_interval.FromTimedelta(policy.backoff)
    return message
