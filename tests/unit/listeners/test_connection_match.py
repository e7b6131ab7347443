"""Two filter chains must never want the same connection: Envoy would refuse the listener, and all of it."""

from weft_core.ir.listener import FilterChainMatch
from weft_core.ir.route import TcpRoute
from weft_core.view.connection_match import connection_match, without_overlaps


def route(cluster: str, names: tuple[str, ...] = (), blocks: tuple[str, ...] = ()) -> TcpRoute:
    return TcpRoute(clusters=((cluster, 1),), stat_prefix=cluster, sni_hosts=names, destination_subnets=blocks)


def kept(*routes: TcpRoute) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(r.stat_prefix, r.sni_hosts, r.destination_subnets) for r in without_overlaps(routes)]


def test_the_first_has_a_server_name() -> None:
    assert kept(route("a", ("x.com", "y.com")), route("b", ("y.com", "z.com"))) == [
        ("a", ("x.com", "y.com"), ()),
        ("b", ("z.com",), ()),
    ]


def test_a_route_with_nothing_left_is_gone() -> None:
    assert kept(route("a"), route("b")) == [("a", (), ())]


def test_case_and_spelling_make_no_difference() -> None:
    assert kept(route("a", ("X.com",)), route("b", ("x.COM",))) == [("a", ("x.com",), ())]
    assert kept(route("a", (), ("10.0.0.1/24",)), route("b", (), ("10.0.0.9/24",))) == [("a", (), ("10.0.0.0/24",))]


def test_a_partial_wildcard_is_widened_to_its_label() -> None:
    assert kept(route("a", ("*-eu.example.com",))) == [("a", ("*.example.com",), ())]


def test_any_server_name_is_any_tls() -> None:
    assert connection_match(route("a", ("*",))) == FilterChainMatch(transport_protocol="tls")


def test_a_route_without_conditions_matches_everything() -> None:
    assert connection_match(route("a")) is None
