"""Which of events and lists knows better, whatever order they come in."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft_operator.ingest.arrivals import Arrivals

NOTHING: frozenset[str] = frozenset()
A, B = frozenset("a"), frozenset("b")


@pytest.fixture
def arrivals() -> Arrivals[str]:
    """With `a` at version 5, from a list at version 10."""
    found: Arrivals[str] = Arrivals()
    assert found.listed({"a": 5}, 10, found.mark()) == (A, NOTHING)
    return found


def test_an_event_is_news_where_it_is_newer(arrivals: Arrivals[str]) -> None:
    assert not arrivals.seen("a", 5)
    assert arrivals.seen("a", 11)
    assert not arrivals.seen("a", 11)
    assert not arrivals.seen("a", 7)


def test_a_list_says_nothing_new_of_what_events_have_told_already(arrivals: Arrivals[str]) -> None:
    assert arrivals.seen("a", 11)
    assert arrivals.seen("b", 12)
    assert arrivals.listed({"a": 11, "b": 12}, 12, 12) == (NOTHING, NOTHING)


def test_what_a_list_lacks_has_vanished(arrivals: Arrivals[str]) -> None:
    assert arrivals.listed({"b": 12}, 20, 10) == (B, A)


def test_a_list_does_not_take_what_was_made_after_it(arrivals: Arrivals[str]) -> None:
    mark = arrivals.mark()
    assert arrivals.seen("b", 30)
    assert arrivals.listed({"a": 5}, 20, mark) == (NOTHING, NOTHING)
    assert arrivals.is_current("b", 30)


def test_a_list_does_not_bring_back_what_was_deleted_after_it(arrivals: Arrivals[str]) -> None:
    mark = arrivals.mark()
    assert arrivals.deleted("a", 30)
    assert arrivals.listed({"a": 5}, 20, mark) == (NOTHING, NOTHING)
    assert not arrivals.is_current("a", 5)


def test_a_late_event_does_not_bring_back_what_a_list_lacked(arrivals: Arrivals[str]) -> None:
    arrivals.listed({}, 20, 10)
    assert not arrivals.seen("a", 15)
    assert not arrivals.seen("c", 19)
    assert arrivals.seen("a", 21)


def test_a_late_event_does_not_bring_back_what_an_event_deleted(arrivals: Arrivals[str]) -> None:
    assert arrivals.deleted("a", 12)
    assert not arrivals.seen("a", 11)
    assert arrivals.seen("a", 13)


def test_the_deletion_of_a_namesake_leaves_its_successor(arrivals: Arrivals[str]) -> None:
    assert arrivals.seen("a", 15)
    assert not arrivals.deleted("a", 14)
    assert arrivals.is_current("a", 15)


def test_the_deletion_of_what_was_never_seen_is_no_news(arrivals: Arrivals[str]) -> None:
    assert not arrivals.deleted("z", 12)
    assert not arrivals.seen("z", 11)


def test_a_deletion_at_the_objects_last_version_counts(arrivals: Arrivals[str]) -> None:
    """Servers before 1.12 send no version of its own with a deletion."""
    assert arrivals.deleted("a", 5)


def test_a_store_that_was_restored_from_a_backup_is_the_truth(arrivals: Arrivals[str]) -> None:
    assert arrivals.seen("b", 100)
    assert arrivals.listed({"a": 5, "c": 7}, 50, arrivals.mark()) == (frozenset("ac"), B)
    assert arrivals.seen("a", 51)


WRITES = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=12)
"""Names, and whether what is there is deleted rather than changed."""
MOVES = st.lists(st.tuples(st.sampled_from(["event", "lost event", "list"]), st.integers(0, 3)), max_size=30)


@settings(max_examples=300, deadline=None)
@given(WRITES, MOVES)
def test_whatever_comes_late_or_not_at_all_the_next_list_makes_the_copy_right(
    writes: list[tuple[str, bool]], moves: list[tuple[str, int]]
) -> None:
    """Events come in order, some never; lists are of a moment at or after the last event, and events overtake them."""
    states: list[dict[str, int]] = [{}]
    events: list[tuple[str, int, bool]] = []
    for version, (name, delete) in enumerate(writes, start=1):
        gone = delete and name in states[-1]
        events.append((name, version, gone))
        rest = {key: at for key, at in states[-1].items() if key != name}
        states.append(rest if gone else {**rest, name: version})
    arrivals: Arrivals[str] = Arrivals()
    copy: dict[str, int] = {}
    told = listed = 0

    def tell(lost: bool = False) -> None:
        nonlocal told
        if told == len(events):
            return
        name, version, gone = events[told]
        told += 1
        if lost:
            return
        if gone and arrivals.deleted(name, version):
            del copy[name]
        elif not gone and arrivals.seen(name, version):
            copy[name] = version

    def read(version: int, overtaken_by: int) -> None:
        mark = arrivals.mark()
        for _ in range(overtaken_by):
            tell()
        news, vanished = arrivals.listed(states[version], version, mark)
        for name in vanished:
            del copy[name]
        copy.update({name: states[version][name] for name in news})

    for what, number in moves:
        if what == "list":
            listed = min(max(told, listed) + number, len(events))
            read(listed, overtaken_by=3 - number)
        else:
            tell(lost=what == "lost event")
    read(len(events), overtaken_by=0)
    assert copy == states[-1]
    while told < len(events):
        tell()
    assert copy == states[-1]
