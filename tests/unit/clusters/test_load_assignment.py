"""Endpoints of clusters: subsets, localities, priorities and weights."""

from typing import TYPE_CHECKING

import pytest

from weft_core.ir.endpoint import Locality
from weft_core.ir.load_assignment import LoadAssignment
from weft_core.view.clusters import endpoint_key
from weft_core.view.load_assignment import load_assignment
from weft_core.view.locality import failover_label_keys, in_locality

if TYPE_CHECKING:
    from tests.unit.clusters.conftest import Mesh

NAME = "outbound|80||web.default.svc.cluster.local"
HERE = "r1/z1/s1"


@pytest.fixture
def web(mesh: "Mesh") -> str:
    """A Service with a pod in each of five places, near and far from `HERE`; gives its cluster's name."""
    mesh.service("web")
    for place in (HERE, "r1/z1/s2", "r1/z2/s1", "r2/z1/s1", "r3/z1/s1"):
        mesh.pods("web", {}, locality=place)
    return NAME


def policy(mesh: "Mesh", setting: str, *, outliers: bool = True) -> None:
    detection = "outlierDetection: {consecutive5xxErrors: 1}" if outliers else ""
    mesh.rule(f"""
host: web
trafficPolicy:
  loadBalancer: {{localityLbSetting: {setting}}}
  {detection}
""")


def priorities(assignment: LoadAssignment) -> dict[str, int]:
    return {str(group.locality): group.priority for group in assignment.localities}


def weights(assignment: LoadAssignment) -> dict[str, int | None]:
    return {str(group.locality): group.weight for group in assignment.localities}


def test_a_subset_has_the_endpoints_with_its_labels(mesh: "Mesh", reviews: str) -> None:
    mesh.rule("""
host: reviews
subsets: [{name: v1, labels: {version: v1}}, {name: all}, {name: none, labels: {version: v9}}]
""")
    counts = {
        subset: sum(len(g.endpoints) for g in mesh.endpoints(reviews.replace("||", f"|{subset}|")).localities)
        for subset in ("v1", "all", "none")
    }
    assert counts == {"v1": 1, "all": 2, "none": 0}


def test_endpoints_say_which_workload_they_are(mesh: "Mesh", reviews: str) -> None:
    (group,) = mesh.endpoints(reviews).localities
    assert group.endpoints[0].workload == "reviews-1;default;reviews;v1;Kubernetes"


def test_without_outlier_detection_the_clients_place_does_not_matter(mesh: "Mesh", web: str) -> None:
    assert set(priorities(mesh.endpoints(web, HERE)).values()) == {0}
    key = mesh.ids()[web]
    assert endpoint_key(mesh.db, key, Locality("r1")) == endpoint_key(mesh.db, key, Locality("r2"))


def test_with_outlier_detection_near_endpoints_go_first(mesh: "Mesh", web: str) -> None:
    mesh.rule("{host: web, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 1}}}")
    expected = {HERE: 0, "r1/z1/s2": 1, "r1/z2/s1": 2, "r2/z1/s1": 3, "r3/z1/s1": 3}
    assert priorities(mesh.endpoints(web, HERE)) == expected


def test_priorities_have_no_gaps(mesh: "Mesh", web: str) -> None:
    mesh.rule("{host: web, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 1}}}")
    found = priorities(mesh.endpoints(web, "r9/z1/s1"))
    assert set(found.values()) == {0}
    assert set(priorities(mesh.endpoints(web, "r2/z9")).values()) == {0, 1}


def test_failover_names_the_next_region(mesh: "Mesh", web: str) -> None:
    policy(mesh, "{failover: [{from: r1, to: r3}]}")
    found = priorities(mesh.endpoints(web, HERE))
    assert (found["r3/z1/s1"], found["r2/z1/s1"]) == (3, 4)


def test_failover_needs_outlier_detection(mesh: "Mesh", web: str) -> None:
    policy(mesh, "{failover: [{from: r1, to: r3}]}", outliers=False)
    assert set(priorities(mesh.endpoints(web, HERE)).values()) == {0}


def test_a_rule_can_turn_locality_off(mesh: "Mesh", web: str) -> None:
    policy(mesh, "{enabled: false}")
    assert set(priorities(mesh.endpoints(web, HERE)).values()) == {0}


def test_the_meshs_setting_holds_where_no_rule_speaks(mesh: "Mesh", web: str) -> None:
    mesh.settings("localityLbSetting: {enabled: false}")
    mesh.rule("{host: web, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 1}}}")
    assert set(priorities(mesh.endpoints(web, HERE)).values()) == {0}


