"""The engine: nodes, their states, and how a change travels.

1. A query is a pure function whose first argument is the graph and whose others are hashable. What it reads through the
   graph (table rows, index buckets, other queries) is recorded, and nothing else may decide its value.
2. Writing an input marks its direct readers DIRTY and all transitive readers CHECK. Nothing is computed by a write.
3. `commit` brings only the observed nodes up to date. A CHECK node first settles what it read, in the order it read
   it: where all of that stayed equal, it is clean without running. A result equal to the old one stops there.
4. A query that raises becomes a `Failure` value: readers see the exception raised again, siblings are not touched, and
   the node runs again once one of its inputs has changed.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar, cast

from weft_core.errors import GraphError

P = ParamSpec("P")
T = TypeVar("T")


CLEAN: Final = 0
"""The node's value may be used."""
CHECK: Final = 1
"""Something further down may have changed."""
DIRTY: Final = 2
"""Something that was read directly has changed, or the node never ran."""
RUNNING: Final = 3

_UNSET: Final = object()


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """The value of a query that raised. Never equal to another one, so that readers always learn of it."""

    error: Exception


class Node:
    """One input, or one call of a query with its arguments. `home` is where it is filed under `args`."""

    __slots__ = ("args", "changes", "deps", "function", "home", "observed", "readers", "reported", "state", "value")

    def __init__(
        self, home: "dict[Any, Node]", function: Callable[..., Any] | None, args: Any, value: Any = _UNSET
    ) -> None:
        self.home = home
        self.function = function
        self.args = args
        self.value = value
        self.deps: tuple[Node, ...] = ()
        self.readers: dict[Node, None] = {}
        self.state = DIRTY if function else CLEAN
        self.observed = 0
        self.changes = 0
        """How often the value has changed, and at which change observers were told last."""
        self.reported = 0

    def __repr__(self) -> str:
        return f"<{getattr(self.function, '__qualname__', 'input')}{self.args!r}>"


class Query(Generic[P, T]):
    """A tracked function: calling it goes through the graph that is its first argument."""

    def __init__(self, function: Callable[Concatenate[Any, P], T]) -> None:
        self.function = function
        update_wrapper(self, function)

    def __call__(self, db: "Graph", /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The value of this call, tracked. Raises what the function raised."""
        if kwargs:
            raise GraphError(f"{self.function.__qualname__}: arguments of a query are positional")
        value: T = db.read(db.node(self.function, args))
        return value

    def __get__(self, instance: object, owner: type | None = None) -> "Query[P, T]":
        return self


def query(function: Callable[Concatenate[Any, P], T]) -> Query[P, T]:
    """Make a pure function of (graph, hashable arguments …) a tracked query."""
    return Query(function)


class Graph:
    """All inputs and derived values of one control plane, and the order in which they are brought up to date.

    Not thread-safe: it belongs to one event loop, and no method awaits.
    """

    def __init__(self) -> None:
        self._calls: defaultdict[Callable[..., Any], dict[Any, Node]] = defaultdict(dict)
        self._reading: list[dict[Node, None]] = []
        self._pending: dict[Node, None] = {}
        self._unread: list[Node] = []
        self.runs: dict[str, int] | None = None
        """Counts of executions by query name while a test or a benchmark wants them; None costs nothing."""

    def node(self, function: Callable[..., Any], args: tuple[Hashable, ...]) -> Node:
        """The node of this call, made on first use."""
        calls = self._calls[function]
        node = calls.get(args)
        if node is None:
            node = calls[args] = Node(calls, function, args)
        return node

    def read(self, node: Node) -> Any:
        """The node's value, brought up to date; recorded as a dependency of the query that runs now."""
        if self._reading:
            self._reading[-1][node] = None
        if node.state:
            self._settle(node)
        value = node.value
        if value.__class__ is Failure:
            raise value.error
        return value

    def observe(self, q: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> Node:
        """Keep this call up to date at every commit; returns its node, settled. Observing nests: release as often."""
        del kwargs
        node = self.node(q.function, args)
        node.observed += 1
        if node.state:
            self._settle(node)
        if node.observed == 1:
            node.reported = node.changes
        return node

    def release(self, node: Node) -> None:
        """Undo one `observe`. A node that nobody observes or reads is forgotten, and so is what only it read."""
        node.observed -= 1
        self._unread.append(node)
        self._collect()

    def write(self, node: Node, value: Any) -> None:
        """Set an input. Equal values are a no-op. Direct readers become dirty, transitive ones are to be checked."""
        if self._reading:
            raise GraphError("a query must not write inputs")
        if node.value == value:
            return
        node.value = value
        fresh: list[Node] = []
        for reader in node.readers:
            if reader.state == CLEAN:
                fresh.append(reader)
            reader.state = DIRTY
        while fresh:
            reader = fresh.pop()
            if reader.observed:
                self._pending[reader] = None
            for further in reader.readers:
                if further.state == CLEAN:
                    further.state = CHECK
                    fresh.append(further)

    def commit(self) -> list[Node]:
        """Bring observed nodes up to date; those whose value changed since the last commit, in no particular order.

        A change that somebody has read meanwhile counts like any other.
        """
        if not self._pending:
            return []
        pending, self._pending = self._pending, {}
        changed: list[Node] = []
        for node in pending:
            if not node.observed:
                continue
            self._settle(node)
            if node.changes != node.reported:
                node.reported = node.changes
                changed.append(node)
        self._collect()
        return changed

    def __len__(self) -> int:
        """How many calls are held."""
        return sum(map(len, self._calls.values()))

    def _settle(self, node: Node) -> None:
        if node.state == RUNNING:
            raise GraphError(f"cycle: {node!r} reads itself")
        if node.state == CHECK and self._inputs_equal(node):
            node.state = CLEAN
        else:
            self._run(node)

    def _inputs_equal(self, node: Node) -> bool:
        for dep in node.deps:
            if dep.state != CLEAN:
                self._settle(dep)
                if node.state != CHECK:
                    return False
        return True

    def _run(self, node: Node) -> None:
        function = cast("Callable[..., Any]", node.function)
        if self.runs is not None:
            name = function.__qualname__
            self.runs[name] = self.runs.get(name, 0) + 1
        node.state = RUNNING
        self._reading.append({})
        value: Any
        try:
            value = function(self, *node.args)
        except GraphError:
            node.state = DIRTY
            raise
        except Exception as error:
            value = Failure(error)
        finally:
            reads = self._reading.pop()
        self._relink(node, tuple(reads))
        node.state = CLEAN
        if node.value is _UNSET or node.value != value:
            node.value = value
            node.changes += 1
            for reader in node.readers:
                if reader.state != RUNNING:
                    reader.state = DIRTY

    def _relink(self, node: Node, deps: tuple[Node, ...]) -> None:
        if deps == node.deps:
            return
        old, node.deps = node.deps, deps
        kept = set(deps)
        for dep in deps:
            dep.readers[node] = None
        for dep in old:
            if dep not in kept:
                dep.readers.pop(node, None)
                self._unread.append(dep)

    def _collect(self) -> None:
        """Forget nodes that nobody reads any more; inputs and calls are made anew when asked for again.

        Never while a query runs: what it has read so far is not linked to it yet, and would look unread.
        """
        doomed = self._unread
        while doomed and not self._reading:
            gone = doomed.pop()
            if gone.observed or gone.readers:
                continue
            if gone.home.get(gone.args) is not gone:
                continue
            del gone.home[gone.args]
            self._pending.pop(gone, None)
            for dep in gone.deps:
                dep.readers.pop(gone, None)
                doomed.append(dep)
