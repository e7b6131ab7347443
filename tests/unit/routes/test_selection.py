"""Which VirtualService decides about a host, and for which clients its rules hold."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from weft_core.ir.route import Route
from weft_core.view.visibility import Client

if TYPE_CHECKING:
    from tests.unit.routes.conftest import Mesh

Clusters = Callable[[Route], list[str]]
OTHER = Client(namespace="other")


def to(subset: str, more: str = "", host: str = "reviews.default.svc.cluster.local") -> str:
    return f"{{hosts: [{host}], {more} http: [{{route: [{{destination: {{host: {host}, subset: {subset}}}}}]}}]}}"


def subsets(mesh: "Mesh", clusters: Clusters, client: Client | None = None) -> list[str]:
    return [name.split("|")[1] for route in mesh.host("reviews", client).routes for name in clusters(route)]


def test_rule_2_sidecars_never_merge_the_oldest_wins(mesh: "Mesh", clusters: Clusters) -> None:
    mesh.route(to("young"), name="a", created="2024-01-02T00:00:00Z")
    mesh.route(to("old"), name="b", created="2024-01-01T00:00:00Z")
    assert subsets(mesh, clusters) == ["old"]


def test_rule_2_private_goes_before_named_before_public_whatever_the_age(mesh: "Mesh", clusters: Clusters) -> None:
    mesh.route(to("public"), name="a", created="2020-01-01T00:00:00Z")
    mesh.route(to("named", "exportTo: [other],"), name="b", created="2021-01-01T00:00:00Z")
    mesh.route(to("private", "exportTo: [.],"), name="c", namespace="other", created="2022-01-01T00:00:00Z")
    assert subsets(mesh, clusters) == ["public"]
    assert subsets(mesh, clusters, OTHER) == ["private"]
    mesh.db.virtual_services.put(("other", "c"), None)
    assert subsets(mesh, clusters, OTHER) == ["named"]


def test_rule_2_requests_that_no_rule_takes_have_no_route(mesh: "Mesh") -> None:
    mesh.route("{hosts: [reviews], http: [{match: [{uri: {prefix: /a}}], route: [{destination: {host: reviews}}]}]}")
    assert [route.match.path.value for route in mesh.host("reviews").routes] == ["/a"]


def test_rule_2_a_virtual_service_without_a_rule_for_this_client_is_ignored(mesh: "Mesh", clusters: Clusters) -> None:
    mesh.route(
        "{hosts: [reviews], http: [{match: [{sourceNamespace: other}],"
        " route: [{destination: {host: reviews, subset: v1}}]}]}"
    )
    assert mesh.host("reviews").routes[0].name == "default"
    assert subsets(mesh, clusters, OTHER) == ["v1"]


def test_next_virtual_service_takes_over_where_the_first_has_no_rule(mesh: "Mesh", clusters: Clusters) -> None:
    mesh.route(
        "{hosts: [reviews], http: [{match: [{port: 81}], route: [{destination: {host: reviews, subset: first}}]}]}",
        name="a",
    )
    mesh.route(to("second"), name="b")
    assert subsets(mesh, clusters) == ["second"]


def test_rule_3_match_with_gateways_ignores_source_labels_and_namespace(mesh: "Mesh", clusters: Clusters) -> None:
    mesh.route("""
        hosts: [reviews]
        http:
        - match: [{gateways: [mesh], sourceLabels: {app: nobody}, sourceNamespace: nowhere}]
          route: [{destination: {host: reviews, subset: v1}}]
        """)
    assert subsets(mesh, clusters) == ["v1"]


def test_match_with_another_gateway_does_not_hold_in_sidecars(mesh: "Mesh") -> None:
    mesh.route("{hosts: [reviews], http: [{match: [{gateways: [edge]}], route: [{destination: {host: reviews}}]}]}")
    assert mesh.host("reviews").routes[0].name == "default"


def test_source_labels_must_all_be_the_clients(mesh: "Mesh", clusters: Clusters) -> None:
    mesh.route("""
        hosts: [reviews]
        http:
        - match: [{sourceLabels: {app: productpage, version: v2}}]
          route: [{destination: {host: reviews, subset: new}}]
        - route: [{destination: {host: reviews, subset: old}}]
        """)
    labelled = Client(namespace="default", labels=(("app", "productpage"), ("version", "v2")))
    assert subsets(mesh, clusters, labelled) == ["new"]
    assert subsets(mesh, clusters, Client(namespace="default", labels=(("app", "productpage"),))) == ["old"]


def test_virtual_services_for_gateways_alone_do_not_concern_sidecars(mesh: "Mesh") -> None:
    mesh.route(to("edge", "gateways: [edge],"))
    assert mesh.host("reviews").routes[0].name == "default"


def test_short_names_mean_the_namespace_of_the_virtual_service(mesh: "Mesh", clusters: Clusters) -> None:
    mesh.service("reviews", namespace="other")
    mesh.route("{hosts: [reviews], http: [{route: [{destination: {host: ratings}}]}]}", namespace="other")
    assert mesh.host("reviews").routes[0].name == "default"
    (route,) = mesh.host("reviews.other.svc.cluster.local").routes
    assert clusters(route) == ["80||ratings.other.svc.cluster.local"]


def test_most_specific_host_owns_a_service(mesh: "Mesh", clusters: Clusters) -> None:
    host = "reviews.default.svc.cluster.local"
    route = f"http: [{{route: [{{destination: {{host: {host}, subset: "
    mesh.route(f"{{hosts: ['*.svc.cluster.local'], {route}wide}}}}]}}]}}", name="a", created="2020-01-01T00:00:00Z")
    assert subsets(mesh, clusters) == ["wide"]
    mesh.route(f"{{hosts: ['*.default.svc.cluster.local'], {route}narrow}}}}]}}]}}", name="b")
    assert subsets(mesh, clusters) == ["narrow"]
    mesh.route(f"{{hosts: ['{host}'], {route}exact}}}}]}}]}}", name="c")
    assert subsets(mesh, clusters) == ["exact"]


def test_sidecar_egress_hosts_filter_virtual_services_by_namespace(mesh: "Mesh", clusters: Clusters) -> None:
    mesh.route(to("default"), name="b")
    mesh.route(to("other"), name="a", namespace="other")
    assert subsets(mesh, clusters) == ["other"]
    client = mesh.sidecar("egress: [{hosts: [default/*]}]")
    assert subsets(mesh, clusters, client) == ["default"]


@pytest.mark.parametrize("left_out", ["~other/*", "~/*.local", "~*/reviews.default.svc.cluster.local"])
def test_sidecar_egress_hosts_leave_out_again(mesh: "Mesh", clusters: Clusters, left_out: str) -> None:
    """Of one namespace, or without one of all."""
    mesh.route(to("other"), name="a", namespace="other")
    client = mesh.sidecar(f"egress: [{{hosts: ['*/*', '{left_out}']}}]")
    host = mesh.ids(client)
    assert ("80/reviews.default.svc.cluster.local:80" in host) is left_out.startswith("~other")
    if left_out.startswith("~other"):
        assert subsets(mesh, clusters, client) == [""]


def test_host_without_a_service_is_routed_on_port_80_alone(mesh: "Mesh", clusters: Clusters) -> None:
    mesh.service("other", ("http", 8080))
    mesh.route(to("v1", host="api.example.com"))
    assert [name for name in mesh.ids() if "example" in name] == ["80/api.example.com:80"]
    host = mesh.host("api.example.com")
    assert host.domains == ("api.example.com",)
    assert clusters(host.routes[0]) == ["80|v1|api.example.com"]


def test_wildcard_host_is_routed_itself_only_where_no_service_lies_below(mesh: "Mesh") -> None:
    rule = "http: [{route: [{destination: {host: reviews}}]}]"
    mesh.route(f"{{hosts: ['*.example.com', '*.default.svc.cluster.local'], {rule}}}")
    assert sorted(mesh.ids()) == ["80/*.example.com:80", "80/reviews.default.svc.cluster.local:80"]


def test_short_name_that_a_virtual_service_routes_is_its_own_host(mesh: "Mesh") -> None:
    mesh.route(to("v1", host="reviews.default"))
    assert mesh.host("reviews.default").domains == ("reviews.default",)
    assert "reviews.default" not in mesh.host("reviews").domains


def test_delegates_take_the_place_of_the_rule_and_keep_its_conditions(mesh: "Mesh", clusters: Clusters) -> None:
    mesh.route(
        "{hosts: [reviews], http: [{name: root, match: [{uri: {prefix: /api}, headers: {a: {exact: x}}}],"
        " timeout: 3s, delegate: {name: team, namespace: team}}]}"
    )
    mesh.route(
        """
        http:
        - {name: in, match: [{uri: {prefix: /api/v2}}], route: [{destination: {host: api}}]}
        - {name: out, match: [{uri: {prefix: /other}}], route: [{destination: {host: api}}]}
        - {name: rest, route: [{destination: {host: api}}]}
        """,
        name="team",
        namespace="team",
    )
    routes = mesh.host("reviews").routes
    assert [(route.name, route.match.path.value) for route in routes] == [
        ("root-in", "/api/v2"),
        ("root-rest", "/api"),
    ]
    assert all(route.match.headers[0].name == "a" for route in routes)
    assert all(route.action.timeout.total_seconds() == 3 for route in routes)  # type: ignore[union-attr]
    assert clusters(routes[0]) == ["80||api.team.svc.cluster.local"]


def test_rule_whose_delegate_is_missing_vanishes(mesh: "Mesh") -> None:
    mesh.route("{hosts: [reviews], http: [{delegate: {name: gone}}, {route: [{destination: {host: reviews}}]}]}")
    assert len(mesh.host("reviews").routes) == 1
