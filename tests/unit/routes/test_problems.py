"""What a VirtualService's owner is told."""

from typing import TYPE_CHECKING

import pytest

from weft_core.problems import Code, Severity

if TYPE_CHECKING:
    from tests.unit.routes.conftest import Mesh


def rule(destination: str) -> str:
    return f"{{hosts: [reviews], http: [{{route: [{{destination: {{{destination}}}}}]}}]}}"


def test_nothing_is_said_about_a_sound_one(mesh: "Mesh") -> None:
    mesh.rule("{host: reviews, subsets: [{name: v1, labels: {version: v1}}]}")
    mesh.route(rule("host: reviews, subset: v1, port: {number: 80}"))
    assert mesh.problems() == ()


@pytest.mark.parametrize(
    ("destination", "path", "fix"),
    [
        ("host: ratings", "host", "write ratings.other.svc.cluster.local"),
        ("host: gone", "host", "correct the name, or add a Service or a ServiceEntry"),
        ("host: reviews, port: {number: 81}", "port.number", "write one of its ports: 80"),
        (
            "host: reviews, subset: v9",
            "subset",
            "write one of v1, v2, or add the subset to DestinationRule default/rule",
        ),
    ],
)
def test_what_a_destination_refers_to_must_exist(mesh: "Mesh", destination: str, path: str, fix: str) -> None:
    mesh.service("ratings", namespace="other")
    mesh.rule("{host: reviews, subsets: [{name: v1}, {name: v2}]}")
    mesh.route(rule(destination))
    (problem,) = mesh.problems()
    assert (problem.code, problem.severity) == (Code.REFERENCED_RESOURCE_NOT_FOUND, Severity.ERROR)
    assert problem.path == f"spec.http[0].route[0].destination.{path}"
    assert fix in problem.fix


def test_subset_without_any_destination_rule(mesh: "Mesh") -> None:
    mesh.route(rule("host: reviews, subset: v1"))
    (problem,) = mesh.problems()
    assert problem.fix == "add a DestinationRule for reviews.default.svc.cluster.local with the subset v1"


def test_loser_of_a_host_is_told_who_won(mesh: "Mesh") -> None:
    mesh.route(rule("host: reviews"), name="young", created="2024-01-02T00:00:00Z")
    mesh.route(rule("host: reviews"), name="old", created="2024-01-01T00:00:00Z")
    assert mesh.problems("old") == ()
    (problem,) = mesh.problems("young")
    assert (problem.code, problem.path) == (Code.CONFLICTING_VIRTUAL_SERVICE_HOSTS, "spec.hosts[0]")
    assert "VirtualService default/old" in problem.message


def test_wildcard_and_exact_host_do_not_conflict(mesh: "Mesh") -> None:
    mesh.route("{hosts: ['*.default.svc.cluster.local'], http: [{route: [{destination: {host: reviews}}]}]}", name="a")
    mesh.route(rule("host: reviews"), name="b")
    assert mesh.problems("a") == mesh.problems("b") == ()


def test_gateway_that_is_not_there(mesh: "Mesh") -> None:
    mesh.route("{hosts: [reviews], gateways: [mesh, edge], http: [{route: [{destination: {host: reviews}}]}]}")
    (problem,) = mesh.problems()
    assert (problem.code, problem.path) == (Code.REFERENCED_RESOURCE_NOT_FOUND, "spec.gateways[1]")


def test_gateway_without_the_host(mesh: "Mesh") -> None:
    mesh.gateway(
        "{selector: {a: b}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [other.example]}]}",
        name="edge",
    )
    mesh.route("{hosts: [shop.example], gateways: [edge], http: [{route: [{destination: {host: reviews}}]}]}")
    (problem,) = mesh.problems()
    assert problem.code == Code.VIRTUAL_SERVICE_HOST_NOT_FOUND_IN_GATEWAY
    assert "other.example" in problem.fix


def test_gateway_that_has_the_host_for_other_rules_only(mesh: "Mesh") -> None:
    http = "{port: {number: 80, name: http, protocol: HTTP}, hosts: [other.example]}"
    tcp = "{port: {number: 9000, name: tcp, protocol: TCP}, hosts: ['*']}"
    mesh.gateway(f"{{selector: {{a: b}}, servers: [{http}, {tcp}]}}", name="edge")
    mesh.route("{hosts: [shop.example], gateways: [edge], http: [{route: [{destination: {host: reviews}}]}]}")
    (problem,) = mesh.problems()
    assert problem.code == Code.VIRTUAL_SERVICE_HOST_NOT_FOUND_IN_GATEWAY
    assert problem.fix == "write a host that it serves: other.example"
    mesh.gateway(f"{{selector: {{a: b}}, servers: [{tcp}]}}", name="edge")
    (problem,) = mesh.problems()
    assert "add a server" in problem.fix
    mesh.route("{hosts: [shop.example], gateways: [edge], tcp: [{route: [{destination: {host: reviews}}]}]}")
    assert mesh.problems() == ()


def test_host_that_no_service_has(mesh: "Mesh") -> None:
    mesh.route("{hosts: [api.example.com], http: [{route: [{destination: {host: reviews}}]}]}")
    (problem,) = mesh.problems()
    assert (problem.path, problem.severity) == ("spec.hosts[0]", Severity.WARNING)
    assert "port 80" in problem.message


def test_delegate_must_be_one(mesh: "Mesh") -> None:
    mesh.route("{hosts: [reviews], http: [{delegate: {name: gone}}, {delegate: {name: hosted}}]}")
    mesh.route(rule("host: reviews").replace("reviews]", "reviews.x]"), name="hosted")
    assert [problem.path for problem in mesh.problems()] == ["spec.http[0].delegate", "spec.http[1].delegate"]


def test_without_hosts_and_delegation_it_routes_nothing(mesh: "Mesh") -> None:
    mesh.route("{http: [{route: [{destination: {host: reviews}}]}]}", name="part")
    (problem,) = mesh.problems("part")
    assert (problem.code, problem.path) == (Code.UNUSED_DELEGATE, "spec.hosts")
    mesh.route("{hosts: [reviews], http: [{delegate: {name: part}}]}")
    assert mesh.problems("part") == ()


def test_a_gateways_destination_must_say_which_of_several_ports(mesh: "Mesh") -> None:
    mesh.service("shop", ("http", 9080), ("http-admin", 9090))
    mesh.gateway("{selector: {a: b}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}")
    text = "{hosts: [shop.com], gateways: [gateway], http: [{route: [{destination: {host: shop%s}}]}]}"
    mesh.route(text % "")
    (problem,) = mesh.problems()
    assert (problem.code, problem.path) == (Code.DESTINATION_PORT_REQUIRED, "spec.http[0].route[0].destination")
    mesh.route(text % ", port: {number: 9090}")
    assert mesh.problems() == ()
