"""NACKs: the offender is found and held back everywhere, everything else goes on."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from weft_core.problems import ObjectRef
from weft_core.proxy import ProxyId, ProxyKind
from weft_xds.quarantine import Quarantine, Rejection
from weft_xds.types import CDS, LDS, RDS

if TYPE_CHECKING:
    from tests.unit.xds.conftest import Answer, Proxy, Section, World

    Connect = Callable[..., Proxy]


@pytest.fixture
def listeners(section: "Callable[[str, str], Section]") -> "Section":
    return section(LDS, "all")


def play(proxy: "Proxy", answers: "list[Answer]", *, names_it: bool = True) -> "list[Answer]":
    """Answer as Envoy: refuse each response with a `bad…` version in it, ACK the others. Returns all responses."""
    seen: list[Answer] = []
    while answers:
        seen += answers
        (answer,) = answers
        bad = [name for name, version in answer.added.items() if version.startswith("bad")]
        if bad:
            answers = proxy.nack(answer, f"Error adding/updating listener(s) {bad[0] if names_it else ''}: no")
        else:
            answers = proxy.ack(answer)
    return seen


def last_acked(answers: "list[Answer]") -> dict[str, str]:
    have: dict[str, str] = {}
    for answer in answers:
        if not any(version.startswith("bad") for version in answer.added.values()):
            have |= answer.added
            for name in answer.removed:
                have.pop(name, None)
    return have


@pytest.mark.parametrize("names_it", [True, False])
def test_everything_but_the_offender_arrives(
    world: "World", connect: "Connect", listeners: "Section", names_it: bool
) -> None:
    """Whether Envoy's message names it or not."""
    for number in range(20):
        world.put(listeners, f"l{number:02}", "bad" if number in {7, 13} else "1")
    proxy = connect("web", listeners)
    seen = play(proxy, proxy.ask(LDS), names_it=names_it)
    assert last_acked(seen) == {f"l{number:02}": "1" for number in range(20) if number not in {7, 13}}
    assert {rejection.name for rejection in world.rejections} == {"l07", "l13"}
    assert len(seen) < 20  # fewer than one by one


def test_the_refusal_tells_whose_mistake_it_was(world: "World", connect: "Connect", listeners: "Section") -> None:
    world.put(listeners, "l", "bad")
    proxy = connect("web", listeners)
    play(proxy, proxy.ask(LDS))
    assert world.rejections == [
        Rejection(
            type_url=LDS,
            name="l",
            version="bad",
            message="Error adding/updating listener(s) l: no",
            origins=(ObjectRef(kind="VirtualService", namespace="shop", name="l"),),
            proxy=proxy.proxy,
        )
    ]
    assert list(world.fanout.rejections()) == world.rejections


def test_a_proxy_keeps_what_it_had_and_is_not_troubled_again(
    world: "World", connect: "Connect", listeners: "Section"
) -> None:
    world.put(listeners, "l", "1")
    proxy = connect("web", listeners)
    proxy.settle(proxy.ask(LDS))
    world.put(listeners, "l", "bad")
    world.commit()
    assert [answer.added for answer in play(proxy, proxy.take())] == [{"l": "bad"}]
    world.put(listeners, "other", "1")
    world.commit()
    assert [answer.added for answer in proxy.settle(proxy.take())] == [{"other": "1"}]


def test_a_new_proxy_is_given_the_last_good_version(world: "World", connect: "Connect", listeners: "Section") -> None:
    world.put(listeners, "l", "1")
    first = connect("first", listeners)
    first.settle(first.ask(LDS))
    world.put(listeners, "l", "bad")
    world.commit()
    play(first, first.take())
    second = connect("second", listeners)
    assert [answer.added for answer in second.settle(second.ask(LDS))] == [{"l": "1"}]
    assert len(world.rejections) == 1


def test_the_last_good_version_outlives_the_last_proxy(
    world: "World", connect: "Connect", listeners: "Section"
) -> None:
    """A sidecar that restarts has nothing, and gets what it had."""
    world.put(listeners, "l", "1")
    proxy = connect("web", listeners)
    proxy.settle(proxy.ask(LDS))
    world.put(listeners, "l", "bad")
    world.commit()
    play(proxy, proxy.take())
    proxy.disconnect()
    world.commit()
    proxy.connect()
    assert [answer.added for answer in proxy.settle(proxy.ask(LDS))] == [{"l": "1"}]


def test_a_version_that_no_proxy_has_acknowledged_is_no_good_version(
    world: "World", connect: "Connect", listeners: "Section"
) -> None:
    world.put(listeners, "l", "bad 1")
    first = connect("first", listeners)
    (awaited,) = first.ask(LDS)
    world.put(listeners, "l", "bad 2")
    world.commit()
    second = connect("second", listeners)
    play(second, second.ask(LDS))
    assert [rejection.version for rejection in world.rejections] == ["bad 2"]
    assert play(first, first.nack(awaited, "no")) == []
    assert [rejection.version for rejection in world.rejections] == ["bad 2", "bad 1"]


