"""What users are told about security policies that do not do what they seem to."""

from collections.abc import Callable

import pytest

from weft_core.problems import Code, Problem, Severity
from weft_core.registry import Registry
from weft_core.view.authorization_problems import authorization_policy_problems
from weft_core.view.destination_rule_problems import destination_rule_problems
from weft_core.view.peer_authentication_problems import peer_authentication_problems
from weft_core.view.request_authentication_problems import request_authentication_problems

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
    assert authorization(db) == [(Code.ALLOWS_NOTHING, Severity.INFO, "spec")]


def test_http_attributes_on_a_tcp_port(registry: Make, shop: str) -> None:
    spec = f"{{{WEB}, action: DENY, rules: [{{to: [{{operation: {{paths: [/a], ports: ['5432']}}}}]}}]}}"
    db = registry(shop, policy("AuthorizationPolicy", spec))
    path = "spec.rules[0].to[0].operation.paths"
    assert authorization(db) == [(Code.HTTP_ATTRIBUTE_ON_TCP_PORT, Severity.WARNING, path)]


def test_http_attributes_of_a_mesh_wide_policy_on_the_tcp_ports_of_all_its_namespaces(
    registry: Make, shop: str
) -> None:
    spec = "{action: DENY, rules: [{to: [{operation: {paths: [/a]}}]}]}"
    everywhere = policy("AuthorizationPolicy", spec, namespace="istio-system")
    path = "spec.rules[0].to[0].operation.paths"
    assert authorization(registry(shop, everywhere), "istio-system") == [
        (Code.HTTP_ATTRIBUTE_ON_TCP_PORT, Severity.WARNING, path)
    ]
    without_proxy = shop.replace("{app: web, pod", "{weft.dev/inject: 'false', app: web, pod")
    assert without_proxy != shop
    assert authorization(registry(without_proxy, everywhere), "istio-system") == []


GATEWAY_POD = """
apiVersion: v1
kind: Pod
metadata: {name: edge-0, namespace: shop, labels: {istio: edge}}
spec: {containers: [{name: istio-proxy}]}
---
apiVersion: v1
kind: Service
metadata: {name: edge, namespace: shop}
spec: {selector: {istio: edge}, ports: [{name: https, port: 443}]}
"""


@pytest.mark.parametrize(("mode", "told"), [("SIMPLE, credentialName: a", False), ("PASSTHROUGH", True)])
def test_https_that_ends_at_a_gateway_has_http_attributes(registry: Make, mode: str, told: bool) -> None:
    gateway = f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge, namespace: shop}}
spec:
  selector: {{istio: edge}}
  servers: [{{port: {{number: 443, name: a, protocol: HTTPS}}, hosts: [a.test], tls: {{mode: {mode}}}}}]
