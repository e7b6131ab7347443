"""A stream of delta ADS as a state machine: requests and changes in, responses out. No I/O, no clock.

Each type is a `Subscription`; this module holds what binds the types together, all of it learned from Envoy:

- *Make before break.* Where clusters are new to the proxy, changed listeners, routes and virtual hosts wait for the
  ACK of CDS, which Envoy withholds until the clusters are warm. Endpoints never wait: warming needs them. Clusters
  (and their endpoints) are taken away only after everything that may refer to them has been ACKed. Nothing waits
  longer than `patience`: a cluster whose name never resolves must not stop the mesh.
- *Endpoints follow their cluster.* Envoy does not ask again for the endpoints of a cluster that has changed, and
  without them goes on with the old cluster for 15 seconds. So they are sent again right behind it.
- *Virtual hosts follow their route configuration.* Envoy drops virtual hosts of route configurations that it does not
  have, and does not ask for them later. So they are sent once it has it, and again whenever it has it anew. When it
  gives the route configuration up it forgets them, but goes on claiming them, on every reconnect: so they are removed
  first, and only then may the route configuration come back.
- *Readiness last.* Resources marked as `last` are sent when the proxy has ACKed everything else for the first time.
- *One response per type at a time.* Changes in the meantime are remembered as names, so a slow proxy costs no memory
  and gets the newest state when it is ready for it. Only CDS may run ahead, since its ACK may be long in coming.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from weft_xds.subscription import Batch, Gate, Subscription
from weft_xds.types import CDS, EDS, LDS, PUSH_ORDER, RDS, REFERRING, VHDS
from weft_xds.view import View, scope_of
from weft_xds.wire import Request

PATIENCE: Final = 5.0
"""Seconds that anything waits for a proxy's ACK of something else."""

RUN_AHEAD: Final = 4
"""How many responses of CDS may be without an answer, once patience with them has run out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One response, yet to be encoded: `bodies` hold whole sections or single resources, `resources` in all."""

    type_url: str
    nonce: str
    bodies: tuple[bytes, ...]
    removed: tuple[str, ...]
    resources: int


