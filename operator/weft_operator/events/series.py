"""Which Events are written: one for each thing that happened to an object, counted when it happens again. Pure.

The name of an Event is made from the object and what happened, so that a second replica, or this one after a restart,
comes to the same Event. Repetitions are written as its series, no more often than every few minutes; and there is a
bound to how many things are remembered, and to how many are written.
"""

from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

from weft_kube.resource import EVENTS, Resource

REPEAT: Final = 300.0
"""Seconds between two writes of one series. The API server forgets Events after an hour."""
REMEMBERED: Final = 1024
"""How many things are remembered; beyond, the oldest are taken for new ones."""
NOTE: Final = 1024
"""Characters of a note: the API's limit."""
NAME: Final = 200
"""Characters of the object's name in the Event's own, which may have 253."""
MICRO_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
CONTROLLER: Final = "weft.dev/control-plane"


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that happened to an object. `action` is what was being done, `kind` Normal or Warning."""

    resource: Resource
    namespace: str
    name: str
    uid: str
    reason: str
    note: str
    action: str
    kind: str = "Warning"

    @property
    def event_name(self) -> str:
        """The Event's name: the same for the same thing, whoever notes it."""
        digest = blake2b(f"{self.uid}\0{self.reason}\0{self.note}".encode(), digest_size=8).hexdigest()
        return f"{self.name[:NAME].rstrip('-.')}.{digest}"  # cut off, it must not end in the middle of a label

    def body(self, instance: str, wall: datetime) -> dict[str, Any]:
        """The Event, as it is created. `instance` is the replica that notes it."""
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": self.event_name, "namespace": self.namespace or "default"},
            "eventTime": wall.strftime(MICRO_TIME),
            "reportingController": CONTROLLER,
            "reportingInstance": instance[:128],
            "action": self.action,
            "reason": self.reason,
            "note": self.note if len(self.note) <= NOTE else f"{self.note[: NOTE - 1]}…",
            "type": self.kind,
            "regarding": {
                "apiVersion": self.resource.api_version,
                "kind": self.resource.kind,
                "namespace": self.namespace,
                "name": self.name,
                "uid": self.uid,
            },
        }


@dataclass(slots=True)
class _Seen:
    count: int
    written_at: float


class Series:
    """How often each thing has happened. Times are seconds of one monotonic clock."""

    def __init__(self, *, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._seen: dict[str, _Seen] = {}

    def count(self, happening: Happening, now: float) -> int:
        """Note that it happened; the count to be written, 0 where nothing is to be written now."""
        key = f"{happening.namespace}/{happening.event_name}"
        seen = self._seen.get(key)
        if seen is None:
            while len(self._seen) >= self._remembered:
                del self._seen[next(iter(self._seen))]
            self._seen[key] = _Seen(1, now)
            return 1
        seen.count += 1
        if now < seen.written_at + REPEAT:
            return 0
        seen.written_at = now
        return seen.count


def repetition(count: int, wall: datetime) -> dict[str, Any]:
    """A merge patch that makes an Event a series; a series has two occurrences at least."""
    return {"series": {"count": max(2, count), "lastObservedTime": wall.strftime(MICRO_TIME)}}
