"""PeerAuthentication, RequestAuthentication and AuthorizationPolicy: what is accepted, and what is refused."""

# ruff: noqa: E501  (tables of YAML read best with a case on a line)

from collections.abc import Callable

import pytest

from weft_core.model.authorization_policy import AuthorizationPolicy
from weft_core.model.decode import Decoded, decode
from weft_core.model.peer_authentication import MutualTLSMode, PeerAuthentication

Listed = Callable[[str, str], list[tuple[str, str, str]]]


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("PeerAuthentication", "{}"),
        ("PeerAuthentication", "{mtls: {mode: STRICT}}"),
        ("PeerAuthentication", "{selector: {matchLabels: {a: b}}, mtls: {}, portLevelMtls: {8080: {mode: DISABLE}}}"),
        ("RequestAuthentication", "{}"),
        (
            "RequestAuthentication",
            "{selector: {matchLabels: {a: b}}, jwtRules: [{issuer: i, audiences: [a], jwksUri: 'https://i/keys', "
            "fromHeaders: [{name: x, prefix: 'T '}], fromParams: [p], fromCookies: [c], outputPayloadToHeader: h, "
            "forwardOriginalToken: true, outputClaimToHeaders: [{header: x-a, claim: a.b}], timeout: 5s, "
            "spaceDelimitedClaims: [s]}]}",
        ),
        ("RequestAuthentication", "{jwtRules: [{issuer: i, jwks: '{\"keys\": []}'}]}"),
        ("AuthorizationPolicy", "{}"),
        ("AuthorizationPolicy", "{rules: [{}]}"),
        ("AuthorizationPolicy", "{action: DENY, rules: [{}]}"),
        (
            "AuthorizationPolicy",
            "{selector: {matchLabels: {a: b}}, action: ALLOW, rules: [{from: [{source: {principals: ['*/sa/x'], "
            "notNamespaces: [b], ipBlocks: [10.0.0.0/8], notRemoteIpBlocks: [1.2.3.4], requestPrincipals: ['*'], "
            "trustDomains: [t]}}, {source: {serviceAccounts: [ns/sa]}}], to: [{operation: {hosts: ['*.a'], ports: ['80'], "
            "methods: [GET], paths: [/a*, '/b/{*}/c/{**}'], notPaths: [/x]}}], when: [{key: 'request.headers[x-token]', "
            "values: [a*]}, {key: 'request.auth.claims[a][b]', notValues: [c]}, {key: source.ip, values: [10.0.0.0/8]}, "
            "{key: 'experimental.envoy.filters.a.b[c]', values: [d]}]}]}",
        ),
        (
            "AuthorizationPolicy",
            "{action: CUSTOM, provider: {name: p}, rules: [{to: [{operation: {paths: [/a]}}]}]}",
        ),
        ("AuthorizationPolicy", "{targetRefs: [{kind: Service, name: a}], rules: [{}]}"),
        ("AuthorizationPolicy", "{targetRefs: [{group: core, kind: Service, name: a}], rules: [{}]}"),
        (
            "RequestAuthentication",
            "{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a}], "
            "jwtRules: [{issuer: i, jwks: '{\"keys\": []}'}]}",
        ),
    ],
)
def test_accepted(warnings: Listed, kind: str, spec: str) -> None:
    assert warnings(kind, spec) == []


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("kind: Gateway, name: edge, namespace: other", "namespace"),
        ("kind: Gateway, name: edge, group: networking.istio.io", "group"),
        ("kind: Service, name: web, group: apps", "group"),
    ],
)
def test_targets_that_mean_another_object_are_refused(errors: Listed, target: str, field: str) -> None:
    [(path, message, fix)] = errors("AuthorizationPolicy", f"{{targetRefs: [{{{target}}}], rules: [{{}}]}}")
    assert path == f"spec.targetRefs[0].{field}"
    assert message
    assert fix


def test_a_policy_without_spec_is_an_empty_one() -> None:
    decoded = decode(
        {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "nothing"}}
    )
    assert decoded.object is not None
    assert decoded.object.spec == AuthorizationPolicy()  # type: ignore[union-attr]


@pytest.mark.parametrize("key", ["8080", '"8080"'])
def test_port_levels_may_be_numbers_or_text(read: Callable[[str, str], Decoded], key: str) -> None:
    decoded = read(
        "PeerAuthentication", f"{{selector: {{matchLabels: {{a: b}}}}, portLevelMtls: {{{key}: {{mode: DISABLE}}}}}}"
    )
    spec = decoded.object.spec  # type: ignore[union-attr]
    assert isinstance(spec, PeerAuthentication)
    assert spec.port_level_mtls[8080].mode is MutualTLSMode.DISABLE


