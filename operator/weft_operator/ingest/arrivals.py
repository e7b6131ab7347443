"""What of all that arrives is news: a pure state machine over the versions of one kind's objects.

Events come from one connection and lists from another, so that either may be older than the other. Two facts decide.
Resource versions of one kind are integers that grow with every write, deletions included. And a list is read with
quorum: it knows of all that had happened when it was asked for.
https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
"""

from collections.abc import Mapping
from typing import Generic, TypeVar

K = TypeVar("K")


class Arrivals(Generic[K]):
    """The newest version known of each object, and of each deletion that a late event could undo."""

    def __init__(self) -> None:
        self._versions: dict[K, int] = {}
        self._deleted: dict[K, int] = {}
        """Tombstones that are newer than the last list."""
        self._listed = 0
        """Version of the last list: what is not known and not newer than this was not there then."""
        self._newest = 0

    def seen(self, key: K, version: int) -> bool:
        """An object at a version, from an event: whether that is news."""
        self._newest = max(self._newest, version)
        if version <= max(self._listed if key not in self._versions else 0, self._version(key)):
            return False
        self._versions[key] = version
        self._deleted.pop(key, None)
        return True

    def deleted(self, key: K, version: int) -> bool:
        """A deletion, from an event: whether the object was there until now."""
        self._newest = max(self._newest, version)
        if version < self._version(key):
            return False  # of a namesake before it
        self._deleted[key] = version
        return self._versions.pop(key, None) is not None

    def is_current(self, key: K, version: int) -> bool:
        """Whether this is still the newest version, and not deleted since."""
        return self._versions.get(key) == version

    def mark(self) -> int:
        """The newest version that has arrived; to be taken before a list is asked for."""
        return self._newest

    def listed(self, found: Mapping[K, int], version: int, mark: int) -> tuple[frozenset[K], frozenset[K]]:
        """A complete list, and the mark from before it: which objects are news, and which have vanished.

        A list that is older than the mark can only come from a server that was restored from a backup. Then the list is
        the truth, and nothing of what was known before counts.
        """
        if version < mark:
            news, vanished = frozenset(found), frozenset(self._versions.keys() - found.keys())
            self._versions, self._deleted, self._newest = dict(found), {}, version
        else:
            news = frozenset(key for key, at in found.items() if at > self._version(key))
            vanished = frozenset(k for k, at in self._versions.items() if k not in found and at <= version)
            for key in vanished:
                del self._versions[key]
            self._versions |= {key: found[key] for key in news}
            self._deleted = {key: at for key, at in self._deleted.items() if at > version}
            self._newest = max(self._newest, version)
        self._listed = version
        return news, vanished

    def _version(self, key: K) -> int:
        return max(self._versions.get(key, 0), self._deleted.get(key, 0))
