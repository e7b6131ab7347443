"""What a DestinationRule is told about its surroundings."""

from typing import TYPE_CHECKING

import pytest

from weft_core.problems import Code

if TYPE_CHECKING:
    from tests.unit.clusters.conftest import Mesh

ROUTE = """
hosts: [reviews]
http: [{route: [{destination: {host: reviews.default.svc.cluster.local, subset: v1}}]}]
"""


def codes(mesh: "Mesh", name: str = "rule", namespace: str = "default") -> list[tuple[str, str]]:
    return [(problem.code, problem.path) for problem in mesh.problems(name, namespace)]


def test_a_sound_rule_has_none(mesh: "Mesh", reviews: str) -> None:
    mesh.rule("{host: reviews, subsets: [{name: v1, labels: {version: v1}}]}")
    assert codes(mesh) == []


@pytest.mark.parametrize("host", ["review", "reviews.other", "*.com"])
def test_a_host_that_nobody_declares(mesh: "Mesh", reviews: str, host: str) -> None:
    mesh.rule(f'host: "{host}"')
    assert codes(mesh) == [(Code.UNKNOWN_DESTINATION_RULE_HOST, "spec.host")]


def test_wildcards_and_entries_are_known_hosts(mesh: "Mesh", reviews: str) -> None:
    mesh.rule('host: "*.svc.cluster.local"')
    assert codes(mesh) == []
    mesh.entry("{hosts: [a.com], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}")
    mesh.rule("host: a.com")
    assert codes(mesh) == []


def test_a_subset_that_selects_no_pods(mesh: "Mesh", reviews: str) -> None:
    mesh.rule("{host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v9, labels: {version: v9}}]}")
    assert codes(mesh) == [(Code.SUBSET_SELECTS_NO_PODS, "spec.subsets[1].labels")]
    mesh.pods("reviews", {"version": "v9"})
    assert codes(mesh) == []


def test_subsets_of_a_service_without_pods_are_not_blamed(mesh: "Mesh") -> None:
    mesh.service("web")
    mesh.rule("{host: web, subsets: [{name: v1, labels: {version: v1}}]}")
    assert codes(mesh) == []


def test_a_callers_rule_that_takes_away_subsets_in_use(mesh: "Mesh", reviews: str) -> None:
    mesh.rule("{host: reviews, subsets: [{name: v1, labels: {version: v1}}]}")
    mesh.rule("host: reviews.default.svc.cluster.local", name="own", namespace="shop")
    assert codes(mesh, "own", "shop") == [], "nobody uses the subset"
    mesh.route(ROUTE)
    assert codes(mesh, "own", "shop") == [(Code.SHADOWED_DESTINATION_RULE, "spec.host")]
    mesh.rule(
        "{host: reviews.default.svc.cluster.local, subsets: [{name: v1, labels: {version: v1}}]}",
        name="own",
        namespace="shop",
    )
    assert codes(mesh, "own", "shop") == []


def test_the_younger_of_two_rules_for_a_host_is_told_what_is_not_in_force(mesh: "Mesh", reviews: str) -> None:
    policy = "trafficPolicy: {loadBalancer: {simple: RANDOM}}"
    mesh.rule(f"{{host: reviews, {policy}, subsets: [{{name: v1}}]}}", name="a")
    mesh.rule(f"{{host: reviews, {policy}, subsets: [{{name: v2}}, {{name: v1}}]}}", name="b")
    assert codes(mesh, "a") == []
    assert codes(mesh, "b") == [
        (Code.SHADOWED_DESTINATION_RULE, "spec.trafficPolicy"),
        (Code.SHADOWED_DESTINATION_RULE, "spec.subsets[1].name"),
    ]


def test_rules_with_another_export_to_are_not_merged(mesh: "Mesh", reviews: str) -> None:
    mesh.rule("host: reviews", name="a")
    mesh.rule('{host: reviews, exportTo: ["."]}', name="b")
    assert codes(mesh, "b") == [(Code.SHADOWED_DESTINATION_RULE, "spec.host")]


def test_unsupported_fields_are_named(mesh: "Mesh", reviews: str) -> None:
    mesh.rule("{host: reviews, trafficPolicy: {proxyProtocol: {version: V2}, retryBudget: {budgetInterval: 1s}}}")
    assert codes(mesh) == [
        (Code.UNSUPPORTED_FIELD, "spec.trafficPolicy.proxyProtocol"),
        (Code.UNSUPPORTED_FIELD, "spec.trafficPolicy.retryBudget.budgetInterval"),
    ]


def test_localities_of_resolved_names_do_not_count(mesh: "Mesh") -> None:
    mesh.entry("{hosts: [a.com], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}")
    setting = "loadBalancer: {localityLbSetting: {distribute: [{from: r1, to: {r1: 100}}]}}"
    mesh.rule(f"{{host: a.com, trafficPolicy: {{{setting}}}}}")
    assert codes(mesh) == [(Code.UNSUPPORTED_FIELD, "spec.trafficPolicy.loadBalancer.localityLbSetting")]


def test_messages_name_the_fix(mesh: "Mesh") -> None:
    mesh.rule("host: nowhere")
    (problem,) = mesh.problems()
    assert "nowhere.default.svc.cluster.local" in problem.message
    assert problem.fix
