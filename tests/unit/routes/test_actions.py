"""What becomes of a request: destinations, time limits, retries, rewrites, answers, copies, headers, faults, CORS."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from weft_core.ir.route import (
    MAX_DIRECT_RESPONSE_BODY,
    MILLION,
    Abort,
    Delay,
    DirectResponse,
    Fault,
    Mirror,
    Redirect,
    RetryPolicy,
    Rewrite,
    Route,
)
from weft_core.ir.string_match import MatchKind, StringMatch
from weft_core.ir.traffic_policy import HashPolicy
from weft_core.model import http_route

if TYPE_CHECKING:
    from tests.unit.routes.conftest import Mesh

REVIEWS = "{destination: {host: reviews}}"


def test_defaults_are_no_timeout_and_two_careful_retries(mesh: "Mesh") -> None:
    plain = mesh.host("reviews").routes[0].action
    assert mesh.forward(f"route: [{REVIEWS}]") == plain
    assert plain == mesh.forward("route: [{destination: {host: reviews.default.svc.cluster.local}}]")
    assert mesh.forward(f"route: [{REVIEWS}]").timeout == timedelta(0)
    assert mesh.forward(f"route: [{REVIEWS}]").retry == RetryPolicy(
        attempts=2, retry_on="connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
    )


def test_mesh_wide_retry_policy_replaces_the_default(mesh: "Mesh") -> None:
    mesh.settings("defaultHttpRetryPolicy: {attempts: 0}")
    assert mesh.forward(f"route: [{REVIEWS}]").retry is None


def test_weights_are_kept_and_destinations_of_weight_0_dropped(mesh: "Mesh") -> None:
    action = mesh.forward("""
        route:
        - {destination: {host: reviews, subset: v1}, weight: 3}
        - {destination: {host: reviews, subset: v2}, weight: 0}
        - {destination: {host: reviews, subset: v3}, weight: 1}
        """)
    host = "reviews.default.svc.cluster.local"
    assert [(one.name, one.weight) for one in action.clusters] == [
        (f"outbound|80|v1|{host}", 3),
        (f"outbound|80|v3|{host}", 1),
    ]


def test_span_of_weighted_clusters_is_named_after_the_virtual_service(mesh: "Mesh") -> None:
    route = mesh.only(
        "route: [{destination: {host: reviews, subset: a}, weight: 1},"
        " {destination: {host: reviews, subset: b}, weight: 1}]"
    )
    assert route.operation == "route:80/*"


def test_port_of_a_destination(mesh: "Mesh", clusters: Callable[[Route], list[str]]) -> None:
    mesh.service("one", ("http", 9080))
    mesh.service("two", ("http", 80), ("http-b", 81))
    for destination, port in (("host: one", 9080), ("host: two", 80), ("host: two, port: {number: 81}", 81)):
        found = clusters(mesh.only(f"route: [{{destination: {{{destination}}}}}]"))
        assert found[0].startswith(f"{port}||")


def test_missing_host_and_subset_keep_their_names(mesh: "Mesh", clusters: Callable[[Route], list[str]]) -> None:
    route = mesh.only("route: [{destination: {host: nobody, subset: v9}}]")
    assert clusters(route) == ["80|v9|nobody.default.svc.cluster.local"]


def test_timeout(mesh: "Mesh") -> None:
    assert mesh.forward(f"{{timeout: 500ms, route: [{REVIEWS}]}}").timeout == timedelta(milliseconds=500)


@pytest.mark.parametrize(
    ("retries", "expected"),
    [
        ("{attempts: 0}", None),
        (
            "{attempts: 3, perTryTimeout: 2s, retryOn: '5xx,503,429'}",
            RetryPolicy(
                attempts=3,
                retry_on="5xx,retriable-status-codes",
                status_codes=(503, 429),
                per_try_timeout=timedelta(seconds=2),
            ),
        ),
        (
            "{attempts: 1, retryOn: reset, retryRemoteLocalities: true, retryIgnorePreviousHosts: false, backoff: 1s}",
            RetryPolicy(
                attempts=1,
                retry_on="reset",
                other_localities=True,
                avoid_previous_hosts=False,
                backoff=timedelta(seconds=1),
            ),
        ),
    ],
)
def test_retries(mesh: "Mesh", retries: str, expected: RetryPolicy | None) -> None:
    assert mesh.forward(f"{{retries: {retries}, route: [{REVIEWS}]}}").retry == expected


def test_consistent_hash_is_on_the_route_and_keeps_retries_on_the_hashed_host(mesh: "Mesh") -> None:
    mesh.rule(
        "{host: reviews, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}}",
    )
    action = mesh.forward(f"route: [{REVIEWS}]")
    assert action.hash_policies == (HashPolicy(header="x-user"),)
    assert action.retry is not None
    assert not action.retry.avoid_previous_hosts


def test_redirect_leaves_the_default_port_of_its_scheme_out(mesh: "Mesh") -> None:
    route = mesh.only("redirect: {scheme: https, port: 443, authority: a.example, uri: /new, redirectCode: 302}")
    assert route.action == Redirect(scheme="https", host="a.example", path="/new", code=302)
    assert mesh.only("redirect: {scheme: https, port: 8443}").action == Redirect(scheme="https", port=8443)


def test_redirect_keeps_the_port_that_was_asked_where_told_to(mesh: "Mesh") -> None:
    mesh.service("reviews", ("http", 9080))
    route = mesh.only("redirect: {uri: /x, derivePort: FROM_REQUEST_PORT}", port=9080)
    assert route.action == Redirect(path="/x", port=9080)


def test_a_fixed_body_may_be_as_long_as_envoy_is_told() -> None:
    assert http_route.MAX_DIRECT_RESPONSE_BODY == MAX_DIRECT_RESPONSE_BODY


def test_direct_response_takes_text_or_bytes(mesh: "Mesh") -> None:
    assert mesh.only("directResponse: {status: 503, body: {string: away}}").action == DirectResponse(
        status=503, body=b"away"
    )
    assert mesh.only("directResponse: {status: 200, body: {bytes: AP8=}}").action == DirectResponse(
        status=200, body=b"\x00\xff"
    )


def test_rewrite(mesh: "Mesh") -> None:
    assert mesh.forward(f"{{rewrite: {{uri: /v2, authority: x}}, route: [{REVIEWS}]}}").rewrite == Rewrite(
        prefix="/v2", host="x"
    )
    regex = "{uriRegexRewrite: {match: '/a/(.*)', rewrite: '/b/\\1'}}"
    assert mesh.forward(f"{{rewrite: {regex}, route: [{REVIEWS}]}}").rewrite == Rewrite(
        pattern="/a/(.*)", substitution=r"/b/\1"
    )


def test_setting_the_host_header_rewrites_the_host_unless_rewrite_does(mesh: "Mesh") -> None:
    headers = "headers: {request: {set: {Host: a.example}}}"
    assert mesh.forward(f"{{{headers}, route: [{REVIEWS}]}}").rewrite.host == "a.example"
    both = mesh.only(f"{{{headers}, rewrite: {{authority: b.example}}, route: [{REVIEWS}]}}")
    assert both.headers.request.set == ()
    assert (
        mesh.forward(f"{{{headers}, rewrite: {{authority: b.example}}, route: [{REVIEWS}]}}").rewrite.host
        == "b.example"
    )


def test_header_operations_are_sorted_and_at_both_levels(mesh: "Mesh") -> None:
    route = mesh.only("""
        headers: {request: {set: {b: '1', a: '2'}, add: {c: '3'}, remove: [d]}, response: {add: {e: '4'}}}
        route:
        - {destination: {host: reviews, subset: v1}, weight: 1, headers: {response: {set: {version: v1}}}}
        - {destination: {host: reviews, subset: v2}, weight: 1}
        """)
    assert route.headers.request.set == (("a", "2"), ("b", "1"))
    assert route.headers.request.add == (("c", "3"),)
    assert route.headers.request.remove == ("d",)
    assert route.headers.response.add == (("e", "4"),)
    assert route.action.clusters[0].headers.response.set == (("version", "v1"),)  # type: ignore[union-attr]


def test_header_operations_of_a_single_destination_are_the_routes(mesh: "Mesh") -> None:
    route = mesh.only("route: [{destination: {host: reviews}, headers: {request: {set: {a: '1'}}}}]")
    assert route.headers.request.set == (("a", "1"),)


def test_mirrors_come_after_the_mirror_and_a_share_of_0_is_none(mesh: "Mesh") -> None:
    mesh.service("shadow")
    shadow = "outbound|80||shadow.default.svc.cluster.local"
    action = mesh.forward(f"{{mirror: {{host: shadow}}, mirrorPercentage: {{value: 12.5}}, route: [{REVIEWS}]}}")
    assert action.mirrors == (Mirror(cluster=shadow, per_million=125_000),)
    assert mesh.forward(f"{{mirror: {{host: shadow}}, route: [{REVIEWS}]}}").mirrors == (Mirror(cluster=shadow),)
    none = f"{{mirror: {{host: shadow}}, mirrorPercentage: {{value: 0}}, route: [{REVIEWS}]}}"
    assert mesh.forward(none).mirrors == ()
    several = f"{{mirrors: [{{destination: {{host: shadow}}}}, {{destination: {REVIEWS[14:-1]}}}], route: [{REVIEWS}]}}"
    assert [mirror.per_million for mirror in mesh.forward(several).mirrors] == [MILLION, MILLION]


def test_faults_are_on_the_route_with_their_shares(mesh: "Mesh") -> None:
    route = mesh.only(f"""
        fault:
          delay: {{fixedDelay: 7s, percentage: {{value: 0.1}}}}
          abort: {{grpcStatus: UNAVAILABLE, percentage: {{value: 100}}}}
        route: [{REVIEWS}]
        """)
    assert route.fault == Fault(
        delay=Delay(duration=timedelta(seconds=7), per_million=1000), abort=Abort(grpc_status=14, per_million=MILLION)
    )


def test_fault_without_percentage_never_fires(mesh: "Mesh") -> None:
    route = mesh.only(f"{{fault: {{abort: {{httpStatus: 500}}}}, route: [{REVIEWS}]}}")
    assert route.fault == Fault(abort=Abort(http_status=500, per_million=0))


def test_cors(mesh: "Mesh") -> None:
    route = mesh.only(f"""
        corsPolicy:
          allowOrigins: [{{exact: https://a.example}}]
          allowMethods: [GET, POST]
          maxAge: 24h
          unmatchedPreflights: IGNORE
        route: [{REVIEWS}]
        """)
    assert route.cors is not None
    assert route.cors.allow_origins == (StringMatch(kind=MatchKind.EXACT, value="https://a.example"),)
    assert route.cors.allow_methods == ("GET", "POST")
    assert route.cors.max_age == timedelta(hours=24)
    assert not route.cors.forward_unmatched_preflights
