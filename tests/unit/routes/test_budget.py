"""One change runs a handful of queries, and what means the same to clients is built once for all of them."""

from typing import TYPE_CHECKING

from weft_core.view.routes import route_configuration, route_ids
from weft_core.view.virtual_hosts import VirtualHostId, virtual_host, virtual_host_ids
from weft_core.view.visibility import Client

if TYPE_CHECKING:
    from tests.unit.routes.conftest import Mesh

SERVICES = 1000
CLIENTS = [Client(namespace=f"ns-{index}") for index in range(3)]


def numbered(index: int, timeout: str = "1s") -> str:
    host = f"s{index}"
    return f"{{hosts: [{host}], http: [{{timeout: {timeout}, route: [{{destination: {{host: {host}}}}}]}}]}}"


def observe(mesh: "Mesh") -> None:
    """Look after all that the clients are sent."""
    for client in CLIENTS:
        mesh.db.observe(virtual_host_ids, client)
        for key in virtual_host_ids(mesh.db, client):
            mesh.db.observe(virtual_host, key)
        for configuration in route_ids(mesh.db, client):
            mesh.db.observe(route_configuration, configuration)
        mesh.db.observe(route_ids, client)


def large(mesh: "Mesh") -> None:
    for index in range(SERVICES):
        mesh.service(f"s{index}", ("http", 9080), clusterIP=f"10.{index >> 8}.{index & 255}.1")
        mesh.route(numbered(index), name=f"s{index}")
    observe(mesh)
    mesh.db.commit()
    mesh.db.runs = {}


def test_one_changed_virtual_service_of_1000_changes_one_virtual_host(mesh: "Mesh") -> None:
    large(mesh)
    mesh.route(numbered(7, "2s"), name="s7")
    changed = mesh.db.commit()
    assert {key.host for node in changed for key in node.args if isinstance(key, VirtualHostId)} == {
        "s7.default.svc.cluster.local"
    }
    assert len(changed) == 1
    assert mesh.db.runs is not None
    assert sum(mesh.db.runs.values()) <= 8, mesh.db.runs
    assert mesh.db.runs["virtual_host"] == 1


def test_an_edit_that_changes_no_route_stops_early(mesh: "Mesh") -> None:
    large(mesh)
    mesh.route(numbered(7).replace("1s", "1000ms"), name="s7")
    assert mesh.db.commit() == []


def test_new_virtual_service_touches_its_host_alone(mesh: "Mesh") -> None:
    large(mesh)
    mesh.route("{hosts: [reviews], http: [{timeout: 1s, route: [{destination: {host: reviews}}]}]}")
    observe(mesh)
    assert mesh.db.runs is not None
    assert mesh.db.runs["virtual_host"] == 1
    assert mesh.db.runs["http_routes"] == 1


def test_clients_of_all_other_namespaces_share_a_virtual_host(mesh: "Mesh") -> None:
    mesh.route("{hosts: [reviews], http: [{timeout: 1s, route: [{destination: {host: reviews}}]}]}")
    shared = {mesh.ids(client)["80/reviews.default.svc.cluster.local:80"] for client in CLIENTS}
    assert len(shared) == 1
    assert mesh.ids()["80/reviews.default.svc.cluster.local:80"] not in shared


def test_client_with_a_destination_rule_of_its_own_has_a_virtual_host_of_its_own(mesh: "Mesh") -> None:
    mesh.rule(
        "{host: reviews.default.svc.cluster.local,"
        " trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}}}",
        namespace="ns-0",
    )
    keys = [mesh.ids(client)["80/reviews.default.svc.cluster.local:80"] for client in CLIENTS]
    assert keys[0] != keys[1] == keys[2]


def test_only_labels_that_a_rule_asks_for_tell_clients_apart(mesh: "Mesh") -> None:
    rule = "{match: [{sourceLabels: {app: a}}], route: [{destination: {host: reviews}}]}"
    mesh.route(f"{{hosts: [reviews], http: [{rule}, {{route: [{{destination: {{host: reviews}}}}]}}]}}")
    name = "80/reviews.default.svc.cluster.local:80"
    one, other, third = (
        mesh.ids(Client(namespace="x", labels=labels))[name]
        for labels in ((("app", "a"), ("tier", "1")), (("app", "a"), ("tier", "2")), (("app", "b"),))
    )
    assert one == other != third