REFUSED = {
    "ports without selector": (
        "PeerAuthentication",
        "{portLevelMtls: {80: {mode: STRICT}}}",
        "spec.portLevelMtls",
        "needs a selector",
    ),
    "port name": (
        "PeerAuthentication",
        "{selector: {matchLabels: {a: b}}, portLevelMtls: {http: {mode: STRICT}}}",
        "spec.portLevelMtls.http",
        "not a port number",
    ),
    "labels for matchLabels": (
        "PeerAuthentication",
        "{selector: {labels: {a: b}}}",
        "spec.selector.labels",
        "unknown field",
    ),
    "two key sets": (
        "RequestAuthentication",
        "{jwtRules: [{issuer: a, jwks: '{\"keys\": []}', jwksUri: 'https://a'}]}",
        "spec.jwtRules[0].jwksUri",
        "exclude each other",
    ),
    "bad key set": (
        "RequestAuthentication",
        "{jwtRules: [{issuer: a, jwks: 'x'}]}",
        "spec.jwtRules[0].jwks",
        "not a JSON",
    ),
    "bad url": (
        "RequestAuthentication",
        "{jwtRules: [{issuer: a, jwksUri: 'x'}]}",
        "spec.jwtRules[0].jwksUri",
        "no URL",
    ),
    "no issuer": ("RequestAuthentication", "{jwtRules: [{}]}", "spec.jwtRules[0].issuer", "no way to find the keys"),
    "empty source": (
        "AuthorizationPolicy",
        "{rules: [{from: [{source: {}}]}]}",
        "spec.rules[0].from[0].source",
        "empty",
    ),
    "empty operation": (
        "AuthorizationPolicy",
        "{rules: [{to: [{operation: {}}]}]}",
        "spec.rules[0].to[0].operation",
        "empty",
    ),
    "empty from": ("AuthorizationPolicy", "{rules: [{from: []}]}", "spec.rules[0].from", "restrict nothing"),
    "empty to": ("AuthorizationPolicy", "{rules: [{to: []}]}", "spec.rules[0].to", "restrict nothing"),
    "empty value": (
        "AuthorizationPolicy",
        "{rules: [{from: [{source: {namespaces: ['']}}]}]}",
        "spec.rules[0].from[0].source.namespaces[0]",
        "it is empty",
    ),
    "ip block": (
        "AuthorizationPolicy",
        "{rules: [{from: [{source: {ipBlocks: [here]}}]}]}",
        "spec.rules[0].from[0].source.ipBlocks[0]",
        "neither an IP address nor a range",
    ),
    "accounts and principals": (
        "AuthorizationPolicy",
        "{rules: [{from: [{source: {serviceAccounts: [a], principals: [b]}}]}]}",
        "spec.rules[0].from[0].source.serviceAccounts",
        "exclude each other",
    ),
    "port": (
        "AuthorizationPolicy",
        "{rules: [{to: [{operation: {ports: ['http']}}]}]}",
        "spec.rules[0].to[0].operation.ports[0]",
        "not a port",
    ),
    "path template": (
        "AuthorizationPolicy",
        "{rules: [{to: [{operation: {paths: ['/a/{id}']}}]}]}",
        "spec.rules[0].to[0].operation.paths[0]",
        "not a path template",
    ),
    "unknown key": (
        "AuthorizationPolicy",
        "{rules: [{when: [{key: source.colour, values: [a]}]}]}",
        "spec.rules[0].when[0].key",
        "not an attribute",
    ),
    "header without name": (
        "AuthorizationPolicy",
        "{rules: [{when: [{key: request.headers, values: [a]}]}]}",
        "spec.rules[0].when[0].key",
        "not an attribute",
    ),
    "no values": (
        "AuthorizationPolicy",
        "{rules: [{when: [{key: source.ip}]}]}",
        "spec.rules[0].when[0]",
        "no values",
    ),
    "value of an address": (
        "AuthorizationPolicy",
        "{rules: [{when: [{key: source.ip, values: [a]}]}]}",
        "spec.rules[0].when[0].values[0]",
        "neither",
    ),
    "custom without provider": (
        "AuthorizationPolicy",
        "{action: CUSTOM, rules: [{}]}",
        "spec.provider",
        "CUSTOM needs a provider",
    ),
    "provider without custom": (
        "AuthorizationPolicy",
        "{provider: {name: a}, rules: [{}]}",
        "spec.provider",
        "ALLOW has no provider",
    ),
    "custom with identities": (
        "AuthorizationPolicy",
        "{action: CUSTOM, provider: {name: a}, rules: [{from: [{source: {namespaces: [a]}}]}]}",
        "spec.rules[0].from[0].source.namespaces",
        "cannot be used with CUSTOM",
    ),
    "deny nothing": ("AuthorizationPolicy", "{action: DENY}", "spec.rules", "matches nothing"),
    "selector and target": (
        "AuthorizationPolicy",
        "{selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, name: a}]}",
        "spec.targetRefs",
        "exclude each other",
    ),
}


@pytest.mark.parametrize(("kind", "spec", "path", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(errors: Listed, kind: str, spec: str, path: str, words: str) -> None:
    [(at, message, fix)] = errors(kind, spec)
    assert at == path
    assert words in message
    assert fix


def test_a_star_that_is_taken_literally_is_warned_about(warnings: Listed) -> None:
    spec = "{rules: [{from: [{source: {namespaces: [a*b]}}]}]}"
    assert [path for path, *_ in warnings("AuthorizationPolicy", spec)] == [
        "spec.rules[0].from[0].source.namespaces[0]"
    ]
