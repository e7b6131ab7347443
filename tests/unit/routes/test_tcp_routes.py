"""TCP and TLS routes of services."""

from datetime import timedelta
from typing import TYPE_CHECKING

from weft_core.ir.service import ServiceRef
from weft_core.view.tcp_routes import tcp_routes, tls_routes
from weft_core.view.visibility import Client

if TYPE_CHECKING:
    from tests.unit.routes.conftest import Mesh

HOST = "db.default.svc.cluster.local"
DB = ServiceRef("default", HOST)


def test_connections_go_to_the_service_without_a_virtual_service(mesh: "Mesh") -> None:
    mesh.service("db", ("tcp", 5432))
    mesh.rule("{host: db, trafficPolicy: {connectionPool: {tcp: {idleTimeout: 5m}}}}")
    (route,) = tcp_routes(mesh.db, mesh.client, DB, 5432)
    assert route.clusters == ((f"outbound|5432||{HOST}", 1),)
    assert route.stat_prefix == f"outbound|5432||{HOST}"
    assert route.settings.idle_timeout == timedelta(minutes=5)


def test_weights_and_the_name_of_a_split(mesh: "Mesh") -> None:
    mesh.service("db", ("tcp", 5432))
    mesh.route("""
        hosts: [db]
        tcp:
        - route:
          - {destination: {host: db, subset: a}, weight: 90}
          - {destination: {host: db, subset: b}, weight: 10}
        """)
    (route,) = tcp_routes(mesh.db, mesh.client, DB, 5432)
    assert route.clusters == ((f"outbound|5432|a|{HOST}", 90), (f"outbound|5432|b|{HOST}", 10))
    assert route.stat_prefix == "route.default"


def test_rule_3_tcp_matches_need_gateways_labels_and_namespace_together(mesh: "Mesh") -> None:
    mesh.service("db", ("tcp", 5432))
    mesh.route("""
        hosts: [db]
        tcp:
        - match: [{gateways: [mesh], sourceLabels: {app: a}, port: 5432}]
          route: [{destination: {host: db, subset: a}}]
        """)
    labelled = Client(namespace="default", labels=(("app", "a"),))
    assert tcp_routes(mesh.db, labelled, DB, 5432)[0].clusters == ((f"outbound|5432|a|{HOST}", 1),)
    assert tcp_routes(mesh.db, mesh.client, DB, 5432)[0].clusters == ((f"outbound|5432||{HOST}", 1),)


def test_subnets_come_first_and_the_rest_stays_the_services(mesh: "Mesh") -> None:
    mesh.service("db", ("tcp", 5432))
    mesh.route("""
        hosts: [db]
        tcp:
        - match: [{destinationSubnets: [10.1.0.0/16]}]
          route: [{destination: {host: db, subset: a}}]
        """)
    first, rest = tcp_routes(mesh.db, mesh.client, DB, 5432)
    assert first.destination_subnets == ("10.1.0.0/16",)
    assert rest.clusters == ((f"outbound|5432||{HOST}", 1),)


def test_tls_routes_by_server_name_the_first_of_equal_conditions(mesh: "Mesh") -> None:
    mesh.entry("{hosts: ['*.example.com'], ports: [{number: 443, name: tls, protocol: TLS}], resolution: NONE}")
    mesh.route("""
        hosts: ['*.example.com']
        tls:
        - match: [{port: 443, sniHosts: [a.example.com]}, {port: 444, sniHosts: [b.example.com]}]
          route: [{destination: {host: one}}]
        - match: [{port: 443, sniHosts: [a.example.com]}]
          route: [{destination: {host: two}}]
        """)
    ref = ServiceRef("default", "*.example.com")
    (route,) = tls_routes(mesh.db, mesh.client, ref, 443)
    assert route.sni_hosts == ("a.example.com",)
    assert route.clusters == (("outbound|443||one.default.svc.cluster.local", 1),)
    assert tls_routes(mesh.db, mesh.client, DB, 5432) == ()
