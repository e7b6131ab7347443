"""The rules of the election, without clock or I/O.

As in Kubernetes' client libraries: a Lease counts as held for its duration after *this* replica has seen it change,
by this replica's own monotonic clock. The times written in it are for people, since clocks of machines differ. A leader
gives up by itself, earlier than the others may take over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

MICRO_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds: a leader renews every `retry`, gives up after `renew` without; others take over after `lease`."""

    lease: float = 15.0
    renew: float = 10.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        """Raises ValueError where two replicas could lead at once."""
        if not self.lease > self.renew > self.retry > 0:
            raise ValueError("a lease must be longer than its renewal takes, and that longer than one try")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a Lease says, and which version of it. An empty `holder`: it is free."""

    holder: str = ""
    seconds: float = 0.0
    acquired: str = ""
    renewed: str = ""
    transitions: int = 0
    version: str = ""

    @classmethod
    def parse(cls, lease: Mapping[str, Any]) -> "Record":
        """Read a Lease as the API has it."""
        spec = lease.get("spec") or {}
        return cls(
            holder=spec.get("holderIdentity") or "",
            seconds=float(spec.get("leaseDurationSeconds") or 0),
            acquired=spec.get("acquireTime") or "",
            renewed=spec.get("renewTime") or "",
            transitions=spec.get("leaseTransitions") or 0,
            version=lease["metadata"].get("resourceVersion") or "",
        )

    def spec(self) -> dict[str, Any]:
        """The Lease's spec."""
        found = {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": max(1, round(self.seconds)),
            "acquireTime": self.acquired,
            "renewTime": self.renewed,
            "leaseTransitions": self.transitions,
        }
        return {key: value for key, value in found.items() if value != ""}


class Step(Enum):
    """What a replica may do."""

    TAKE = auto()
    """Write the Lease with its own name: it is free, has run out, or is its own."""
    WAIT = auto()
    """Somebody else holds it."""


class Election:
    """One replica's view of the election. `now` is always seconds of one monotonic clock."""

    def __init__(self, identity: str, timing: Timing) -> None:
        self._identity = identity
        self._timing = timing
        self._seen: Record | None = None
        self._seen_at = 0.0
        self._renewed_at: float | None = None

    @property
    def holder(self) -> str:
        """Who held the Lease when it was last seen."""
        return self._seen.holder if self._seen else ""

    def leading(self, now: float) -> bool:
        """Whether this replica may write: it has renewed its Lease recently enough."""
        return self._renewed_at is not None and now < self._renewed_at + self._timing.renew

    def remaining(self, now: float) -> float:
        """Seconds until leadership is lost without another renewal; 0 for who does not lead."""
        return max(0.0, self._renewed_at + self._timing.renew - now) if self._renewed_at is not None else 0.0

    def observe(self, record: Record | None, now: float) -> Step:
        """Take in the Lease as it was read (None: there is none); says what may be done about it."""
        if record != self._seen:
            self._seen, self._seen_at = record, now
        if record is None or record.holder in ("", self._identity):
            return Step.TAKE
        self._renewed_at = None  # somebody else has it, whatever this replica thought
        held_for = record.seconds or self._timing.lease
        return Step.WAIT if now < self._seen_at + held_for else Step.TAKE

    def claim(self, wall: datetime) -> Record:
        """The Lease as this replica would write it over the one that it has seen."""
        seen = self._seen
        time = wall.strftime(MICRO_TIME)
        own = seen is not None and seen.holder == self._identity
        return Record(
            holder=self._identity,
            seconds=self._timing.lease,
            acquired=seen.acquired if seen and own else time,
            renewed=time,
            transitions=seen.transitions + (not own) if seen else 0,
            version=seen.version if seen else "",
        )

    def resignation(self, wall: datetime) -> Record:
        """The Lease given back: free at once."""
        seen = self._seen or Record()
        time = wall.strftime(MICRO_TIME)
        return Record(seconds=1.0, renewed=time, transitions=seen.transitions, version=seen.version)

    def won(self, record: Record, now: float, asked_at: float) -> None:
        """The claim was written, as `record`. It counts from `asked_at`: the answer may have taken long."""
        self._seen, self._seen_at = record, now
        self._renewed_at = asked_at

    def resign(self) -> None:
        """Lead no longer."""
        self._renewed_at = None