"""
    spec = "{selector: {matchLabels: {istio: edge}}, rules: [{to: [{operation: {hosts: [a.test]}}]}]}"
    found = authorization(registry(GATEWAY_POD, gateway, policy("AuthorizationPolicy", spec)))
    assert (Code.HTTP_ATTRIBUTE_ON_TCP_PORT in [code for code, _, _ in found]) is told


def test_an_authorization_selector_that_selects_nothing(registry: Make, shop: str) -> None:
    db = registry(
        shop, policy("AuthorizationPolicy", "{selector: {matchLabels: {app: wbe}}, action: DENY, rules: [{}]}")
    )
    assert authorization(db) == [(Code.NO_MATCHING_WORKLOADS, Severity.WARNING, "spec.selector.matchLabels")]


def test_a_gateway_that_no_pod_belongs_to(registry: Make, shop: str) -> None:
    target = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: web}]"
    refused = policy("AuthorizationPolicy", f"{{{target}, action: DENY, rules: [{{}}]}}")
    assert authorization(registry(shop, refused)) == [
        (Code.NO_MATCHING_WORKLOADS, Severity.WARNING, "spec.targetRefs[0].name")
    ]
    labelled = shop.replace("{app: web, pod", "{gateway.networking.k8s.io/gateway-name: web, app: web, pod")
    assert authorization(registry(labelled, refused)) == []


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("to: [{operation: {ports: ['8080', '80']}}]", "to[0].operation.ports[1]"),
        ("to: [{operation: {notPorts: ['80']}}]", "to[0].operation.notPorts[0]"),
        ("when: [{key: destination.port, values: ['80']}]", "when[0].values[0]"),
    ],
)
@pytest.mark.parametrize("namespace", ["shop", "istio-system"])
def test_a_policy_that_names_the_services_port(registry: Make, shop: str, namespace: str, rule: str, path: str) -> None:
    """Such a DENY never fires: what arrives has the container's port."""
    db = registry(shop, policy("AuthorizationPolicy", f"{{{WEB}, action: DENY, rules: [{{{rule}}}]}}", namespace))
    assert authorization(db, namespace) == [
        (Code.REFERENCED_RESOURCE_NOT_FOUND, Severity.WARNING, f"spec.rules[0].{path}")
    ]
    [problem] = authorization_policy_problems(db, (namespace, "a"))
    assert problem.fix == "write the container's port, 8080"


def test_a_port_that_is_no_services_may_be_the_applications_own(registry: Make, shop: str) -> None:
    rules = "rules: [{to: [{operation: {ports: ['9090', '8080', '5432']}}]}]"
    assert authorization(registry(shop, policy("AuthorizationPolicy", f"{{{WEB}, action: DENY, {rules}}}"))) == []


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
    assert peers(db, name="b") == [(Code.SHADOWED_POLICY, Severity.WARNING, "spec")]


def test_a_port_level_that_names_the_services_port(registry: Make, shop: str) -> None:
    spec = f"{{{WEB}, portLevelMtls: {{80: {{mode: DISABLE}}, 8080: {{mode: STRICT}}}}}}"
    db = registry(shop, policy("PeerAuthentication", spec))
    assert peers(db) == [(Code.REFERENCED_RESOURCE_NOT_FOUND, Severity.WARNING, "spec.portLevelMtls.80")]
    (problem,) = peer_authentication_problems(db, ("shop", "a"))
    assert problem.fix == "write the container's port, 8080"


def rules(db: Registry) -> list[tuple[str, Severity, str]]:
    return _short(destination_rule_problems(db, ("shop", "web")))


