"""How far each connected proxy is: what `weft proxy-status` shows."""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

from weft_core.proxy import ProxyId
from weft_xds.delta import Session
from weft_xds.subscription import Subscription
from weft_xds.types import PUSH_ORDER, SHORT


class SyncState(StrEnum):
    """A type's state at one proxy, in Istio's words."""

    SYNCED = "SYNCED"
    """The proxy has ACKed the newest state."""
    STALE = "STALE"
    """Something is on its way, or waits to go."""
    NOT_SENT = "NOT SENT"
    """The proxy has not asked for this type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeStatus:
    """One type at one proxy.

    `version` is a digest of the names and versions that it was sent: proxies with the same digest have the same
    resources, on whichever replica. `error` is Envoy's message where the last answer was a NACK.
    """

    type: str
    state: SyncState
    resources: int = 0
    version: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyStatus:
    """One stream. `connected_for` is in seconds; `complete` tells whether it was ever given everything."""

    proxy: ProxyId
    node_id: str
    connected_for: float
    complete: bool
    types: tuple[TypeStatus, ...]


def type_statuses(session: Session) -> tuple[TypeStatus, ...]:
    """The state of every type, in push order."""
    return tuple(_status(SHORT[type_url], session.subscription(type_url)) for type_url in PUSH_ORDER)


def _status(kind: str, subscription: Subscription | None) -> TypeStatus:
    if subscription is None:
        return TypeStatus(type=kind, state=SyncState.NOT_SENT)
    synced = subscription.settled and not subscription.deferred
    digest = blake2b(digest_size=8)
    for name, version in sorted(subscription.sent.items()):
        digest.update(f"{name}\0{version}\0".encode())
    return TypeStatus(
        type=kind,
        state=SyncState.SYNCED if synced else SyncState.STALE,
        resources=len(subscription.sent),
        version=digest.hexdigest(),
        error=subscription.error,
    )
