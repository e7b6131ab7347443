"""Retries: a rule's own policy, else the mesh's, else two more tries where a request surely was not processed."""

from dataclasses import replace

from weft_core.graph import query
from weft_core.ir.route import RetryPolicy
from weft_core.model.virtual_service import HTTPRetry
from weft_core.registry import Registry
from weft_core.view.mesh import mesh

STATUS_CODES = "retriable-status-codes"
DEFAULT_CONDITIONS = f"connect-failure,refused-stream,unavailable,cancelled,{STATUS_CODES}"
DEFAULT_RETRY = RetryPolicy(attempts=2, retry_on=DEFAULT_CONDITIONS)


@query
def default_retry(db: Registry) -> RetryPolicy | None:
    """The policy of rules that say nothing about retries, and of services without rules."""
    configured = mesh(db).default_http_retry_policy
    return retry_policy(configured) if configured is not None else DEFAULT_RETRY


def retry_policy(retries: HTTPRetry) -> RetryPolicy | None:
    """A written policy; None where it switches retries off. Numbers among the conditions are status codes."""
    if retries.attempts <= 0:
        return None
    words = [word.strip() for word in retries.retry_on.split(",") if word.strip()]
    codes = tuple(dict.fromkeys(int(word) for word in words if word.isdigit()))
    conditions = [word for word in words if not word.isdigit()]
    if codes and STATUS_CODES not in conditions:
        conditions.append(STATUS_CODES)
    return RetryPolicy(
        attempts=retries.attempts,
        retry_on=",".join(conditions) or DEFAULT_CONDITIONS,
        status_codes=codes,
        per_try_timeout=retries.per_try_timeout or None,
        backoff=retries.backoff,
        avoid_previous_hosts=retries.retry_ignore_previous_hosts is not False,
        other_localities=bool(retries.retry_remote_localities),
    )


def for_hashing(policy: RetryPolicy | None) -> RetryPolicy | None:
    """A policy as it is under a consistent hash: each try goes where the hash says, so no host is avoided."""
    return replace(policy, avoid_previous_hosts=False) if policy else None
