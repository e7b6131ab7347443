"""The near end of a reflector: rows as they are, and word that something about them changed."""

import asyncio
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

from weft_core.model.kubernetes import KubernetesObject
from weft_kube.listwatch import Key

R = TypeVar("R", bound=KubernetesObject)


class Copy(Generic[R]):
    """The rows of a resource, by namespace and name, with the keys of those that changed since they were last taken.

    A sink of `weft_kube.listwatch.Reflector`. An equal row that comes again is no change.
    """

    def __init__(self, told: Callable[[], None] = lambda: None) -> None:
        self.rows: dict[Key, R] = {}
        self._told = told
        self._changed: dict[Key, None] = {}
        self._something = asyncio.Event()

    def put(self, row: R) -> None:
        """A row as it is now."""
        key = (row.namespace, row.name)
        if self.rows.get(key) != row:
            self.rows[key] = row
            self._mark(key)

    def remove(self, key: Key) -> None:
        """The row of this key is gone."""
        if self.rows.pop(key, None) is not None:
            self._mark(key)

    def retain(self, keys: Collection[Key]) -> None:
        """Forget all others."""
        for key in self.rows.keys() - set(keys):
            self.remove(key)

    async def changes(self) -> tuple[Key, ...]:
        """Wait until something changed; give the keys, oldest change first."""
        await self.changed()
        return self.taken()

    async def changed(self) -> None:
        """Wait until something changed since changes were last taken."""
        await self._something.wait()

    def taken(self) -> tuple[Key, ...]:
        """The keys of what changed so far, oldest change first; they count as taken."""
        self._something.clear()
        keys = tuple(self._changed)
        self._changed.clear()
        return keys

    def _mark(self, key: Key) -> None:
        self._changed[key] = None
        self._something.set()
        self._told()
