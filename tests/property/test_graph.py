"""The query graph against its oracle: after any series of edits, incremental equals from scratch."""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from weft_core.graph import Graph, Table, query

Row = tuple[int, int]


class World:
    """Two small tables and queries that branch on what they read, so that dependencies change with the data."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.rows: Table[int, Row] = Table(self.graph, "rows", lambda row: {"group": (row[0],)})
        self.marks: Table[int, int] = Table(self.graph, "marks", lambda row: {"at": (row,)})
        rows, marks = self.rows, self.marks

        @query
        def members(db: Graph, group: int) -> tuple[int, ...]:
            return tuple(row[1] for row in rows.rows("group", group))

        @query
        def total(db: Graph, group: int) -> int:
            return sum(members(db, group)) // 3

        @query
        def marked(db: Graph, group: int) -> int:
            if total(db, group) == 2:
                raise ValueError("two")
            return len(marks.by("at", total(db, group) % 5))

        @query
        def top(db: Graph) -> tuple[object, ...]:
            def one(group: int) -> object:
                try:
                    return total(db, group) + marked(db, group) if group % 2 or total(db, 0) > 3 else None
                except ValueError as error:
                    return str(error)

            return tuple(one(group) for group in range(4))

        self.total, self.top = total, top

    def put(self, edit: tuple[str, int, Any]) -> None:
        table, key, row = edit
        (self.rows if table == "rows" else self.marks).put(key, row)


edits = st.one_of(
    st.tuples(st.just("rows"), st.integers(0, 8), st.none() | st.tuples(st.integers(0, 3), st.integers(0, 9))),
    st.tuples(st.just("marks"), st.integers(0, 5), st.none() | st.integers(0, 4)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(edits, min_size=1, max_size=4), max_size=15), st.data())
def test_incremental_equals_from_scratch(steps: list[list[tuple[str, int, Any]]], data: st.DataObject) -> None:
    world = World()
    top = world.graph.observe(world.top)
    totals = [world.graph.observe(world.total, group) for group in range(4)]
    extra: list[Callable[[], None]] = []
    for step in steps:
        before = [node.value for node in totals]
        for edit in step:
            world.put(edit)
        changed = set(world.graph.commit())
        fresh = World()
        for key in world.rows:
            fresh.rows.put(key, world.rows.peek(key))
        for key in world.marks:
            fresh.marks.put(key, world.marks.peek(key))
        assert top.value == fresh.top(fresh.graph)
        for group, node in enumerate(totals):
            assert node.value == fresh.total(fresh.graph, group)
            assert (node in changed) == (node.value != before[group])
        if data.draw(st.booleans()):  # observers come and go, and what they alone read is forgotten and made again
            node = world.graph.observe(world.total, data.draw(st.integers(0, 3)))
            extra.append(lambda node=node: world.graph.release(node))  # type: ignore[misc]
        elif extra:
            extra.pop()()
    for undo in extra:
        undo()
    for node in (top, *totals):
        world.graph.release(node)
    assert len(world.graph) == 0
    assert world.rows.held_inputs() == world.marks.held_inputs() == 0
