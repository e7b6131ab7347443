"""The ledger: what the objects' statuses say already, and which of them are to be written next. Pure.

Nothing is written that the API server has already, so a restart writes nothing. Numbers that count up are news only now
and then; that an object has become something else is news at once, and a generation of which the status says nothing
yet goes before all.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from weft_core.problems import ObjectRef
from weft_operator.ingest.report import Observed
from weft_operator.status.conditions import PROGRAMMED, Condition

SPACING: Final = 0.5
"""Seconds between two writes about one object that differ in words only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What one object's status says, or is to say: Weft's part of it."""

    uid: str
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    messages: Sequence[Mapping[str, Any]] = ()

    @property
    def programmed_generation(self) -> int:
        """The generation that all proxies have taken, 0 for none."""
        found = self.conditions.get(PROGRAMMED)
        return found.observed_generation if found is not None and found.holds else 0

    def same_but_for_words(self, other: "Status") -> bool:
        """Whether nothing but messages differs."""
        return {(c.type, c.status, c.observed_generation) for c in self.conditions.values()} == {
            (c.type, c.status, c.observed_generation) for c in other.conditions.values()
        }

    def is_about(self, generation: int) -> bool:
        """Whether all of it is about this generation."""
        return bool(self.conditions) and all(
            condition.observed_generation == generation for condition in self.conditions.values()
        )


class Ledger:
    """The statuses that are known, by object. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._known: dict[ObjectRef, Status] = {}
        self._written: dict[ObjectRef, float] = {}

    def known(self, observed: Observed) -> Status:
        """What the object's status says; nothing, where only that of a namesake is known which is gone."""
        found = self._known.get(observed.ref)
        return found if found is not None and found.uid == observed.uid else Status(uid=observed.uid)

    def learn(self, ref: ObjectRef, status: Status, *, written: float | None = None) -> None:
        """Take note of what a status says, as read, or as `written` at this time."""
        self._known[ref] = status
        if written is not None:
            self._written[ref] = written

    def forget(self, ref: ObjectRef) -> None:
        """Drop an object that is gone."""
        self._known.pop(ref, None)
        self._written.pop(ref, None)

    def due(
        self, wanted: Iterable[tuple[Observed, Status]], now: float
    ) -> tuple[list[tuple[Observed, Status]], list[ObjectRef]]:
        """(what is to be written, in this order; objects to be looked at again soon).

        `wanted` are statuses as they should be, the latest changes first.
        """
        news: list[tuple[Observed, Status]] = []
        rest: list[tuple[Observed, Status]] = []
        later: list[ObjectRef] = []
        for observed, status in wanted:
            known = self.known(observed)
            if known == status:
                continue
            if not known.is_about(observed.generation):
                news.append((observed, status))
            elif known.same_but_for_words(status) and now < self._written.get(observed.ref, float("-inf")) + SPACING:
                later.append(observed.ref)
            else:
                rest.append((observed, status))
        return [*news, *rest], later