class Session:
    """One stream's state, driven by `receive` and `mark`, drained by `poll`.

    All times are seconds of one monotonic clock. After any event, call `poll` until it returns None, then again at
    `deadline` if nothing happens before.
    """

    def __init__(self, view: View, *, patience: float = PATIENCE) -> None:
        self._view = view
        self._patience = patience
        self._subscriptions: dict[str, Subscription] = {}
        self._ordered: list[Subscription] = []
        self._responses = 0
        self._resumed = False
        self._changed_clusters: set[str] = set()
        self._fresh_routes: set[str] = set()
        self._leaving: set[str] = set()
        self._idle_since: float | None = None
        self.complete = False
        """Whether the proxy has had everything at least once, and so may be told that it is ready."""

    # events

    def receive(self, request: Request) -> bool:
        """Take in a request; False where its nonce answers no response that is still without an answer."""
        subscription = self._subscriptions.get(request.type_url)
        if subscription is None:
            subscription = self._subscriptions[request.type_url] = Subscription(request.type_url)
            self._ordered = sorted(self._subscriptions.values(), key=_push_rank)
        known = True
        if request.nonce:
            batch = subscription.outstanding.pop(request.nonce, None)
            known = batch is not None
            if batch is not None and request.error is not None:
                subscription.refuse(batch, request.error, self._view)
            elif batch is not None:
                subscription.error = ""
        first = not subscription.started
        subscription.subscribe(request)
        if request.type_url == RDS and request.unsubscribe:
            self._evict(request.unsubscribe)
        if first:
            self._catch_up(subscription)
        return known

    def mark(self, type_url: str, names: Collection[str]) -> bool:
        """Note that these resources may have changed; False where this proxy does not care."""
        subscription = self._subscriptions.get(type_url)
        return subscription is not None and subscription.mark(names)

    def _catch_up(self, subscription: Subscription) -> None:
        """Treat what the proxy had before it reconnected as stale where something that it hangs on was sent anew."""
        if subscription.type_url == CDS:
            self._resumed = bool(subscription.sent)
        elif subscription.type_url == EDS:
            subscription.force(self._changed_clusters & subscription.sent.keys())
            self._changed_clusters.clear()
        elif subscription.type_url == RDS and VHDS in self._subscriptions:
            hosts = self._subscriptions[VHDS]
            hosts.mark(self._hosts_of(subscription.sent))
            self._evict({scope_of(name) for name in hosts.sent} - subscription.names)
        elif subscription.type_url == VHDS:
            if subscription.sent:
                subscription.force(self._hosts_of(self._fresh_routes))
                if RDS in self._subscriptions:
                    self._evict({scope_of(name) for name in subscription.sent} - self._subscriptions[RDS].names)
            self._fresh_routes.clear()

    # responses

    def poll(self, now: float) -> Response | None:
        """The next response that may go now, counted as sent; None where nothing may."""
        response = self._next(now)
        if response is None and self._completes(now):
            response = self._next(now)
        return response

    def _next(self, now: float) -> Response | None:
        for subscription in self._ordered:
            if not (subscription.pending or subscription.deferred):
                continue
            removals = self._may_remove(subscription, now)
            if not self._may_send(subscription, removals, now):
                continue
            returning = self._returning(subscription) if self._leaving and subscription.type_url == RDS else set()
            subscription.dirty -= returning
            batch = subscription.compose(self._view, now, self._gate(subscription.type_url, removals))
            subscription.dirty |= returning
            if batch is not None:
                return self._send(subscription, batch)
        return None

    def deadline(self, now: float) -> float | None:
        """When patience with something will have run out next; None where time alone changes nothing."""
        moments = [s.deferred_since for s in self._ordered if s.deferred]
        clusters = self._subscriptions.get(CDS)
        if clusters is not None and clusters.outstanding and any(s.pending for s in self._ordered):
            moments += [batch.sent_at for batch in clusters.outstanding.values()]
        if self._idle_since is not None:
            moments.append(self._idle_since)
        return min((moment + self._patience for moment in moments if moment + self._patience > now), default=None)

    def _send(self, subscription: Subscription, batch: Batch) -> Response:
        if subscription.type_url == CDS:
            self._follow_clusters(batch)
        elif subscription.type_url == RDS:
            self._follow_routes(batch)
        self._responses += 1
        nonce = str(self._responses)
        subscription.outstanding[nonce] = batch
        return Response(
            type_url=subscription.type_url,
            nonce=nonce,
            bodies=tuple(batch.bodies),
            removed=tuple(batch.removed),
            resources=sum(map(len, batch.added)),
        )

    def _follow_clusters(self, batch: Batch) -> None:
        endpoints = self._subscriptions.get(EDS)
        if endpoints is None:
            self._changed_clusters.update(batch.names())
        else:
            endpoints.force(endpoints.names.intersection(batch.names()))

    def _follow_routes(self, batch: Batch) -> None:
        hosts = self._subscriptions.get(VHDS)
        if hosts is None:
            self._fresh_routes.update(batch.fresh)
        else:
            hosts.force(self._hosts_of(batch.fresh))

    def _evict(self, routes: Iterable[str]) -> None:
        """Take the virtual hosts of route configurations that the proxy has given up."""
        hosts = self._subscriptions.get(VHDS)
        if hosts is not None:
            self._leaving.update(routes)
            hosts.mark([name for name in self._hosts_of(self._leaving) if name in hosts.sent])

    def _returning(self, routes: Subscription) -> set[str]:
        """Route configurations that the proxy asks for again, and still has virtual hosts of from before."""
        hosts = self._subscriptions[VHDS]
        self._leaving = {r for r in self._leaving if any(hosts.holds(name) for name in self._hosts_of((r,)))}
        return routes.dirty & self._leaving

    def _hosts_of(self, routes: Collection[str]) -> list[str]:
        scopes = [full.scopes for full in self._view.full(VHDS)]
        return [name for route in routes for scope in scopes for name in scope.get(route, ())]

    # order

    def _may_send(self, subscription: Subscription, removals: bool, now: float) -> bool:
        if not (subscription.pending or removals):
            return False
        if subscription.type_url in REFERRING and not self._clusters_warm(now):
            return False
        if not subscription.outstanding:
            return True
        return (
            subscription.type_url == CDS
            and not self._awaited(subscription, now)
            and len(subscription.outstanding) < RUN_AHEAD
        )

    def _awaited(self, subscription: Subscription, now: float) -> list[Batch]:
        return [batch for batch in subscription.outstanding.values() if now < batch.sent_at + self._patience]

    def _clusters_warm(self, now: float) -> bool:
        clusters = self._subscriptions.get(CDS)
        if clusters is None:
            return True
        awaited = self._awaited(clusters, now)
        return not awaited or not (clusters.pending or any(batch.fresh for batch in awaited))

    def _may_remove(self, subscription: Subscription, now: float) -> bool:
        if subscription.type_url in REFERRING:
            return True
        if subscription.deferred and now >= subscription.deferred_since + self._patience:
            return True
        return all(map(self._refers_to_nothing_old, REFERRING))

    def _refers_to_nothing_old(self, type_url: str) -> bool:
        subscription = self._subscriptions.get(type_url)
        if subscription is not None:
            return subscription.settled
        # A proxy that reconnects has routes from before, and is about to say so.
        return not (self._resumed and any(full.versions for full in self._view.full(type_url)))

    def _gate(self, type_url: str, removals: bool) -> Gate:
        routes = self._subscriptions.get(RDS)
        return Gate(
            removals=removals,
            withheld=() if self.complete else self._view.last(type_url),
            scopes=(routes.sent.keys() if routes else ()) if type_url == VHDS else None,
            evicted=self._leaving,
        )

    # readiness

    def _completes(self, now: float) -> bool:
        """Whether the first round has ended just now.

        Where a proxy has ACKed all that it asked for, but has not asked for all there is, it is given `patience` to do
        so: it may be about to (Envoy ACKs a listener before it asks for its routes), or may never (a listener that it
        refused would have asked).
        """
        if self.complete or not {CDS, LDS} <= self._subscriptions.keys():
            return False
        if not all(subscription.settled for subscription in self._ordered):
            self._idle_since = None
            return False
        if not all(map(self._has_all, PUSH_ORDER)):
            if self._idle_since is None:
                self._idle_since = now
            if now < self._idle_since + self._patience:
                return False
        self.complete = True
        self._idle_since = None
        for type_url, subscription in self._subscriptions.items():
            subscription.mark(self._view.last(type_url))
        return True

    def _has_all(self, type_url: str) -> bool:
        subscription = self._subscriptions.get(type_url)
        expected = sum(len(full.versions) for full in self._view.full(type_url))
        return (len(subscription.sent) if subscription else 0) >= expected

    # status

    @property
    def waiting(self) -> bool:
        """Whether a poll might yield something, now or later; false for most answers, which are the last word."""
        return not self.complete or any(s.pending or s.deferred for s in self._ordered)

    @property
    def settled(self) -> bool:
        """Whether the proxy has everything that it asked for, and has said so."""
        return all(s.settled and not s.deferred for s in self._ordered)

    def has(self, type_url: str, name: str, version: str) -> bool:
        """Whether the proxy has ACKed this version; or has everything that it wants, and does not want this."""
        subscription = self._subscriptions.get(type_url)
        if subscription is None:
            return self.complete
        return subscription.acknowledged(name, version) or (self.complete and not self._wants(subscription, name))

    def _wants(self, subscription: Subscription, name: str) -> bool:
        """A proxy wants the virtual hosts of the route configurations that it asks for."""
        if subscription.type_url != VHDS:
            return subscription.wants(name)
        routes = self._subscriptions.get(RDS)
        return routes is not None and routes.wants(scope_of(name))

    def subscription(self, type_url: str) -> Subscription | None:
        """The state of one type, for status; None where the proxy has not asked for it."""
        return self._subscriptions.get(type_url)


def _push_rank(subscription: Subscription) -> int:
    """Where a type stands in the push order; types that Weft knows nothing of, and answers with nothing, come last."""
    type_url = subscription.type_url
    return PUSH_ORDER.index(type_url) if type_url in PUSH_ORDER else len(PUSH_ORDER)
