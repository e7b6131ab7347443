"""What Envoy compares in a request for each match of a rule."""

from typing import TYPE_CHECKING

from weft_core.ir.route import (
    ClaimMatch,
    HeaderMatch,
    PathKind,
    PathMatch,
    QueryMatch,
    RouteMatch,
)
from weft_core.ir.string_match import MatchKind, StringMatch

if TYPE_CHECKING:
    from tests.unit.routes.conftest import Mesh

TO_REVIEWS = "route: [{destination: {host: reviews}}]"


def matched(mesh: "Mesh", match: str) -> RouteMatch:
    return mesh.only(f"{{match: [{match}], {TO_REVIEWS}}}").match


def test_rule_4_prefix_is_textual_not_by_segments(mesh: "Mesh") -> None:
    match = matched(mesh, "{uri: {prefix: /foo}}")
    assert match.path == PathMatch(kind=PathKind.PREFIX, value="/foo")


def test_uri_matches_exactly_or_by_regex(mesh: "Mesh") -> None:
    assert matched(mesh, "{uri: {exact: /foo}}").path == PathMatch(kind=PathKind.EXACT, value="/foo")
    assert matched(mesh, "{uri: {regex: '/f.*'}}").path == PathMatch(kind=PathKind.REGEX, value="/f.*")


def test_ignore_uri_case_is_for_exact_and_prefix(mesh: "Mesh") -> None:
    assert matched(mesh, "{uri: {exact: /foo}, ignoreUriCase: true}").path.ignore_case
    assert matched(mesh, "{uri: {prefix: /foo}, ignoreUriCase: true}").path.ignore_case
    assert not matched(mesh, "{uri: {regex: /foo}, ignoreUriCase: true}").path.ignore_case


def test_method_authority_and_scheme_are_pseudo_headers_after_the_others(mesh: "Mesh") -> None:
    match = matched(
        mesh,
        "{method: {exact: GET}, authority: {prefix: a}, scheme: {exact: https},"
        " headers: {b: {exact: x}, a: {regex: '*'}, c: {}}}",
    )
    assert [header.name for header in match.headers] == ["a", "b", "c", ":method", ":authority", ":scheme"]
    assert [header.match.kind for header in match.headers[:3]] == [
        MatchKind.PRESENT,
        MatchKind.EXACT,
        MatchKind.PRESENT,
    ]


def test_absence_satisfies_without_headers(mesh: "Mesh") -> None:
    match = matched(mesh, "{withoutHeaders: {x-user: {exact: jason}, x-any: {}}}")
    present = StringMatch(kind=MatchKind.PRESENT)
    jason = StringMatch(kind=MatchKind.EXACT, value="jason")
    assert match.headers == (
        HeaderMatch(name="x-any", match=present, invert=True),
        HeaderMatch(name="x-user", match=jason, invert=True, missing_is_empty=True),
    )


def test_query_parameters(mesh: "Mesh") -> None:
    match = matched(mesh, "{queryParams: {v: {exact: '2'}, debug: {}}}")
    assert match.query_parameters == (
        QueryMatch(name="debug", match=StringMatch(kind=MatchKind.PRESENT)),
        QueryMatch(name="v", match=StringMatch(kind=MatchKind.EXACT, value="2")),
    )


def test_claims_are_no_headers(mesh: "Mesh") -> None:
    match = matched(mesh, "{headers: {'@request.auth.claims[realm][roles]': {exact: admin}}}")
    admin = StringMatch(kind=MatchKind.EXACT, value="admin")
    assert match.headers == ()
    assert match.claims == (ClaimMatch(path=("realm", "roles"), match=admin),)


def test_each_match_is_a_route_of_its_own_with_the_names_joined(mesh: "Mesh") -> None:
    mesh.route(f"""
        hosts: [reviews]
        http:
        - name: main
          match: [{{name: a, uri: {{prefix: /a}}}}, {{uri: {{prefix: /b}}, statPrefix: b}}]
          {TO_REVIEWS}
        """)
    routes = mesh.host("reviews").routes
    assert [(route.name, route.match.path.value, route.stat_prefix) for route in routes] == [
        ("main.a", "/a", ""),
        ("main", "/b", "b"),
    ]
    assert [route.operation for route in routes] == [
        "reviews.default.svc.cluster.local:80/a*",
        "reviews.default.svc.cluster.local:80/b*",
    ]
    assert routes[0].config == "/apis/networking.istio.io/v1/namespaces/default/virtual-service/route"


def test_nothing_is_built_behind_a_catch_all(mesh: "Mesh") -> None:
    mesh.route(f"""
        hosts: [reviews]
        http:
        - match: [{{uri: {{regex: '.*'}}}}]
          {TO_REVIEWS}
        - match: [{{uri: {{prefix: /b}}}}]
          {TO_REVIEWS}
        """)
    assert len(mesh.host("reviews").routes) == 1
