"""ExternalName Services in rules: another name of a service leads where that service's own name leads."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from weft_core.ir.route import Route
from weft_core.problems import Code
from weft_core.view.aliases import real_host
from weft_core.view.outbound_traffic import outbound_traffic
from weft_core.view.tcp_routes import tcp_routes
from weft_core.view.visibility import Client, find_service

if TYPE_CHECKING:
    from tests.unit.routes.conftest import Mesh

FULL = "ratings.default.svc.cluster.local"
RULE = "{hosts: [reviews], http: [{route: [{destination: {host: alias}}], mirror: {host: alias}}]}"


@pytest.fixture
def alias(mesh: "Mesh") -> "Mesh":
    """A mesh in which the Service `alias` is another name of the Service `ratings`."""
    mesh.service("ratings")
    mesh.service("alias", type="ExternalName", externalName=FULL, clusterIP="", ports=[])
    return mesh


def test_a_destination_leads_to_the_service_itself(alias: "Mesh", clusters: Callable[[Route], list[str]]) -> None:
    alias.route(RULE)
    (route,) = alias.host("reviews").routes
    assert clusters(route) == [f"80||{FULL}"]
    assert alias.problems() == ()


def test_rules_for_the_service_hold_for_its_alias(alias: "Mesh", clusters: Callable[[Route], list[str]]) -> None:
    alias.rule("{host: ratings, subsets: [{name: v1, labels: {version: v1}}]}")
    alias.route("{hosts: [reviews], http: [{route: [{destination: {host: alias, subset: v1}}]}]}")
    (route,) = alias.host("reviews").routes
    assert clusters(route) == [f"80|v1|{FULL}"]
    assert alias.problems() == ()


def test_requests_to_an_alias_without_ports_are_for_the_service(alias: "Mesh") -> None:
    """Most ExternalName Services list no ports, and Kubernetes has no use for them."""
    assert "alias" in alias.host("ratings").domains


def test_an_alias_is_seen_through_a_sidecars_egress_whatever_its_port(alias: "Mesh") -> None:
    client = alias.sidecar("{egress: [{hosts: ['./*'], port: {number: 80, name: http, protocol: HTTP}}]}")
    assert find_service(alias.db, client, "alias.default.svc.cluster.local") is not None
    client = alias.sidecar("{egress: [{hosts: ['./ratings.default.svc.cluster.local']}]}")
    assert find_service(alias.db, client, "alias.default.svc.cluster.local") is None


def test_a_service_without_ports_is_no_destination(mesh: "Mesh") -> None:
    mesh.service("bare", ports=[])
    assert find_service(mesh.db, mesh.client, "bare.default.svc.cluster.local") is None


def test_an_alias_of_an_alias(alias: "Mesh") -> None:
    alias.service("again", type="ExternalName", externalName="alias.default.svc.cluster.local", clusterIP="")
    assert real_host(alias.db, "again.default.svc.cluster.local") == FULL
    assert {"alias", "again"} <= set(alias.host("ratings").domains)


def test_a_circle_leads_nowhere_and_ends(mesh: "Mesh") -> None:
    one, other = "one.default.svc.cluster.local", "other.default.svc.cluster.local"
    mesh.service("one", type="ExternalName", externalName=other, clusterIP="")
    mesh.service("other", type="ExternalName", externalName=one, clusterIP="")
    assert (real_host(mesh.db, one), real_host(mesh.db, other)) == (one, other)


def test_an_alias_of_something_unknown_is_a_finding(mesh: "Mesh") -> None:
    mesh.service("alias", type="ExternalName", externalName="api.example.com", clusterIP="", ports=[])
    mesh.route(RULE)
    found = [(problem.code, problem.path) for problem in mesh.problems()]
    assert found == [
        (Code.REFERENCED_RESOURCE_NOT_FOUND, "spec.http[0].mirror.host"),
        (Code.REFERENCED_RESOURCE_NOT_FOUND, "spec.http[0].route[0].destination.host"),
    ]
    mesh.entry("{hosts: [api.example.com], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}")
    assert mesh.problems() == ()


def test_tcp_routes_and_egress_proxies_follow_aliases_too(alias: "Mesh") -> None:
    alias.service("db", ("tcp", 5432))
    alias.route("{hosts: [db], tcp: [{route: [{destination: {host: alias, port: {number: 80}}}]}]}")
    ref = find_service(alias.db, alias.client, "db.default.svc.cluster.local")
    assert ref is not None
    (route,) = tcp_routes(alias.db, alias.client, ref, 5432)
    assert route.clusters == ((f"outbound|80||{FULL}", 1),)
    client = alias.sidecar(
        "{outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: alias.default.svc.cluster.local}}}"
    )
    assert outbound_traffic(alias.db, client).cluster == f"outbound|80||{FULL}"


def _scoped(mesh: "Mesh", *hosts: str) -> Client:
    return mesh.sidecar("{egress: [{hosts: [" + ", ".join(f"'{host}'" for host in hosts) + "]}]}")


def test_a_sidecar_imports_what_an_imported_virtual_service_routes_to(
    alias: "Mesh", clusters: Callable[[Route], list[str]]
) -> None:
    alias.route(RULE)
    client = _scoped(alias, "./reviews.default.svc.cluster.local")
    assert set(alias.ids(client)) == {"80/reviews.default.svc.cluster.local:80", f"80/{FULL}:80"}
    (route,) = alias.host("reviews", client).routes
    assert clusters(route) == [f"80||{FULL}"]


def test_a_sidecar_imports_what_delegates_route_to(alias: "Mesh", clusters: Callable[[Route], list[str]]) -> None:
    alias.route("{hosts: [reviews], http: [{delegate: {name: part, namespace: team}}]}")
    alias.route("{http: [{route: [{destination: {host: ratings.default.svc.cluster.local}}]}]}", "part", "team")
    client = _scoped(alias, "./reviews.default.svc.cluster.local")
    assert find_service(alias.db, client, FULL) is not None
    (route,) = alias.host("reviews", client).routes
    assert clusters(route) == [f"80||{FULL}"]


def test_within_its_egress_hosts_a_sidecar_routes_as_without_one(
    alias: "Mesh", clusters: Callable[[Route], list[str]]
) -> None:
    alias.rule("{host: reviews, subsets: [{name: v1, labels: {version: v1}}]}")
    alias.route(
        "{hosts: [reviews], http: [{match: [{uri: {prefix: /a}}], timeout: 2s, "
        "route: [{destination: {host: reviews, subset: v1}}]}, {route: [{destination: {host: ratings}}]}]}"
    )
    client = _scoped(alias, "./*")
    assert alias.host("reviews", client).routes == alias.host("reviews").routes
    assert alias.host("reviews", client).domains == alias.host("reviews").domains
    assert alias.configurations(client) == alias.configurations()


def test_outside_of_its_egress_hosts_a_sidecar_knows_nothing(alias: "Mesh") -> None:
    client = _scoped(alias, f"./{FULL}")
    assert set(alias.ids(client)) == {f"80/{FULL}:80"}
    assert set(alias.configurations(client)) == {"80"}
    assert find_service(alias.db, client, "reviews.default.svc.cluster.local") is None