def test_a_proxy_is_not_made_to_forget_what_only_it_knows_to_be_good(
    world: "World", connect: "Connect", listeners: "Section"
) -> None:
    """After a restart of the control plane nobody but the proxy has the good version: it keeps it."""
    world.put(listeners, "l", "bad")
    proxy = connect("web", listeners)
    assert [answer.added for answer in play(proxy, proxy.ask(LDS, held={"l": "1"}))] == [{"l": "bad"}]
    proxy.disconnect()
    proxy.connect()
    assert proxy.ask(LDS, held={"l": "1"}) == []


def test_it_heals_with_the_next_version(world: "World", connect: "Connect", listeners: "Section") -> None:
    world.put(listeners, "l", "bad")
    first, second = connect("first", listeners), connect("second", listeners)
    play(first, first.ask(LDS))
    second.settle(second.ask(LDS))
    world.put(listeners, "l", "2")
    world.commit()
    assert [answer.added for answer in first.settle(first.take())] == [{"l": "2"}]
    assert [answer.added for answer in second.settle(second.take())] == [{"l": "2"}]
    assert list(world.fanout.rejections()) == []


def test_going_back_to_the_good_version_sends_nothing(world: "World", connect: "Connect", listeners: "Section") -> None:
    world.put(listeners, "l", "1")
    proxy = connect("web", listeners)
    proxy.settle(proxy.ask(LDS))
    world.put(listeners, "l", "bad")
    world.commit()
    play(proxy, proxy.take())
    world.put(listeners, "l", "1")
    world.commit()
    assert proxy.take() == []
    assert list(world.fanout.rejections()) == []


def test_many_proxies_refuse_the_same_version_and_it_is_reported_once(
    world: "World", connect: "Connect", listeners: "Section"
) -> None:
    world.put(listeners, "l", "1")
    proxies = [connect(f"web-{number}", listeners) for number in range(5)]
    for proxy in proxies:
        proxy.settle(proxy.ask(LDS))
    world.put(listeners, "l", "bad")
    world.commit()
    awaited = [proxy.take() for proxy in proxies]
    for proxy, answers in zip(proxies, awaited, strict=True):
        assert len(play(proxy, answers)) == 1
    assert len(world.rejections) == 1


def test_a_known_offender_is_left_out_of_what_is_sent_again(
    world: "World", connect: "Connect", listeners: "Section"
) -> None:
    names = [f"l{number}" for number in range(8)]
    proxies = [connect("first", listeners), connect("second", listeners)]
    for name in names:
        world.put(listeners, name, "bad" if name == "l3" else "1")
    world.commit()
    awaited = [proxy.ask(LDS) for proxy in proxies]
    play(proxies[0], awaited[0], names_it=False)
    seen = play(proxies[1], awaited[1], names_it=False)
    assert [sorted(answer.added) for answer in seen] == [names, [name for name in names if name != "l3"]]


def test_what_was_removed_in_a_refused_response_is_removed_again(
    world: "World", connect: "Connect", listeners: "Section"
) -> None:
    for name in ("old", "l"):
        world.put(listeners, name, "1")
    proxy = connect("web", listeners)
    proxy.settle(proxy.ask(LDS))
    world.remove(listeners, "old")
    world.put(listeners, "l", "bad")
    world.commit()
    first, *rest = play(proxy, proxy.take())
    assert (first.added, first.removed) == ({"l": "bad"}, ("old",))
    assert ("old",) in [answer.removed for answer in rest]


def test_a_removal_that_is_refused_is_not_repeated_for_ever(
    world: "World", connect: "Connect", listeners: "Section"
) -> None:
    world.put(listeners, "old", "1")
    proxy = connect("web", listeners)
    proxy.settle(proxy.ask(LDS))
    world.remove(listeners, "old")
    world.commit()
    (removal,) = proxy.take()
    assert proxy.nack(removal, "no") == []


def test_a_refused_cluster_does_not_hold_routes_back(
    world: "World", connect: "Connect", section: "Callable[[str, str], Section]"
) -> None:
    clusters, routes = section(CDS, "all"), section(RDS, "all")
    world.put(routes, "r", "1")
    proxy = connect("web", clusters, routes)
    proxy.settle([*proxy.ask(CDS), *proxy.ask(RDS, "r")])
    world.put(clusters, "c", "bad")
    world.put(routes, "r", "2")
    world.commit()
    assert [answer.added for answer in play(proxy, proxy.take())] == [{"c": "bad"}, {"r": "2"}]


def test_the_quarantine_is_bounded() -> None:
    reported: list[Rejection] = []
    quarantine = Quarantine(reported.append, limit=2)
    for version in "abc":
        rejection = Rejection(
            type_url=LDS,
            name="l",
            version=version,
            message="no",
            origins=(),
            proxy=ProxyId(ProxyKind.SIDECAR, "shop", "web"),
        )
        assert quarantine.add(rejection)
        assert not quarantine.add(rejection)
    assert [quarantine.get(LDS, "l", version) is not None for version in "abc"] == [False, True, True]
    assert len(quarantine) == 2
    assert len(reported) == 3
