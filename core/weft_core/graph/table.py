"""Tables: the graph's inputs. Each row and each index bucket is an input of its own."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from weft_core.graph.engine import Graph, Node

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
        self._row_nodes: dict[Any, Node] = {}
        self._bucket_nodes: dict[Any, Node] = {}
        self._keys_node: dict[Any, Node] = {}
        """One entry at most."""
        self.name = name

    def get(self, key: K) -> R | None:
        """The row under `key`, tracked; None where there is none."""
        node = self._row_nodes.get(key)
        if node is None:
            node = self._row_nodes[key] = Node(self._row_nodes, None, key, self._rows.get(key))
        row: R | None = self._graph.read(node)
        return row

    def by(self, index: str, value: Hashable) -> tuple[K, ...]:
        """The keys filed under `value`, sorted, tracked."""
        place = (index, value)
        node = self._bucket_nodes.get(place)
        if node is None:
            node = self._bucket_nodes[place] = Node(self._bucket_nodes, None, place, self._bucket(place))
        keys: tuple[K, ...] = self._graph.read(node)
        return keys

    def rows(self, index: str, value: Hashable) -> tuple[R, ...]:
        """The rows filed under `value`, in the order of their keys, tracked (bucket and rows)."""
        found = (self.get(key) for key in self.by(index, value))
        return tuple(row for row in found if row is not None)

    def all_keys(self) -> tuple[K, ...]:
        """All keys, sorted, tracked: for the few queries that must see everything."""
        node = self._keys_node.get(())
        if node is None:
            node = self._keys_node[()] = Node(self._keys_node, None, (), _sorted(self._rows))
        keys: tuple[K, ...] = self._graph.read(node)
        return keys

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
        if (node := self._row_nodes.get(key)) is not None:
            self._graph.write(node, row)
        if (old is None or row is None) and (node := self._keys_node.get(())) is not None:
            self._graph.write(node, _sorted(self._rows))

    def peek(self, key: K) -> R | None:
        """The row under `key`, not tracked: for writers, never for queries."""
        return self._rows.get(key)

    def held_inputs(self) -> int:
        """How many of the table's rows, buckets and lists some query has read and still depends on."""
        return len(self._row_nodes) + len(self._bucket_nodes) + len(self._keys_node)

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

    def _bucket(self, place: tuple[str, Hashable]) -> tuple[K, ...]:
        return _sorted(self._buckets.get(place, ()))

    def _touch_bucket(self, place: tuple[str, Hashable]) -> None:
        if (node := self._bucket_nodes.get(place)) is not None:
            self._graph.write(node, self._bucket(place))


def _sorted(keys: Iterable[K]) -> tuple[K, ...]:
    return tuple(sorted(keys))  # type: ignore[type-var]


def _filed(indexes: Indexes[R], row: R | None) -> set[tuple[str, Hashable]]:
    if row is None:
        return set()
    return {(name, value) for name, values in indexes(row).items() for value in values}