def rule(policy: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: web, namespace: shop}}
spec: {{host: web, trafficPolicy: {policy}}}
"""


CONFLICT = [(Code.MTLS_POLICY_CONFLICT, Severity.WARNING, "spec.trafficPolicy.tls")]


@pytest.mark.parametrize(
    ("client", "server"), [("DISABLE", "STRICT"), ("SIMPLE", "STRICT"), ("ISTIO_MUTUAL", "DISABLE")]
)
@pytest.mark.parametrize("namespace", ["shop", "istio-system"])
def test_a_tls_mode_that_the_other_side_does_not_take(
    registry: Make, shop: str, client: str, server: str, namespace: str
) -> None:
    peers = policy("PeerAuthentication", f"{{mtls: {{mode: {server}}}}}", namespace)
    assert rules(registry(shop, rule(f"{{tls: {{mode: {client}}}}}"), peers)) == CONFLICT


@pytest.mark.parametrize(("client", "server"), [("DISABLE", "PERMISSIVE"), ("ISTIO_MUTUAL", "STRICT")])
def test_a_tls_mode_that_the_other_side_takes(registry: Make, shop: str, client: str, server: str) -> None:
    peers = policy("PeerAuthentication", f"{{mtls: {{mode: {server}}}}}")
    assert rules(registry(shop, rule(f"{{tls: {{mode: {client}}}}}"), peers)) == []


def test_a_port_level_is_judged_by_itself(registry: Make, shop: str) -> None:
    strict = policy("PeerAuthentication", f"{{{WEB}, portLevelMtls: {{8080: {{mode: STRICT}}}}}}")
    plain = "{tls: {mode: DISABLE}, portLevelSettings: [{port: {number: 80}, tls: {mode: ISTIO_MUTUAL}}]}"
    assert rules(registry(shop, rule(plain), strict)) == []
    clear = "{portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}]}"
    (problem,) = rules(registry(shop, rule(clear), strict))
    assert problem[2] == "spec.trafficPolicy.portLevelSettings[0].tls"
    other = "{portLevelSettings: [{port: {number: 5432}, tls: {mode: DISABLE}}]}"
    assert rules(registry(shop, rule(other), strict)) == []


def test_claims_of_tokens_that_nobody_verifies(registry: Make, shop: str) -> None:
    asks = policy(
        "AuthorizationPolicy",
        "{rules: [{from: [{source: {requestPrincipals: ['*']}}]}, "
        "{when: [{key: 'request.auth.claims[group]', values: [a]}], to: [{operation: {ports: ['8080']}}]}]}",
    )
    claims = [found for found in authorization(registry(shop, asks)) if found[0] == Code.CLAIMS_WITHOUT_AUTHENTICATION]
    assert [path for _, _, path in claims] == [
        "spec.rules[0].from[0].source.requestPrincipals",
        "spec.rules[1].when[0].key",
    ]
    issuer = "{jwtRules: [{issuer: https://example.com, jwksUri: https://example.com/keys}]}"
    verified = authorization(registry(shop, asks, policy("RequestAuthentication", issuer, "istio-system", "tokens")))
    assert Code.CLAIMS_WITHOUT_AUTHENTICATION not in {code for code, _, _ in verified}


def test_a_rule_that_keeps_to_http_ports_does_not_touch_tcp(registry: Make, shop: str) -> None:
    spec = f"{{{WEB}, action: DENY, rules: [{{to: [{{operation: {{paths: [/a], ports: ['8080']}}}}]}}]}}"
    assert authorization(registry(shop, policy("AuthorizationPolicy", spec))) == []


def test_selectors_are_not_judged_where_no_pods_are_known(registry: Make) -> None:
    wrong = "selector: {matchLabels: {app: wbe}}"
    db = registry(
        policy("AuthorizationPolicy", f"{{{wrong}, action: DENY, rules: [{{}}]}}"),
        policy("PeerAuthentication", f"{{{wrong}, mtls: {{mode: STRICT}}}}"),
    )
    assert authorization(db) == peers(db) == []


def test_a_selector_in_the_root_namespace_looks_everywhere(registry: Make, shop: str) -> None:
    spec = "{%s, action: DENY, rules: [{}]}"
    right = registry(shop, policy("AuthorizationPolicy", spec % WEB, "istio-system"))
    assert authorization(right, "istio-system") == []
    wrong = registry(shop, policy("AuthorizationPolicy", spec % WEB.replace("web", "wbe"), "istio-system"))
    assert [code for code, _, _ in authorization(wrong, "istio-system")] == [Code.NO_MATCHING_WORKLOADS]


def test_tokens_at_a_workload_without_http(registry: Make, shop: str) -> None:
    tokens = policy(
        "RequestAuthentication",
        f"{{{WEB}, jwtRules: [{{issuer: https://example.com, jwksUri: https://example.com/keys}}]}}",
    )

    def codes(db: Registry) -> set[str]:
        return {problem.code for problem in request_authentication_problems(db, ("shop", "a"))}

    assert Code.JWT_ON_TCP_PORT not in codes(registry(shop, tokens))
    tcp = shop.replace("name: http", "name: tcp").replace("name: unsaid", "name: tcp-other")
    assert Code.JWT_ON_TCP_PORT in codes(registry(tcp, tokens))