def test_failover_priority_by_labels(mesh: "Mesh") -> None:
    mesh.service("web")
    mesh.pods("web", {"version": "v1", "shard": "a"}, locality="r1/a")
    mesh.pods("web", {"version": "v1", "shard": "b"}, locality="r1/b")
    mesh.pods("web", {"version": "v2", "shard": "a"}, locality="r1/c")
    policy(mesh, "{failoverPriority: [version, shard]}")
    client = (("shard", "a"), ("version", "v1"))
    expected = {"r1/a": 0, "r1/b": 1, "r1/c": 2}
    assert priorities(mesh.endpoints(NAME, HERE, client)) == expected, "the first label that differs ends it"
    assert failover_label_keys(mesh.db) == {"version", "shard"}


def test_failover_priority_with_a_given_value(mesh: "Mesh") -> None:
    mesh.service("web")
    mesh.pods("web", {"version": "v1"}, locality="r1/a")
    mesh.pods("web", {"version": "v2"}, locality="r1/b")
    policy(mesh, '{failoverPriority: ["version=v2"]}')
    assert priorities(mesh.endpoints(NAME)) == {"r1/b": 0, "r1/a": 1}
    assert failover_label_keys(mesh.db) == frozenset()


def test_failover_priority_by_topology(mesh: "Mesh", web: str) -> None:
    policy(mesh, "{failoverPriority: [topology.kubernetes.io/region]}")
    found = priorities(mesh.endpoints(web, HERE))
    assert (found["r1/z2/s1"], found["r2/z1/s1"]) == (0, 1)


def test_failover_priority_before_regions(mesh: "Mesh") -> None:
    mesh.service("web")
    mesh.pods("web", {"version": "v2"}, locality="r1/a")
    mesh.pods("web", {"version": "v1"}, locality="r2/a")
    mesh.pods("web", {"version": "v1"}, locality="r1/b")
    policy(mesh, '{failoverPriority: ["version=v1"], failover: [{from: r1, to: r2}]}')
    assert priorities(mesh.endpoints(NAME, "r1/a")) == {"r1/b": 0, "r2/a": 1, "r1/a": 2}


def test_distribute_weighs_localities_without_outlier_detection(mesh: "Mesh", web: str) -> None:
    policy(mesh, '{distribute: [{from: "r1/*", to: {"r1/z1/*": 80, r2: 20}}]}', outliers=False)
    assert weights(mesh.endpoints(web, HERE)) == {HERE: 40, "r1/z1/s2": 40, "r2/z1/s1": 20}
    assert mesh.cluster(web).weighs_localities


def test_distribute_divides_a_share_by_endpoints(mesh: "Mesh") -> None:
    mesh.service("web")
    mesh.pods("web", {}, {}, locality="r1/a")
    mesh.pods("web", {}, locality="r1/b")
    policy(mesh, '{distribute: [{from: "*", to: {"r1/*": 100}}]}')
    assert weights(mesh.endpoints(NAME, HERE)) == {"r1/a": 67, "r1/b": 34}


def test_distribute_leaves_other_clients_all_localities_with_weights(mesh: "Mesh", web: str) -> None:
    policy(mesh, "{distribute: [{from: r9, to: {r1: 100}}]}")
    assert set(weights(mesh.endpoints(web, HERE)).values()) == {1}, "Envoy sends nothing to a locality without a weight"


def test_prefer_close_needs_no_outlier_detection(mesh: "Mesh") -> None:
    mesh.service("web", traffic_distribution="PreferClose")
    mesh.pods("web", {}, locality="r1/z1")
    mesh.pods("web", {}, locality="r1/z2")
    assert priorities(mesh.endpoints(NAME, "r1/z2")) == {"r1/z2": 0, "r1/z1": 1}


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [("*", True), ("r1", True), ("r1/*", True), ("r1/z1", True), ("r1/z1/s1", True), ("r1/z2", False), ("r2/*", False)],
)
def test_locality_patterns(pattern: str, fits: bool) -> None:
    assert in_locality(Locality.parse(HERE), pattern) is fits


def test_one_changed_slice_runs_one_load_assignment(mesh: "Mesh", web: str) -> None:
    mesh.service("other")
    mesh.pods("other", {})
    for key in mesh.ids().values():
        assignment = endpoint_key(mesh.db, key, None)
        assert assignment is not None
        mesh.db.observe(load_assignment, assignment)
    slices = mesh.db.endpoint_slices
    name = ("default", "web-1")
    slices.put(name, None)
    mesh.db.runs = {}
    assert len(mesh.db.commit()) == 1
    assert mesh.db.runs == {"instances": 1, "load_assignment": 1}
