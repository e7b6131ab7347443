"""Kinds of services, and where the endpoints of their clusters come from."""

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from weft_core.ir.cluster import ClusterType, HttpProtocol, ServiceLabel
from weft_core.ir.service import Protocol, ServiceRef
from weft_core.ir.traffic_policy import Algorithm
from weft_core.model.meta import Config, Meta
from weft_core.model.workload_entry import WorkloadEntry
from weft_core.problems import ObjectRef
from weft_core.view.clusters import endpoint_key, special_clusters
from weft_core.view.services import service

if TYPE_CHECKING:
    from tests.unit.clusters.conftest import Mesh


def entry(mesh: "Mesh", resolution: str, rest: str = "") -> None:
    mesh.entry(f"""
hosts: [db.example.com]
ports: [{{number: 80, name: http, protocol: HTTP}}]
resolution: {resolution}
{rest}
""")


ENTRY = "outbound|80||db.example.com"


def test_cluster_ip_services_have_their_endpoints_sent(mesh: "Mesh", reviews: str) -> None:
    found = mesh.cluster(reviews)
    assert found.type is ClusterType.EDS
    assert found.load_assignment is None


def test_one_cluster_for_each_port_and_subset(mesh: "Mesh") -> None:
    mesh.service("web", ports=(("http", 80), ("grpc", 90)))
    mesh.rule("{host: web, subsets: [{name: v1}]}")
    assert list(mesh.ids()) == [
        "outbound|80||web.default.svc.cluster.local",
        "outbound|80|v1|web.default.svc.cluster.local",
        "outbound|90||web.default.svc.cluster.local",
        "outbound|90|v1|web.default.svc.cluster.local",
    ]


def test_udp_ports_have_no_cluster(mesh: "Mesh") -> None:
    mesh.service("dns", ports=(("udp-dns", 53),))
    assert mesh.ids() == {}


def test_external_name_services_have_no_cluster(mesh: "Mesh") -> None:
    mesh.service("alias", cluster_ip="", type="ExternalName", external_name="other.com")
    assert mesh.ids() == {}


def test_headless_services_go_where_the_application_dialled(mesh: "Mesh") -> None:
    mesh.service("db", ports=(("tcp", 5432),), cluster_ip="None")
    found = mesh.cluster("outbound|5432||db.default.svc.cluster.local")
    assert found.type is ClusterType.ORIGINAL_DST
    assert found.load_balancer.algorithm is Algorithm.CLUSTER_PROVIDED


@pytest.mark.parametrize("kind", ["gateway", "local"])
def test_who_sees_no_dialled_address_takes_headless_endpoints_by_eds(mesh: "Mesh", kind: str) -> None:
    mesh.service("db", ports=(("tcp", 5432),), cluster_ip="None")
    client = replace(mesh.client, gateway=kind == "gateway", local=kind == "local")
    assert mesh.cluster("outbound|5432||db.default.svc.cluster.local", client).type is ClusterType.EDS


def test_static_entries(mesh: "Mesh") -> None:
    entry(mesh, "STATIC", "endpoints: [{address: 1.2.3.4, ports: {http: 8080}}, {address: not.an.address}]")
    assert mesh.cluster(ENTRY).type is ClusterType.EDS
    (group,) = mesh.endpoints(ENTRY).localities
    assert [(e.address, e.port) for e in group.endpoints] == [("1.2.3.4", 8080)], "Envoy refuses names over EDS"


def test_dns_entries_resolve_their_own_host_or_their_endpoints(mesh: "Mesh") -> None:
    entry(mesh, "DNS")
    found = mesh.cluster(ENTRY)
    assert found.type is ClusterType.STRICT_DNS
    assert found.load_assignment is not None
    assert [e.address for e in found.load_assignment.localities[0].endpoints] == ["db.example.com"]
    assert found.dns is not None
    assert found.dns.refresh_rate == timedelta(seconds=60)
    assert endpoint_key(mesh.db, mesh.ids()[ENTRY], None) is None
    entry(mesh, "DNS", "endpoints: [{address: a.example.com}, {address: b.example.com}]")
    assignment = mesh.cluster(ENTRY).load_assignment
    assert assignment is not None
    assert [e.address for e in assignment.localities[0].endpoints] == ["a.example.com", "b.example.com"]


def test_subsets_of_dns_entries_choose_among_their_endpoints(mesh: "Mesh") -> None:
    entry(mesh, "DNS", "endpoints: [{address: a.example.com, labels: {v: a}}, {address: b.example.com}]")
    mesh.rule("{host: db.example.com, subsets: [{name: a, labels: {v: a}}, {name: none, labels: {v: c}}]}")
    assert list(mesh.ids()) == [ENTRY, "outbound|80|a|db.example.com"], "Envoy refuses a DNS cluster without names"
    assignment = mesh.cluster("outbound|80|a|db.example.com").load_assignment
    assert assignment is not None
    assert [e.address for e in assignment.localities[0].endpoints] == ["a.example.com"]


