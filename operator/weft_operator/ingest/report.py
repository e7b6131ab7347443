"""What ingest found while reading the mesh's objects: the news that the writer of status conditions lives on.

A row of the registry says what is in force. That may be an older version than the one that the user has just applied,
where that one has an error. An `Observed` is about the newest version, in force or not.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from weft_core.problems import ObjectRef, Problem

Subscriber = Callable[[ObjectRef], None]
"""Called with the address of an object whose `Observed` came, changed or went. Must not block, nor raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The newest version of one object, and what is wrong with it by itself.

    `generation` is the API server's count of changes to the spec, `uid` tells an object from its namesake that was
    deleted before. `rejected`: this version is not in force; its last good one is, where there was one. `in_force`:
    some version of it is.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    generation: int
    problems: tuple[Problem, ...] = ()
    rejected: bool = False
    in_force: bool = True

    @property
    def ref(self) -> ObjectRef:
        """Kind, namespace and name: the key in `Observations`."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)


class Observations:
    """The `Observed` of every mesh object in the cluster that is this revision's, by address.

    Belongs to the event loop's thread. Equal values disturb nobody.
    """

    def __init__(self) -> None:
        self._found: dict[ObjectRef, Observed] = {}
        self._subscribers: list[Subscriber] = []

    def get(self, ref: ObjectRef) -> Observed | None:
        """The newest version of an object, None where it is gone or another revision's."""
        return self._found.get(ref)

    def items(self) -> Iterator[tuple[ObjectRef, Observed]]:
        """All there are now: a copy, so that they may change meanwhile."""
        return iter(tuple(self._found.items()))

    def __len__(self) -> int:
        return len(self._found)

    def put(self, observed: Observed) -> None:
        """Keep what was found, and tell the subscribers where it is new."""
        if self._found.get(observed.ref) != observed:
            self._found[observed.ref] = observed
            self._tell(observed.ref)

    def remove(self, ref: ObjectRef) -> None:
        """Forget an object that is gone."""
        if self._found.pop(ref, None) is not None:
            self._tell(ref)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` at each change from now on; returns what ends that."""
        self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return unsubscribe

    def _tell(self, ref: ObjectRef) -> None:
        for subscriber in tuple(self._subscribers):
            subscriber(ref)
