"""Which DestinationRules apply, and which of their blocks."""

from dataclasses import replace
from typing import TYPE_CHECKING

from weft_core.ir.traffic_policy import UNLIMITED, Algorithm
from weft_core.view.clusters import cluster

if TYPE_CHECKING:
    from tests.unit.clusters.conftest import Mesh

REVIEWS = "reviews.default.svc.cluster.local"


def limit(number: int, host: str = "reviews.default.svc.cluster.local") -> str:
    return f"""
host: "{host}"
trafficPolicy: {{connectionPool: {{tcp: {{maxConnections: {number}}}}}}}
"""


def connections(mesh: "Mesh", name: str, namespace: str = "default", **labels: str) -> int:
    client = replace(mesh.client, namespace=namespace, labels=tuple(sorted(labels.items())))
    return mesh.cluster(name, client).circuit_breakers.max_connections


def test_rule_1_the_first_tier_with_a_rule_is_used_alone(mesh: "Mesh", reviews: str) -> None:
    mesh.rule(limit(30), namespace="istio-system")
    assert connections(mesh, reviews, "shop") == 30
    mesh.rule(limit(20) + "subsets: [{name: v1, labels: {version: v1}}]", namespace="default")
    assert connections(mesh, reviews, "shop") == 20
    mesh.rule(limit(10), namespace="shop")
    assert connections(mesh, reviews, "shop") == 10
    shop = replace(mesh.client, namespace="shop")
    assert list(mesh.ids(shop)) == [reviews], "the owner's subsets are gone too"
    assert connections(mesh, reviews, "default") == 20


def test_rule_1_a_port_block_replaces_all_four_blocks(mesh: "Mesh", reviews: str) -> None:
    mesh.rule("""
host: reviews
trafficPolicy:
  loadBalancer: {simple: RANDOM}
  connectionPool: {tcp: {maxConnections: 7}}
  outlierDetection: {consecutive5xxErrors: 3}
  tls: {mode: DISABLE}
  portLevelSettings: [{port: {number: 9080}, loadBalancer: {simple: ROUND_ROBIN}}]
""")
    found = mesh.cluster(reviews)
    assert found.load_balancer.algorithm is Algorithm.ROUND_ROBIN
    assert found.circuit_breakers.max_connections == UNLIMITED
    assert found.outlier_detection is None
    assert found.transport is not None, "tls: DISABLE is replaced by nothing, so automatic mutual TLS is back"


def test_other_ports_keep_the_destinations_blocks(mesh: "Mesh") -> None:
    mesh.service("web", ports=(("http", 80), ("http-admin", 81)))
    mesh.rule("""
host: web
trafficPolicy:
  connectionPool: {tcp: {maxConnections: 7}}
  portLevelSettings: [{port: {number: 81}, loadBalancer: {simple: RANDOM}}]
""")
    assert connections(mesh, "outbound|80||web.default.svc.cluster.local") == 7


def test_a_subset_replaces_only_the_blocks_it_has(mesh: "Mesh", reviews: str) -> None:
    mesh.rule("""
host: reviews
trafficPolicy:
  loadBalancer: {simple: RANDOM}
  connectionPool: {tcp: {maxConnections: 7}, http: {maxRetries: 2}}
subsets:
- name: v1
  labels: {version: v1}
  trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}
""")
    subset = mesh.cluster(f"outbound|9080|v1|{REVIEWS}")
    assert subset.load_balancer.algorithm is Algorithm.RANDOM
    assert subset.circuit_breakers.max_connections == 1
    assert subset.circuit_breakers.max_retries == UNLIMITED, "blocks are never mixed field by field"
    assert connections(mesh, reviews) == 7


def test_a_subsets_port_block_replaces_all_four_again(mesh: "Mesh", reviews: str) -> None:
    mesh.rule("""
host: reviews
trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}
subsets:
- name: v1
  trafficPolicy:
    loadBalancer: {simple: RANDOM}
    portLevelSettings: [{port: {number: 9080}, outlierDetection: {consecutive5xxErrors: 1}}]
""")
    subset = mesh.cluster(f"outbound|9080|v1|{REVIEWS}")
    assert subset.load_balancer.algorithm is Algorithm.LEAST_REQUEST
    assert subset.circuit_breakers.max_connections == UNLIMITED
    assert subset.outlier_detection is not None


