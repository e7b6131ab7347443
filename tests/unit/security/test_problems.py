"""What users are told about security policies that do not do what they seem to."""

from collections.abc import Callable

from weft_core.problems import Code, Problem, Severity
from weft_core.registry import Registry
from weft_core.view.authorization_problems import authorization_policy_problems
from weft_core.view.peer_authentication_problems import peer_authentication_problems

Make = Callable[..., Registry]
WEB = "selector: {matchLabels: {app: web}}"


def policy(kind: str, spec: str, namespace: str = "shop", name: str = "a") -> str:
    return f"""
apiVersion: security.istio.io/v1
kind: {kind}
metadata: {{name: {name}, namespace: {namespace}}}
spec: {spec}
"""


def authorization(db: Registry, namespace: str = "shop") -> list[tuple[str, Severity, str]]:
    return _short(authorization_policy_problems(db, (namespace, "a")))


def peers(db: Registry, namespace: str = "shop", name: str = "a") -> list[tuple[str, Severity, str]]:
    return _short(peer_authentication_problems(db, (namespace, name)))


def _short(problems: tuple[Problem, ...]) -> list[tuple[str, Severity, str]]:
    assert all(problem.message and problem.fix for problem in problems)
    return [(problem.code, problem.severity, problem.path) for problem in problems]


def test_allow_nothing_is_worth_a_notice(registry: Make) -> None:
    db = registry(policy("AuthorizationPolicy", "{}"))
    assert authorization(db) == [(Code.SCHEMA_WARNING, Severity.INFO, "spec")]


def test_http_attributes_on_a_tcp_port(registry: Make, shop: str) -> None:
    spec = f"{{{WEB}, action: DENY, rules: [{{to: [{{operation: {{paths: [/a], ports: ['5432']}}}}]}}]}}"
    db = registry(shop, policy("AuthorizationPolicy", spec))
    path = "spec.rules[0].to[0].operation.paths"
    assert authorization(db) == [(Code.HTTP_ATTRIBUTE_ON_TCP_PORT, Severity.WARNING, path)]


def test_an_authorization_selector_that_selects_nothing(registry: Make, shop: str) -> None:
    db = registry(
        shop, policy("AuthorizationPolicy", "{selector: {matchLabels: {app: wbe}}, action: DENY, rules: [{}]}")
    )
    assert authorization(db) == [(Code.INEFFECTIVE_SELECTOR, Severity.WARNING, "spec.selector.matchLabels")]


def test_custom_is_refused_aloud(registry: Make) -> None:
    db = registry(policy("AuthorizationPolicy", "{action: CUSTOM, provider: {name: x}, rules: [{}]}"))
    assert authorization(db) == [(Code.UNSUPPORTED_FIELD, Severity.ERROR, "spec.action")]


def test_rule_9_a_selector_in_the_root_namespace_is_told(registry: Make) -> None:
    db = registry(policy("PeerAuthentication", f"{{{WEB}, mtls: {{mode: STRICT}}}}", "istio-system"))
    assert peers(db, "istio-system") == [(Code.INEFFECTIVE_SELECTOR, Severity.WARNING, "spec.selector")]


def test_a_younger_policy_is_told_who_is_in_force(registry: Make) -> None:
    strict = "{mtls: {mode: STRICT}}"
    db = registry(policy("PeerAuthentication", strict), policy("PeerAuthentication", strict, name="b"))
    assert peers(db) == []
    assert peers(db, name="b") == [(Code.INEFFECTIVE_SELECTOR, Severity.WARNING, "spec")]


def test_a_port_level_that_names_the_services_port(registry: Make, shop: str) -> None:
    spec = f"{{{WEB}, portLevelMtls: {{80: {{mode: DISABLE}}, 8080: {{mode: STRICT}}}}}}"
    db = registry(shop, policy("PeerAuthentication", spec))
    assert peers(db) == [(Code.REFERENCED_RESOURCE_NOT_FOUND, Severity.WARNING, "spec.portLevelMtls.80")]
    (problem,) = peer_authentication_problems(db, ("shop", "a"))
    assert problem.fix == "write the container's port, 8080"


def test_strict_and_a_rule_that_calls_in_clear(registry: Make, shop: str) -> None:
    rule = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec: {host: web, trafficPolicy: {tls: {mode: DISABLE}}}
"""
    db = registry(shop, rule, policy("PeerAuthentication", "{mtls: {mode: STRICT}}"))
    assert set(peers(db)) == {(Code.MTLS_POLICY_CONFLICT, Severity.WARNING, "spec.mtls")}
    assert peers(registry(shop, rule, policy("PeerAuthentication", "{mtls: {mode: PERMISSIVE}}"))) == []
