"""From changes to the streams that they concern."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

import pytest

from weft_xds.types import CDS, EDS, LDS, VHDS

if TYPE_CHECKING:
    from tests.unit.xds.conftest import Proxy, Section, World

    Connect = Callable[..., Proxy]
    MakeSection = Callable[[str, str], Section]


class Listening:
    """A subscriber that remembers what it is told."""

    def __init__(self) -> None:
        self.marks: list[dict[str, set[str]]] = []

    def mark(self, marks: Mapping[str, Collection[str]]) -> None:
        self.marks.append({type_url: set(names) for type_url, names in marks.items() if names})

    def acknowledged(self, type_url: str, name: str, version: str) -> bool:
        del type_url, name, version
        return False

    def has(self, type_url: str, name: str, version: str) -> bool:
        return self.acknowledged(type_url, name, version)

    def settled(self) -> bool:
        return False


def test_only_streams_that_have_the_resource_learn_of_its_change(world: "World", section: "MakeSection") -> None:
    shared, own, other = section(CDS, "shared"), section(CDS, "own"), section(EDS, "other")
    for key in (shared, own, other):
        world.put(key, key.owner, "1")
    a, b = Listening(), Listening()
    world.fanout.join(world.proxy("a", shared, own), a)
    world.fanout.join(world.proxy("b", shared, other), b)
    world.put(own, "own", "2")
    world.commit()
    world.put(shared, "shared", "2")
    world.put(other, "other", "2")
    world.commit()
    assert a.marks == [{CDS: {"own"}}, {CDS: {"shared"}}]
    assert b.marks == [{CDS: {"shared"}, EDS: {"other"}}]


def test_equal_content_disturbs_nobody(world: "World", section: "MakeSection") -> None:
    world.put(section(CDS, "all"), "a", "1")
    stream = Listening()
    world.fanout.join(world.proxy("web", section(CDS, "all")), stream)
    world.put(section(CDS, "all"), "a", "2")
    world.put(section(CDS, "all"), "a", "1")
    world.commit()
    assert stream.marks == []


def test_resources_and_sections_that_come_and_go_are_marked(world: "World", section: "MakeSection") -> None:
    first, second = section(CDS, "first"), section(LDS, "second")
    world.put(first, "a", "1")
    world.put(second, "l", "1")
    stream = Listening()
    view = world.fanout.join(world.proxy("web", first), stream)
    world.put(first, "b", "1")
    world.remove(first, "a")
    world.commit()
    world.proxy("web", second)
    world.commit()
    assert stream.marks == [{CDS: {"a", "b"}}, {CDS: {"b"}, LDS: {"l"}}]
    assert view.frame(CDS, "b") is None
    assert view.frame(LDS, "l") is not None


def test_a_section_is_joined_once_for_all_proxies(world: "World", section: "MakeSection") -> None:
    shared = section(VHDS, "all")
    for name in ("80/a", "80/b", "90/a"):
        world.put(shared, name, "1")
    world.put(shared, "80/late", "1", last=True)
    views = [world.fanout.join(world.proxy(name, shared), Listening()) for name in "ab"]
    (one,), (other,) = (view.full(VHDS) for view in views)
    assert one is other
    assert one.versions == {"80/a": "1", "80/b": "1", "90/a": "1"}
    assert one.scopes == {"80": ["80/a", "80/b"], "90": ["90/a"]}
    assert views[0].last(VHDS) == ["80/late"]

    world.put(shared, "80/a", "2")
    world.commit()
    (newer,) = views[0].full(VHDS)
    assert newer.versions["80/a"] == "2"
    assert one.versions["80/a"] == "1"  # what has been sent is not rewritten


def test_what_nobody_needs_is_forgotten(world: "World", section: "MakeSection") -> None:
    shared, own = section(CDS, "shared"), section(CDS, "own")
    for key in (shared, own):
        world.put(key, key.owner, "1")
    a, b = Listening(), Listening()
    with_own = world.proxy("a", shared, own)
    world.fanout.join(with_own, a)
    world.commit()
    before = len(world.graph)
    without = world.proxy("b", shared)
    world.fanout.join(without, b)
    world.fanout.leave(with_own, a)
    world.commit()
    assert len(world.graph) < before
    world.fanout.leave(without, b)
    world.commit()
    assert len(world.graph) == 0


def test_two_streams_of_one_proxy_share_its_view_until_both_are_gone(world: "World", section: "MakeSection") -> None:
    """A reconnect is often noticed before the old connection's end."""
    proxy = world.proxy("web", section(CDS, "all"))
    world.put(section(CDS, "all"), "a", "1")
    old, new = Listening(), Listening()
    assert world.fanout.join(proxy, old) is world.fanout.join(proxy, new)
    world.fanout.leave(proxy, old)
    world.put(section(CDS, "all"), "a", "2")
    world.commit()
    assert (old.marks, new.marks) == ([], [{CDS: {"a"}}])


def test_joining_between_a_write_and_its_commit_loses_nothing_for_others(
    world: "World", section: "MakeSection"
) -> None:
    shared = section(CDS, "all")
    world.put(shared, "a", "1")
    first = Listening()
    world.fanout.join(world.proxy("first", shared), first)
    world.put(shared, "a", "2")
    world.fanout.join(world.proxy("second", shared), Listening())
    world.commit()
    assert first.marks == [{CDS: {"a"}}]


async def test_writes_of_one_turn_are_committed_once(world: "World", section: "MakeSection") -> None:
    stream = Listening()
    world.fanout.join(world.proxy("web", section(CDS, "all")), stream)
    for name in "abc":
        world.put(section(CDS, "all"), name, "1")
        world.fanout.schedule()
    assert stream.marks == []
    await asyncio.sleep(0)
    assert stream.marks == [{CDS: {"a", "b", "c"}}]


# queries that fail


def test_a_resource_whose_query_fails_stays_as_it_was(
    world: "World", connect: "Connect", section: "MakeSection"
) -> None:
    clusters = section(CDS, "all")
    for name in "ab":
        world.put(clusters, name, "1")
    proxy = connect("web", clusters)
    proxy.settle(proxy.ask(CDS))
    world.put(clusters, "a", "fails")
    world.put(clusters, "b", "2")
    world.commit()
    assert [answer.added for answer in proxy.settle(proxy.take())] == [{"b": "2"}]
    assert [str(error) for _, error in world.failures] == ["a"]
    world.put(clusters, "a", "3")
    world.commit()
    assert [answer.added for answer in proxy.settle(proxy.take())] == [{"a": "3"}]


def test_a_resource_that_fails_from_the_start_is_not_taken_from_who_has_it(
    world: "World", connect: "Connect", section: "MakeSection"
) -> None:
    world.put(section(CDS, "all"), "a", "fails")
    proxy = connect("web", section(CDS, "all"))
    assert proxy.ask(CDS, held={"a": "1"}) == []


@pytest.mark.parametrize("failing", ["proxy_sections", "section"])
def test_while_it_is_unknown_what_a_proxy_should_have_nothing_is_taken_from_it(
    world: "World", connect: "Connect", section: "MakeSection", failing: str
) -> None:
    clusters = section(CDS, "all")
    world.put(clusters, "a", "1")
    world.faults.put(failing, "broken")
    proxy = connect("web", clusters)
    held = {"a": "1", "gone": "1"}
    assert [answer.removed for answer in [*proxy.ask(CDS, held=held), *proxy.settle(proxy.ask(LDS))]] == [()]
    assert len(world.failures) == 1
    world.faults.put(failing, None)
    world.commit()
    assert [answer.removed for answer in proxy.settle(proxy.take())] == [("gone",)]