def test_dns_round_robin_entries(mesh: "Mesh") -> None:
    entry(mesh, "DNS_ROUND_ROBIN")
    assert mesh.cluster(ENTRY).type is ClusterType.LOGICAL_DNS


def test_dns_refresh_rate_of_the_mesh(mesh: "Mesh") -> None:
    mesh.settings("dnsRefreshRate: 5s")
    entry(mesh, "DNS")
    found = mesh.cluster(ENTRY)
    assert found.dns is not None
    assert found.dns.refresh_rate == timedelta(seconds=5)


def test_entries_without_resolution_go_where_the_application_dialled(mesh: "Mesh") -> None:
    entry(mesh, "NONE")
    assert mesh.cluster(ENTRY).type is ClusterType.ORIGINAL_DST
    assert mesh.cluster(ENTRY).upstream_port_override is None
    mesh.entry("""
hosts: [db.example.com]
ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
resolution: NONE
""")
    assert mesh.cluster(ENTRY).upstream_port_override == 8080


def test_local_clients_resolve_entries_without_resolution_by_name(mesh: "Mesh") -> None:
    entry(mesh, "NONE")
    found = mesh.cluster(ENTRY, replace(mesh.client, local=True))
    assert found.type is ClusterType.STRICT_DNS
    assert found.load_assignment is not None
    assert found.load_assignment.localities[0].endpoints[0].address == "db.example.com"
    gateway = replace(mesh.client, local=True, gateway=True)
    assert mesh.cluster(ENTRY, gateway).type is ClusterType.EDS, "at a gateway nobody dialled an address"


def test_passthrough_load_balancing_goes_where_the_application_dialled(mesh: "Mesh", reviews: str) -> None:
    mesh.rule("{host: reviews, trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}}")
    assert mesh.cluster(reviews).type is ClusterType.ORIGINAL_DST
    local = mesh.cluster(reviews, replace(mesh.client, local=True))
    assert (local.type, local.load_balancer.algorithm) == (ClusterType.EDS, Algorithm.LEAST_REQUEST)


def test_what_a_cluster_says_of_itself(mesh: "Mesh", reviews: str) -> None:
    mesh.rule("{host: reviews, subsets: [{name: v1}]}")
    found = mesh.cluster("outbound|9080|v1|reviews.default.svc.cluster.local")
    assert found.services == (
        ServiceLabel(host="reviews.default.svc.cluster.local", name="reviews", namespace="default"),
    )
    rule = ObjectRef(kind="DestinationRule", namespace="default", name="rule")
    assert (found.subset, found.config, found.external) == ("v1", rule, False)
    assert found.origins == (ObjectRef(kind="Service", namespace="default", name="reviews"), rule)


def test_special_clusters() -> None:
    passthrough, black_hole = special_clusters()
    assert (passthrough.name, passthrough.type) == ("PassthroughCluster", ClusterType.ORIGINAL_DST)
    assert passthrough.http.protocol is HttpProtocol.DOWNSTREAM
    assert passthrough.http.idle_timeout == timedelta(minutes=5)
    assert (black_hole.name, black_hole.type) == ("BlackHoleCluster", ClusterType.STATIC)


def test_workload_entries_are_endpoints_of_a_kubernetes_service_that_selects_them(mesh: "Mesh") -> None:
    mesh.service("web", selector={"app": "web"})
    spec = WorkloadEntry.model_validate({"address": "1.2.3.4", "labels": {"app": "web"}, "ports": {"http": 8080}})
    meta = Meta(kind="WorkloadEntry", namespace="default", name="vm")
    mesh.db.workload_entries.put(("default", "vm"), Config(meta=meta, spec=spec))
    (locality,) = mesh.endpoints("outbound|80||web.default.svc.cluster.local").localities
    assert [(endpoint.address, endpoint.port) for endpoint in locality.endpoints] == [("1.2.3.4", 8080)]


def test_the_protocol_of_a_port_that_names_none_is_detected(mesh: "Mesh") -> None:
    """Not by the port's name, which tells it of Services alone."""
    ports = "[{number: 80, name: http}, {number: 81, name: x, protocol: TCP}]"
    mesh.entry(f"{{hosts: [a.com], addresses: [192.0.2.1], ports: {ports}}}")
    found = service(mesh.db, ServiceRef("default", "a.com"))
    assert found is not None
    assert [port.protocol for port in found.ports] == [Protocol.AUTO, Protocol.TCP]
