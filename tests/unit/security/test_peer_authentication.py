"""PeerAuthentication: which policy is in force for a port, and what it comes to."""

from collections.abc import Callable

import pytest

from weft_core.registry import Registry
from weft_core.view.peer_authentication import MutualTlsMode, mutual_tls_mode, service_disables_mutual_tls

Make = Callable[..., Registry]
WEB = (("app", "web"),)
STRICT, PERMISSIVE, DISABLE = MutualTlsMode.STRICT, MutualTlsMode.PERMISSIVE, MutualTlsMode.DISABLE


def policy(name: str, spec: str, namespace: str = "shop", created: str = "") -> str:
    return f"""
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: "{created}"}}
spec: {spec}
"""


def mode(db: Registry, port: int = 8080, labels: tuple[tuple[str, str], ...] = WEB) -> MutualTlsMode:
    return mutual_tls_mode(db, "shop", labels, port)


ROOT = policy("root", "{mtls: {mode: STRICT}}", "istio-system")
NAMESPACE = policy("namespace", "{mtls: {mode: DISABLE}}")
WORKLOAD = policy("workload", "{selector: {matchLabels: {app: web}}, mtls: {mode: PERMISSIVE}}")


def test_permissive_where_nobody_says_anything(registry: Make) -> None:
    assert mode(registry()) is PERMISSIVE


@pytest.mark.parametrize(
    ("policies", "expected"),
    [((ROOT,), STRICT), ((ROOT, NAMESPACE), DISABLE), ((ROOT, NAMESPACE, WORKLOAD), PERMISSIVE)],
)
def test_the_most_specific_level_decides(registry: Make, policies: tuple[str, ...], expected: MutualTlsMode) -> None:
    assert mode(registry(*policies)) is expected


def test_a_selector_is_about_its_workloads_only(registry: Make) -> None:
    assert mode(registry(NAMESPACE, WORKLOAD), labels=(("app", "other"),)) is DISABLE


def test_rule_9_selector_policies_in_the_root_namespace_are_ignored(registry: Make) -> None:
    root = policy("a", "{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}}", "istio-system")
    db = registry(root)
    assert mode(db) is PERMISSIVE
    assert mutual_tls_mode(db, "istio-system", WEB, 8080) is PERMISSIVE


def test_rule_9_port_levels_are_about_container_ports(registry: Make) -> None:
    """The mode is asked for by the workload's port; the Service's port 80 has no say."""
    spec = "{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: DISABLE}}}"
    db = registry(policy("a", spec))
    assert mode(db, 8080) is DISABLE
    assert mode(db, 80) is STRICT


def test_rule_9_unset_inherits_from_the_next_level(registry: Make) -> None:
    spec = "{selector: {matchLabels: {app: web}}, mtls: {mode: UNSET}, portLevelMtls: {8080: {mode: UNSET}}}"
    db = registry(ROOT, policy("namespace", "{mtls: {mode: UNSET}}"), policy("workload", spec))
    assert mode(db, 8080) is STRICT
    assert mode(db, 9090) is STRICT


def test_rule_9_an_unset_port_has_the_workloads_mode(registry: Make) -> None:
    spec = "{selector: {matchLabels: {app: web}}, mtls: {mode: DISABLE}, portLevelMtls: {8080: {}}}"
    assert mode(registry(ROOT, policy("a", spec))) is DISABLE


def test_rule_9_the_oldest_wins_within_a_level(registry: Make) -> None:
    db = registry(
        policy("a-younger", "{mtls: {mode: STRICT}}", created="2026-02-01T00:00:00Z"),
        policy("z-older", "{mtls: {mode: DISABLE}}", created="2026-01-01T00:00:00Z"),
    )
    assert mode(db) is DISABLE


def test_an_empty_selector_means_the_namespace(registry: Make) -> None:
    assert mode(registry(policy("a", "{selector: {}, mtls: {mode: STRICT}}")), labels=()) is STRICT


def test_a_namespace_without_mutual_tls_is_never_called_with_it(registry: Make) -> None:
    db = registry(NAMESPACE)
    assert service_disables_mutual_tls(db, "shop")
    assert not service_disables_mutual_tls(db, "other")
    assert service_disables_mutual_tls(registry(policy("a", "{mtls: {mode: DISABLE}}", "istio-system")), "shop")


def test_labels_that_no_policy_selects_by_make_no_difference(registry: Make) -> None:
    """Every replica has its own hash; their modes are computed once all the same."""
    db = registry(WORKLOAD)
    db.runs = {}
    for template in "abc":
        mode(db, labels=(("app", "web"), ("pod-template-hash", template)))
    assert db.runs["workload_policy"] == 1
    assert db.runs["port_mode"] == 1
