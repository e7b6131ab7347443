"""Guards: security policies that can't be read, and of which no earlier version is in force either. They fail closed.

An AuthorizationPolicy may be what keeps everybody out but one: unread, it refuses every request and connection to the
workloads that it is about. A PeerAuthentication may be what demands mutual TLS: unread, it demands it. A
RequestAuthentication verifies tokens, on which AuthorizationPolicies rely in both directions: with none verified, an
ALLOW rule for a principal holds for nobody, but a DENY rule for one does not hold either. Nor is it known in which
header a token would come, so that requests without one can't be told apart. It therefore refuses every request, and
leaves alone connections that are not HTTP, which have no tokens.

Gateways are guarded as sidecars are. Listeners for readiness, probes and metrics are not behind policies, nor behind
guards.
"""

from typing import Final

from weft_core.model.guard import AUTHORIZATION_POLICY, REQUEST_AUTHENTICATION, Guard
from weft_core.registry import Registry

REFUSING_KINDS: Final = (AUTHORIZATION_POLICY, REQUEST_AUTHENTICATION)
"""The kinds whose guards refuse requests."""


def guards_of(db: Registry, kind: str, namespace: str) -> tuple[Guard, ...]:
    """The guards of one kind in a namespace, by name. Tracked: readers are disturbed by these alone."""
    return db.unreadable_policies.rows("policies", (kind, namespace))
