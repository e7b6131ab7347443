"""The delta protocol on one stream: subscriptions, order, reconnects, readiness."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from weft_xds.types import CDS, EDS, LDS, RDS, SDS, VHDS
from weft_xds.wire import Request

if TYPE_CHECKING:
    from tests.unit.xds.conftest import Answer, Proxy, Section, World

    Connect = Callable[..., Proxy]
    MakeSection = Callable[[str, str], Section]


@pytest.fixture
def sections(section: "MakeSection") -> "dict[str, Section]":
    """One section of each type."""
    return {type_url: section(type_url, "all") for type_url in (CDS, EDS, SDS, LDS, RDS, VHDS)}


@pytest.fixture
def put(world: "World", sections: "dict[str, Section]") -> Callable[[str, str, str], None]:
    """Writes a resource: type, name, version."""

    def write(type_url: str, name: str, version: str) -> None:
        world.put(sections[type_url], name, version)

    return write


@pytest.fixture
def proxy(connect: "Connect", sections: "dict[str, Section]") -> "Proxy":
    """A connected proxy that has asked for nothing yet."""
    return connect("web", *sections.values())


Put = Callable[[str, str, str], None]


def brief(answers: "list[Answer]") -> list[tuple[str, dict[str, str], tuple[str, ...]]]:
    return [(answer.type_url, answer.added, answer.removed) for answer in answers]


def boot(proxy: "Proxy", *routes: str) -> None:
    """Ask for everything as Envoy does, and ACK it."""
    clusters = proxy.ask(CDS)
    names = sorted(clusters[0].added)
    proxy.settle([*clusters, *(proxy.ask(EDS, *names) if names else ()), *proxy.ask(LDS)])
    proxy.settle([*proxy.ask(RDS, *routes), *proxy.ask(VHDS)])


# subscriptions


@pytest.mark.parametrize("type_url", [CDS, LDS, VHDS])
def test_a_first_wildcard_request_is_answered_even_with_nothing(proxy: "Proxy", type_url: str) -> None:
    assert brief(proxy.ask(type_url)) == [(type_url, {}, ())]


def test_an_ack_is_not_answered(proxy: "Proxy", put: Put) -> None:
    put(CDS, "a", "1")
    proxy.world.commit()
    assert proxy.ack(*proxy.ask(CDS)) == []


def test_unknown_names_are_told_to_be_unknown_and_sent_when_they_appear(proxy: "Proxy", put: Put) -> None:
    answers = proxy.ask(EDS, "a")
    assert brief(answers) == [(EDS, {}, ("a",))]
    proxy.ack(*answers)
    put(EDS, "a", "1")
    put(EDS, "b", "1")
    proxy.world.commit()
    assert brief(proxy.take()) == [(EDS, {"a": "1"}, ())]


def test_a_type_that_weft_does_not_serve_is_answered_with_nothing(proxy: "Proxy") -> None:
    runtime = "type.googleapis.com/envoy.service.runtime.v3.Runtime"
    assert brief(proxy.ask(runtime, "layer")) == [(runtime, {}, ("layer",))]


def test_names_beside_the_wildcard_are_answered_on_demand(proxy: "Proxy", put: Put) -> None:
    put(CDS, "a", "1")
    proxy.world.commit()
    proxy.ack(*proxy.ask(CDS, "*"))
    assert brief(proxy.settle(proxy.ask(CDS, "a", "x"))) == [(CDS, {"a": "1"}, ("x",))]


def test_the_wildcard_can_be_given_up(proxy: "Proxy", put: Put) -> None:
    for name in "ab":
        put(CDS, name, "1")
    proxy.world.commit()
    proxy.ack(*proxy.ask(CDS, "*", "a"))
    proxy.ask(CDS, without=("*",))
    for name in "ab":
        put(CDS, name, "2")
    proxy.world.commit()
    assert brief(proxy.take()) == [(CDS, {"a": "2"}, ())]


def test_a_name_given_up_under_the_wildcard_is_sent_again(proxy: "Proxy", put: Put) -> None:
    """The proxy may have dropped it, although the wildcard still covers it."""
    put(CDS, "a", "1")
    proxy.world.commit()
    proxy.ack(*proxy.ask(CDS, "*", "a"))
    assert brief(proxy.ask(CDS, without=("a",))) == [(CDS, {"a": "1"}, ())]


def test_subscribing_again_sends_again(proxy: "Proxy", put: Put) -> None:
    put(EDS, "a", "1")
    proxy.world.commit()
    proxy.ack(*proxy.ask(EDS, "a"))
    assert brief(proxy.ask(EDS, "a")) == [(EDS, {"a": "1"}, ())]


def test_what_is_unsubscribed_is_sent_no_more(proxy: "Proxy", put: Put) -> None:
    put(EDS, "a", "1")
    proxy.world.commit()
    proxy.ack(*proxy.ask(EDS, "a"))
    proxy.ask(EDS, without=("a",))
    put(EDS, "a", "2")
    proxy.world.commit()
    assert proxy.take() == []


def test_a_nonce_of_another_stream_is_no_answer(proxy: "Proxy") -> None:
    (answer,) = proxy.ask(CDS)
    assert not proxy.session.receive(Request(type_url=CDS, nonce="elsewhere", held={}))
    proxy.ack(answer)


# changes


def test_changes_while_an_answer_is_awaited_become_one_response_with_the_newest_state(
    proxy: "Proxy", put: Put, world: "World", sections: "dict[str, Section]"
) -> None:
    for name in "abc":
        put(EDS, name, "1")
    world.commit()
    first = proxy.ask(EDS, "a", "b", "c")
    for version in "234":
        put(EDS, "a", version)
        world.commit()
        assert proxy.take() == []
    put(EDS, "b", "2")
    world.commit()
    put(EDS, "b", "1")
    world.remove(sections[EDS], "c")
    world.commit()
    assert brief(proxy.ack(*first)) == [(EDS, {"a": "4"}, ("c",))]


def test_types_go_in_the_order_of_the_protocol(proxy: "Proxy", put: Put) -> None:
    boot(proxy, "r")
    proxy.settle(proxy.ask(EDS, "c"))
    for type_url in (VHDS, RDS, LDS, EDS, CDS):
        put(type_url, {VHDS: "r/v", RDS: "r", LDS: "l"}.get(type_url, "c"), "1")
    proxy.world.commit()
    assert [answer.type_url for answer in proxy.settle(proxy.take())] == [CDS, EDS, LDS, RDS, VHDS]


# make before break


def test_routes_wait_until_new_clusters_are_acknowledged_but_endpoints_do_not(proxy: "Proxy", put: Put) -> None:
    put(RDS, "r", "1")
    proxy.world.commit()
    boot(proxy, "r")
    put(CDS, "c", "1")
    put(EDS, "c", "1")
    put(RDS, "r", "2")
    proxy.world.commit()
    clusters = proxy.take()
    assert brief(clusters) == [(CDS, {"c": "1"}, ())]
    endpoints = proxy.ask(EDS, "c")
    assert brief(endpoints) == [(EDS, {"c": "1"}, ())]
    assert proxy.ack(*endpoints) == []
    assert brief(proxy.ack(*clusters)) == [(RDS, {"r": "2"}, ())]


def test_routes_do_not_wait_for_clusters_that_merely_change(proxy: "Proxy", put: Put) -> None:
    put(CDS, "c", "1")
    put(EDS, "c", "1")
    put(RDS, "r", "1")
    proxy.world.commit()
    boot(proxy, "r")
    put(CDS, "c", "2")
    put(RDS, "r", "2")
    proxy.world.commit()
    assert [answer.type_url for answer in proxy.take()] == [CDS, EDS, RDS]


def test_nothing_waits_for_ever(proxy: "Proxy", put: Put) -> None:
    """A cluster whose name never resolves keeps its ACK back; the rest of the mesh goes on."""
    put(RDS, "r", "1")
    proxy.world.commit()
    boot(proxy, "r")
    put(CDS, "slow", "1")
    put(RDS, "r", "2")
    proxy.world.commit()
    (slow,) = proxy.take()
    assert proxy.session.deadline(proxy.now) == 5.0
    proxy.now = 5.0
    assert brief(proxy.take()) == [(RDS, {"r": "2"}, ())]
    assert proxy.session.deadline(proxy.now) is None

    put(CDS, "other", "1")
    proxy.world.commit()
    (other,) = proxy.take()
    assert brief([other]) == [(CDS, {"other": "1"}, ())]
    assert proxy.ack(slow, other) == []


def test_clusters_run_ahead_only_so_far(proxy: "Proxy", put: Put) -> None:
    boot(proxy)
    sent = 0
    for number in range(10):
        put(CDS, f"c{number}", "1")
        proxy.world.commit()
        sent += len(proxy.take())
        proxy.now += 6
    assert sent == 4


def test_a_removed_cluster_stays_until_routes_are_acknowledged(
    proxy: "Proxy", put: Put, world: "World", sections: "dict[str, Section]"
) -> None:
    put(CDS, "old", "1")
    put(EDS, "old", "1")
    put(RDS, "r", "to old")
    world.commit()
    boot(proxy, "r")
    world.remove(sections[CDS], "old")
    world.remove(sections[EDS], "old")
    put(RDS, "r", "to nowhere")
    world.commit()
    routes = proxy.take()
    assert brief(routes) == [(RDS, {"r": "to nowhere"}, ())]
    assert brief(proxy.ack(*routes)) == [(CDS, {}, ("old",)), (EDS, {}, ("old",))]


def test_a_removed_cluster_goes_in_the_end_even_if_routes_are_never_acknowledged(
    proxy: "Proxy", put: Put, world: "World", sections: "dict[str, Section]"
) -> None:
    put(CDS, "old", "1")
    put(RDS, "r", "1")
    world.commit()
    boot(proxy, "r")
    world.remove(sections[CDS], "old")
    put(RDS, "r", "2")
    world.commit()
    assert [answer.type_url for answer in proxy.take()] == [RDS]
    assert proxy.session.deadline(proxy.now) == 5.0
    proxy.now = 5.0
    assert brief(proxy.take()) == [(CDS, {}, ("old",))]


def test_a_cluster_that_comes_back_in_time_is_not_removed(
    proxy: "Proxy", put: Put, world: "World", sections: "dict[str, Section]"
) -> None:
    put(CDS, "c", "1")
    put(RDS, "r", "1")
    world.commit()
    boot(proxy, "r")
    world.remove(sections[CDS], "c")
    put(RDS, "r", "2")
    world.commit()
    routes = proxy.take()
    put(CDS, "c", "1")
    world.commit()
    assert proxy.ack(*routes) == []


def test_changed_clusters_are_followed_by_their_endpoints(proxy: "Proxy", put: Put) -> None:
    for name in "ab":
        put(CDS, name, "1")
        put(EDS, name, "1")
    proxy.world.commit()
    boot(proxy)
    put(CDS, "a", "2")
    proxy.world.commit()
    assert brief(proxy.take()) == [(CDS, {"a": "2"}, ()), (EDS, {"a": "1"}, ())]


# virtual hosts


def test_virtual_hosts_are_sent_when_their_route_configuration_is(proxy: "Proxy", put: Put) -> None:
    for name in ("80/a", "80/b", "90/a"):
        put(VHDS, name, "1")
    for name in ("80", "90"):
        put(RDS, name, "1")
    proxy.world.commit()
    proxy.settle(proxy.ask(RDS, "80"))
    hosts = proxy.ask(VHDS)
    assert brief(hosts) == [(VHDS, {"80/a": "1", "80/b": "1"}, ())]
    proxy.ack(*hosts)
    assert brief(proxy.ask(RDS, "90")) == [(RDS, {"90": "1"}, ()), (VHDS, {"90/a": "1"}, ())]


def test_virtual_hosts_follow_a_route_configuration_that_comes_back(
    proxy: "Proxy", put: Put, world: "World", sections: "dict[str, Section]"
) -> None:
    put(VHDS, "80/a", "1")
    put(RDS, "80", "1")
    world.commit()
    boot(proxy, "80")
    put(RDS, "80", "2")
    world.commit()
    assert brief(proxy.settle(proxy.take())) == [(RDS, {"80": "2"}, ())]

    world.remove(sections[RDS], "80")
    world.commit()
    assert brief(proxy.settle(proxy.take())) == [(RDS, {}, ("80",))]  # which Envoy ignores
    put(RDS, "80", "3")
    world.commit()
    assert brief(proxy.settle(proxy.take())) == [(RDS, {"80": "3"}, ()), (VHDS, {"80/a": "1"}, ())]

    assert brief(proxy.settle(proxy.ask(RDS, without=("80",)))) == [(VHDS, {}, ("80/a",))]
    put(VHDS, "80/a", "2")
    world.commit()
    assert proxy.take() == []
    assert brief(proxy.ask(RDS, "80")) == [(RDS, {"80": "3"}, ()), (VHDS, {"80/a": "2"}, ())]


# reconnects


def test_a_proxy_that_reconnects_is_sent_the_difference(
    proxy: "Proxy", put: Put, world: "World", sections: "dict[str, Section]"
) -> None:
    for name in ("same", "changed", "gone"):
        put(CDS, name, "1")
        put(LDS, name, "1")
    world.commit()
    boot(proxy)
    proxy.disconnect()
    for type_url in (CDS, LDS):
        put(type_url, "changed", "2")
        put(type_url, "new", "1")
        world.remove(sections[type_url], "gone")
    proxy.connect()
    held = {"same": "1", "changed": "1", "gone": "1"}
    clusters = proxy.ask(CDS, held=held)
    assert brief(clusters) == [(CDS, {"changed": "2", "new": "1"}, ())]
    assert proxy.ask(LDS, held=held) == []
    listeners = proxy.ack(*clusters)
    assert brief(listeners) == [(LDS, {"changed": "2", "new": "1"}, ("gone",))]
    assert brief(proxy.ack(*listeners)) == [(CDS, {}, ("gone",))]


def test_a_proxy_that_reconnects_to_no_change_is_sent_nothing(proxy: "Proxy", put: Put) -> None:
    names = {
        CDS: [f"c{n}" for n in range(50)],
        EDS: [f"c{n}" for n in range(50)],
        LDS: ["l"],
        RDS: ["80"],
        VHDS: ["80/a"],
    }
    for type_url, found in names.items():
        for name in found:
            put(type_url, name, "1")
    proxy.world.commit()
    answers = []
    for type_url, found in names.items():
        held = dict.fromkeys(found, "1")
        answers += proxy.ask(type_url, *(found if type_url in {EDS, RDS} else ()), held=held)
    assert answers == []
    assert proxy.session.complete


def test_clusters_that_changed_while_away_are_followed_by_endpoints_that_did_not(proxy: "Proxy", put: Put) -> None:
    put(CDS, "a", "2")
    put(EDS, "a", "1")
    proxy.world.commit()
    assert brief(proxy.ask(CDS, held={"a": "1"})) == [(CDS, {"a": "2"}, ())]
    assert brief(proxy.ask(EDS, "a", held={"a": "1"})) == [(EDS, {"a": "1"}, ())]


def test_virtual_hosts_that_changed_while_away_are_sent_in_whatever_order_the_proxy_asks(
    proxy: "Proxy", put: Put
) -> None:
    put(RDS, "80", "1")
    put(VHDS, "80/a", "2")
    proxy.world.commit()
    assert proxy.ask(VHDS, held={"80/a": "1"}) == []
    assert brief(proxy.ask(RDS, "80", held={"80": "1"})) == [(VHDS, {"80/a": "2"}, ())]


def test_a_route_configuration_comes_back_only_when_its_old_virtual_hosts_are_gone(
    proxy: "Proxy", put: Put, world: "World"
) -> None:
    """Else a proxy that loses the stream in between would claim virtual hosts that it has not."""
    put(RDS, "80", "1")
    for name in ("80/a", "80/b"):
        put(VHDS, name, "1")
    world.commit()
    boot(proxy, "80")
    put(VHDS, "80/b", "2")
    world.commit()
    awaited = proxy.take()
    assert proxy.ask(RDS, without=("80",)) == []
    assert proxy.ask(RDS, "80") == []
    eviction = proxy.ack(*awaited)
    assert brief(eviction) == [(VHDS, {}, ("80/a", "80/b"))]
    assert brief(proxy.ack(*eviction)) == [(RDS, {"80": "1"}, ()), (VHDS, {"80/a": "1", "80/b": "2"}, ())]


def test_virtual_hosts_from_before_whose_route_configuration_is_gone_are_removed(proxy: "Proxy", put: Put) -> None:
    for name in ("80", "90"):
        put(RDS, name, "1")
        put(VHDS, f"{name}/a", "1")
    proxy.world.commit()
    hosts = {"80/a": "1", "90/a": "1"}
    assert proxy.ask(VHDS, held=hosts) == []
    assert brief(proxy.ask(RDS, "80", held={"80": "1"})) == [(VHDS, {}, ("90/a",))]
    proxy.disconnect()
    proxy.connect()
    assert proxy.ask(RDS, "80", held={"80": "1"}) == []
    assert brief(proxy.ask(VHDS, held=hosts)) == [(VHDS, {}, ("90/a",))]


def test_a_cluster_removed_while_away_stays_until_the_routes_from_before_are_replaced(proxy: "Proxy", put: Put) -> None:
    put(RDS, "r", "2")
    proxy.world.commit()
    assert proxy.ask(CDS, held={"old": "1"}) == []
    assert proxy.ask(LDS, held={}) != []
    routes = proxy.ask(RDS, "r", held={"r": "1"})
    assert brief(routes) == [(RDS, {"r": "2"}, ())]


# readiness


def test_what_is_last_is_sent_after_the_first_round(
    proxy: "Proxy", put: Put, world: "World", sections: "dict[str, Section]"
) -> None:
    put(CDS, "c", "1")
    put(EDS, "c", "1")
    put(LDS, "l", "1")
    put(RDS, "r", "1")
    world.put(sections[LDS], "ready", "1", last=True)
    world.commit()
    clusters = proxy.ask(CDS)
    endpoints = proxy.ask(EDS, "c")
    proxy.ack(*clusters, *endpoints)
    listeners = proxy.ask(LDS)
    assert brief(listeners) == [(LDS, {"l": "1"}, ())]
    assert proxy.ack(*listeners) == []  # its routes are yet to be asked for
    routes = proxy.ask(RDS, "r")
    assert brief(proxy.ack(*routes)) == [(LDS, {"ready": "1"}, ())]


def test_what_is_last_does_not_wait_for_ever_for_what_is_never_asked_for(
    proxy: "Proxy", put: Put, world: "World", sections: "dict[str, Section]"
) -> None:
    put(RDS, "r", "1")
    world.put(sections[LDS], "ready", "1", last=True)
    world.commit()
    proxy.settle([*proxy.ask(CDS), *proxy.ask(LDS)])
    assert proxy.session.deadline(proxy.now) == 5.0
    proxy.now = 5.0
    assert brief(proxy.take()) == [(LDS, {"ready": "1"}, ())]


def test_a_ready_proxy_that_reconnects_stays_ready(
    proxy: "Proxy", world: "World", sections: "dict[str, Section]"
) -> None:
    world.put(sections[LDS], "ready", "1", last=True)
    world.commit()
    proxy.settle(proxy.ask(CDS))
    assert proxy.ask(LDS, held={"ready": "1"}) == []
