"""Tables: the graph's inputs. Each row and each index bucket is an input of its own."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar, cast

from weft_core.graph.engine import Graph

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")

Indexes = Callable[[R], Mapping[str, Iterable[Hashable]]]


class Table(Generic[K, R]):
    """Rows by key with secondary indexes.

    `indexes` maps a row to the values it is filed under, by index name. A reader of one bucket is
    disturbed only when a key enters or leaves that bucket, not when a row in it changes.
    """

    def __init__(self, graph: Graph, name: str, indexes: Indexes[R] = lambda _row: {}) -> None:
        self._graph = graph
        self._indexes = indexes
        self._rows: dict[K, R] = {}
        self._buckets: dict[tuple[str, Hashable], dict[K, None]] = {}
        self.name = name

    def get(self, key: K) -> R | None:
        """The row under `key`, tracked; None where there is none."""
        return cast("R | None", self._graph.read(self._graph.input((self, "row", key), lambda: self._rows.get(key))))

    def by(self, index: str, value: Hashable) -> tuple[K, ...]:
        """The keys filed under `value`, sorted, tracked."""
        return cast(
            "tuple[K, ...]",
            self._graph.read(self._graph.input((self, "bucket", index, value), lambda: self._bucket(index, value))),
        )

    def rows(self, index: str, value: Hashable) -> tuple[R, ...]:
        """The rows filed under `value`, in the order of their keys, tracked (bucket and rows)."""
        found = (self.get(key) for key in self.by(index, value))
        return tuple(row for row in found if row is not None)

    def all_keys(self) -> tuple[K, ...]:
        """All keys, sorted, tracked: for the few queries that must see everything."""
        return cast(
            "tuple[K, ...]",
            self._graph.read(self._graph.input((self, "keys"), lambda: _sorted(self._rows))),
        )

    def put(self, key: K, row: R | None) -> None:
        """Write a row, or remove it with None. Writing an equal row is a no-op."""
        old = self._rows.get(key)
        if old is row or old == row:
            return
        if row is None:
            del self._rows[key]
        else:
            self._rows[key] = row
        self._reindex(key, old, row)
        self._touch((self, "row", key), lambda: row)
        if old is None or row is None:
            self._touch((self, "keys"), lambda: _sorted(self._rows))

    def peek(self, key: K) -> R | None:
        """The row under `key`, not tracked: for writers, never for queries."""
        return self._rows.get(key)

    def __iter__(self) -> Iterator[K]:
        """All keys, not tracked: for writers, never for queries."""
        return iter(tuple(self._rows))

    def __len__(self) -> int:
        return len(self._rows)

    def _reindex(self, key: K, old: R | None, row: R | None) -> None:
        before = _filed(self._indexes, old)
        after = _filed(self._indexes, row)
        for place in before - after:
            self._buckets[place].pop(key, None)
            if not self._buckets[place]:
                del self._buckets[place]
            self._touch_bucket(place)
        for place in after - before:
            self._buckets.setdefault(place, {})[key] = None
            self._touch_bucket(place)

    def _bucket(self, index: str, value: Hashable) -> tuple[K, ...]:
        return _sorted(self._buckets.get((index, value), ()))

    def _touch_bucket(self, place: tuple[str, Hashable]) -> None:
        self._touch((self, "bucket", *place), lambda: self._bucket(*place))

    def _touch(self, key: tuple[Hashable, ...], value: Callable[[], Any]) -> None:
        node = self._graph.find_input(key)
        if node is not None:
            self._graph.write(node, value())


def _sorted(keys: Iterable[K]) -> tuple[K, ...]:
    return tuple(sorted(keys))  # type: ignore[type-var]


def _filed(indexes: Indexes[R], row: R | None) -> set[tuple[str, Hashable]]:
    if row is None:
        return set()
    return {(name, value) for name, values in indexes(row).items() for value in values}