def test_the_most_specific_host_of_a_tier_wins(mesh: "Mesh", reviews: str) -> None:
    mesh.rule(limit(1, "*.local"), name="all")
    mesh.rule(limit(2, "*.svc.cluster.local"), name="longer")
    assert connections(mesh, reviews) == 2
    mesh.rule(limit(3, "reviews"), name="exact")
    assert connections(mesh, reviews) == 3


def test_a_short_host_is_meant_in_the_rules_own_namespace(mesh: "Mesh", reviews: str) -> None:
    mesh.rule(limit(5, "reviews"), namespace="shop")
    assert connections(mesh, reviews, "shop") == UNLIMITED


def test_export_to_hides_a_rule_from_other_namespaces(mesh: "Mesh", reviews: str) -> None:
    mesh.rule(limit(5) + 'exportTo: ["."]')
    assert connections(mesh, reviews, "default") == 5
    assert connections(mesh, reviews, "shop") == UNLIMITED
    mesh.rule(limit(5) + "exportTo: [shop]")
    assert connections(mesh, reviews, "shop") == 5


def test_mesh_default_for_export_to(mesh: "Mesh", reviews: str) -> None:
    mesh.settings('defaultDestinationRuleExportTo: ["."]')
    mesh.rule(limit(5))
    assert connections(mesh, reviews, "shop") == UNLIMITED


def test_in_the_root_namespace_only_private_rules_are_a_callers_own(mesh: "Mesh", reviews: str) -> None:
    mesh.rule(limit(30), namespace="istio-system")
    mesh.rule(limit(20), namespace="default")
    assert connections(mesh, reviews, "istio-system") == 20
    mesh.rule(limit(10) + 'exportTo: ["."]', name="private", namespace="istio-system")
    assert connections(mesh, reviews, "istio-system") == 10


def test_rules_of_one_host_are_merged(mesh: "Mesh", reviews: str) -> None:
    mesh.rule("host: reviews\nsubsets: [{name: v1, labels: {version: v1}}]", name="a", created="2024-01-01T00:00:00Z")
    mesh.rule(limit(8) + "subsets: [{name: v2, labels: {version: v2}}]", name="b", created="2024-01-02T00:00:00Z")
    mesh.rule(limit(9) + "subsets: [{name: v1, labels: {version: v9}}]", name="c", created="2024-01-03T00:00:00Z")
    assert list(mesh.ids()) == [reviews, f"outbound|9080|v1|{REVIEWS}", f"outbound|9080|v2|{REVIEWS}"]
    assert connections(mesh, reviews) == 8, "the oldest rule that has a policy gives it"
    (group,) = mesh.endpoints(f"outbound|9080|v1|{REVIEWS}").localities
    assert len(group.endpoints) == 1, "of two subsets of one name the older is kept"


def test_a_workload_selector_singles_out_clients_of_its_namespace(mesh: "Mesh", reviews: str) -> None:
    mesh.rule(limit(1) + "subsets: [{name: v1, labels: {version: v1}}]", name="all")
    mesh.rule(limit(2) + "workloadSelector: {matchLabels: {app: web}}", name="some")
    assert connections(mesh, reviews, app="web") == 2
    assert connections(mesh, reviews, app="other") == 1
    assert connections(mesh, reviews, "shop", app="web") == 1, "a selector never reaches into another namespace"
    web = replace(mesh.client, labels=(("app", "web"),))
    assert list(mesh.ids(web)) == [reviews], "nothing is inherited from the rule without a selector"


def test_clients_under_the_same_rules_share_clusters(mesh: "Mesh", reviews: str) -> None:
    mesh.rule(limit(1))
    assert mesh.ids(replace(mesh.client, namespace="shop"))[reviews] == mesh.ids()[reviews]


def test_a_changed_rule_runs_the_clusters_of_its_host_alone(mesh: "Mesh", reviews: str) -> None:
    mesh.service("ratings")
    mesh.rule(limit(1))
    for key in mesh.ids().values():
        mesh.db.observe(cluster, key)
    mesh.rule(limit(2))
    mesh.db.runs = {}
    changed = mesh.db.commit()
    assert len(changed) == 1
    expected = ("merged_rule", "policy_blocks", "_dials_original", "locality_setting", "cluster")
    assert mesh.db.runs == dict.fromkeys(expected, 1), "each once, and none for the other host"
