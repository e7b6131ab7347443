"""One resource type on one stream: what the proxy wants, has, and is owed.

This is the part of delta xDS that knows one type only; `delta.py` puts the types in order. Nothing here does I/O, and
what is sent is looked up when it is sent, not when it changes: however slow a proxy is, all that waits for it is a set
of names.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from weft_xds.types import VHDS, WILDCARD
from weft_xds.view import ALL, HELD, Full, View, scope_of
from weft_xds.wire import Request

UNKNOWN: Final = ""
"""In place of a version: the proxy may have some version, or none. It is sent again whatever it may be."""

BULK: Final = 32
"""From so many names on, whole sections are compared at C speed before names are looked at one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What may not go yet."""

    removals: bool = True
    """Whether the proxy may lose resources now; if not, they are deferred."""
    withheld: Collection[str] = ()
    """Names that are not sent now, and will be marked again when they may be."""
    scopes: Collection[str] | None = None
    """The route configurations whose virtual hosts may be sent; None for other types."""
    evicted: Collection[str] = ()
    """The route configurations whose virtual hosts are taken away."""


OPEN: Final = Gate()


@dataclass(slots=True)
class Batch:
    """The content of one response, and what must be known when it is answered.

    `added` are names with the versions sent, in tables that may be shared with other streams. `prior` is what the proxy
    had under those names before, `fresh` the names of which it had nothing, or nothing certain.
    """

    sent_at: float = 0.0
    bodies: list[bytes] = field(default_factory=list)
    added: list[Mapping[str, str]] = field(default_factory=list)
    prior: dict[str, str] = field(default_factory=dict)
    fresh: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def names(self) -> list[str]:
        """All added names."""
        return [name for table in self.added for name in table]


class Subscription:
    """The state of one type: subscribed names, versions at the proxy, changes not sent, responses not answered."""

    def __init__(self, type_url: str) -> None:
        self.type_url = type_url
        self.started = False
        self.wildcard = False
        self.names: set[str] = set()
        self.sent: dict[str, str] = {}
        """Versions at the proxy, once it has ACKed what is outstanding."""
        self.outstanding: dict[str, Batch] = {}
        """Responses without an answer, by nonce, oldest first."""
        self.dirty: set[str] = set()
        self.asked: set[str] = set()
        """Names that get an answer even if it is that there is no such resource."""
        self.whole = False
        """Everything is to be compared: the first answer to a wildcard subscription."""
        self.owed = False
        """A response must go even if it is empty: Envoy waits for the first one."""
        self.groups: deque[tuple[str, ...]] = deque()
        """Parts of a refused response, each to be sent on its own."""
        self.deferred: set[str] = set()
        """Removals that wait until nothing refers to the resource, and since when."""
        self.deferred_since = 0.0
        self.error = ""
        """Envoy's words in the last NACK."""

    # what the proxy asks for

    def subscribe(self, request: Request) -> None:
        """Take in the subscription part of a request; the first one also says what the proxy already has."""
        if not self.started:
            self._start(request)
        else:
            self._add(request.subscribe)
        self._drop(request.unsubscribe)

    def _start(self, request: Request) -> None:
        self.started = True
        self.sent = dict(request.held)
        self.names = {name for name in request.subscribe if name != ALL}
        self.asked = self.names - self.sent.keys()
        self.dirty = self.names | self.sent.keys()
        legacy = self.type_url in WILDCARD and not request.subscribe
        if legacy or ALL in request.subscribe or self.type_url == VHDS:
            self.wildcard = self.whole = True
            self.owed = not self.sent

    def _add(self, names: Iterable[str]) -> None:
        for name in names:
            if name == ALL:
                self.wildcard = self.whole = self.owed = True
                continue
            self.names.add(name)
            self.asked.add(name)
            self.dirty.add(name)
            self.sent.pop(name, None)

    def _drop(self, names: Iterable[str]) -> None:
        for name in names:
            if name == ALL:
                self.wildcard = self.whole = self.owed = False
                self.sent = {kept: version for kept, version in self.sent.items() if kept in self.names}
                self.dirty &= self.names
                continue
            self.names.discard(name)
            self.asked.discard(name)
            if self.wildcard:
                self.force((name,))  # the proxy may have dropped it, although the wildcard still covers it
            else:
                self.sent.pop(name, None)
                self.dirty.discard(name)
                self.deferred.discard(name)

    # what has changed

    def mark(self, names: Collection[str]) -> bool:
        """Note that these may have changed, or ALL; False where the proxy does not care."""
        if ALL in names:
            self.dirty.update(self.sent)
        wanted = set(names) - {ALL} if self.wildcard else self.names.intersection(names)
        self.dirty |= wanted
        return bool(wanted) or ALL in names

    def force(self, names: Iterable[str]) -> None:
        """Send these again even if they have not changed."""
        for name in names:
            if name in self.sent:
                self.sent[name] = UNKNOWN
            self.dirty.add(name)

    def acknowledged(self, name: str, version: str) -> bool:
        """Whether the proxy has ACKed this version and has it still."""
        return self.sent.get(name) == version and not any(
            name in table for batch in self.outstanding.values() for table in batch.added
        )

    def holds(self, name: str) -> bool:
        """Whether the proxy may have this resource, as long as it has not ACKed its removal."""
        return name in self.sent or any(name in batch.removed for batch in self.outstanding.values())

    @property
    def pending(self) -> bool:
        """Whether there may be something to send, apart from removals that wait."""
        return bool(self.dirty or self.groups or self.whole or self.owed)

    @property
    def settled(self) -> bool:
        """Whether the proxy has everything and has said so, apart from removals that wait."""
        return not self.outstanding and not self.pending

    # responses

    def compose(self, view: View, now: float, gate: Gate = OPEN) -> Batch | None:
        """Take out what can be sent now, as one response; None where there is nothing."""
        batch = Batch(sent_at=now)
        if self.groups:
            names = set(self.groups.popleft())
        else:
            names, self.dirty = self.dirty, set()
            if gate.removals:
                names |= self.deferred
            if self.whole or len(names) >= BULK:
                self._compose_sections(view.full(self.type_url), names, batch, gate)
        table: dict[str, str] = {}
        for name in sorted(names):
            self._compose_one(view, name, batch, table, gate)
        if table:
            batch.added.append(table)
        if not (batch.added or batch.removed or self.owed):
            return None
        self.owed = False
        return batch

    def _compose_sections(self, fulls: Iterable[Full], names: set[str], batch: Batch, gate: Gate) -> None:
        """Add whole sections that the proxy has nothing of, and drop from `names` what it already has."""
        for full in fulls:
            versions = full.versions
            wanted = self.whole or versions.keys() <= names
            allowed = gate.scopes is None or full.scopes.keys() <= set(gate.scopes)
            if versions and wanted and allowed and self.sent.keys().isdisjoint(versions):
                batch.bodies.append(full.body)
                batch.added.append(versions)
                batch.fresh.extend(versions)
                self.sent.update(versions)
                for done in (names, self.asked, self.deferred):
                    done.difference_update(versions)
                continue
            if self.whole:
                names.update(versions)
            names.difference_update(map(itemgetter(0), versions.items() & self.sent.items()))
            for scope in gate.evicted:
                names.update(full.scopes.get(scope, ()))
        self.whole = False

    def _compose_one(self, view: View, name: str, batch: Batch, table: dict[str, str], gate: Gate) -> None:
        self.deferred.discard(name)
        if name in gate.withheld:
            return
        frame = view.frame(self.type_url, name)
        had = self.sent.get(name)
        if frame is HELD:
            return
        if frame is None:
            if name in self.asked or (had is not None and gate.removals):
                batch.removed.append(name)
                self.asked.discard(name)
                self.sent.pop(name, None)
            elif had is not None:
                self._defer(name, batch.sent_at)
            return
        if gate.scopes is not None and scope_of(name) not in gate.scopes:
            if scope_of(name) in gate.evicted and self.sent.pop(name, None) is not None:
                batch.removed.append(name)
            return
        if not self.wants(name) or had == frame.version:
            return
        batch.bodies.append(frame.body)
        table[name] = self.sent[name] = frame.version
        self.asked.discard(name)
        if had is not None:
            batch.prior[name] = had
        if not had:
            batch.fresh.append(name)

    def wants(self, name: str) -> bool:
        """Whether the proxy subscribes to this name, by itself or by the wildcard."""
        return self.wildcard or name in self.names

    def _defer(self, name: str, now: float) -> None:
        if not self.deferred:
            self.deferred_since = now
        self.deferred.add(name)

    # answers

    def refuse(self, batch: Batch, message: str, view: View) -> None:
        """Take in a NACK: find the resource that Envoy means, and hold that version back.

        Envoy records no version for any resource of a refused response, though it may have applied some (a semantic
        error spares the others, an error of validation does not). So all are sent again, in smaller and smaller
        responses: those that the message names alone, the others together, in halves where it names none.
        """
        self.error = message
        names = batch.names()
        if len(names) == 1 and not batch.removed:
            self._refuse_one(batch, names[0], message, view)
            return
        for name in batch.removed:
            if names and self.wants(name):
                self.sent.setdefault(name, UNKNOWN)
                self.dirty.add(name)
        for table in batch.added:
            for name, version in table.items():
                if self.sent.get(name) == version:
                    self.sent[name] = UNKNOWN
        known = {n for table in batch.added for n, v in table.items() if view.rejected(self.type_url, n, v)}
        self.dirty |= known
        rest = [name for name in names if name not in known]
        self.groups.extendleft(reversed([tuple(rest)] if known else _split(rest, message)))

    def _refuse_one(self, batch: Batch, name: str, message: str, view: View) -> None:
        version = batch.added[0][name]
        if self.sent.get(name) == version:
            if name in batch.prior:
                self.sent[name] = batch.prior[name]
            else:
                del self.sent[name]
        self.dirty.add(name)
        view.reject(self.type_url, name, version, message)


def _split(names: list[str], message: str) -> list[tuple[str, ...]]:
    """Smaller responses in place of a refused one: what is above suspicion first."""
    suspects = [name for name in names if name in message]
    others = [name for name in names if name not in message]
    if suspects and (others or len(suspects) > 1):
        return [group for group in (tuple(others), *((name,) for name in suspects)) if group]
    half = len(names) // 2
    return [group for group in (tuple(names[:half]), tuple(names[half:])) if group]
