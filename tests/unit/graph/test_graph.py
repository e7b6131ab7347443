"""What the query graph promises: no work for what did not change, failures as values, cycles refused."""

import pytest

from weft_core.errors import GraphError
from weft_core.graph import Failure, Graph, Table, query


def test_an_equal_write_runs_nothing() -> None:
    graph = Graph()
    table: Table[str, int] = Table(graph, "t")

    @query
    def double(db: Graph, key: str) -> int:
        return 2 * (table.get(key) or 0)

    table.put("a", 1)
    graph.observe(double, "a")
    graph.runs = {}
    table.put("a", 1)
    assert graph.commit() == []
    assert graph.runs == {}


def test_an_equal_result_stops_the_change_there() -> None:
    graph = Graph()
    table: Table[str, int] = Table(graph, "t")

    @query
    def parity(db: Graph) -> int:
        return (table.get("a") or 0) % 2

    @query
    def name(db: Graph) -> str:
        return "odd" if parity(db) else "even"

    table.put("a", 1)
    node = graph.observe(name)
    graph.runs = {}
    table.put("a", 3)
    assert graph.commit() == []
    assert list(graph.runs.values()) == [1]
    table.put("a", 4)
    assert graph.commit() == [node]
    assert node.value == "even"


def test_a_row_change_does_not_disturb_a_reader_of_its_bucket() -> None:
    graph = Graph()
    table: Table[str, tuple[str, int]] = Table(graph, "t", lambda row: {"colour": (row[0],)})

    @query
    def keys(db: Graph) -> tuple[str, ...]:
        return table.by("colour", "red")

    table.put("a", ("red", 1))
    node = graph.observe(keys)
    graph.runs = {}
    table.put("a", ("red", 2))
    table.put("b", ("blue", 1))
    assert graph.commit() == []
    assert graph.runs == {}
    table.put("b", ("red", 1))
    assert graph.commit() == [node]
    assert node.value == ("a", "b")


def test_a_failure_is_a_value_that_heals_when_its_input_changes() -> None:
    graph = Graph()
    table: Table[str, int] = Table(graph, "t")

    @query
    def inverse(db: Graph, key: str) -> float:
        return 1 / (table.get(key) or 0)

    table.put("b", 2)
    broken, sound = graph.observe(inverse, "a"), graph.observe(inverse, "b")
    assert isinstance(broken.value, Failure)
    assert sound.value == 0.5
    with pytest.raises(ZeroDivisionError):
        inverse(graph, "a")
    table.put("a", 4)
    assert graph.commit() == [broken]
    assert inverse(graph, "a") == 0.25


def test_a_cycle_is_refused() -> None:
    graph = Graph()

    @query
    def a(db: Graph) -> int:
        return b(db)

    @query
    def b(db: Graph) -> int:
        return a(db)

    with pytest.raises(GraphError, match="reads itself"):
        a(graph)


def test_a_query_must_not_write() -> None:
    graph = Graph()
    table: Table[str, int] = Table(graph, "t")

    @query
    def bad(db: Graph) -> int | None:
        value = table.get("a")
        table.put("a", 1)
        return value

    with pytest.raises(GraphError, match="must not write"):
        bad(graph)


def test_a_change_that_was_read_before_the_commit_is_told_all_the_same() -> None:
    graph = Graph()
    table: Table[str, int] = Table(graph, "t")

    @query
    def double(db: Graph, key: str) -> int:
        return 2 * (table.get(key) or 0)

    @query
    def reader(db: Graph) -> int:
        return double(db, "a")

    node = graph.observe(double, "a")
    table.put("a", 1)
    assert reader(graph) == 2
    assert graph.commit() == [node]
    assert graph.commit() == []
