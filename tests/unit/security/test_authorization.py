"""AuthorizationPolicy: which policies apply, in which order, and what their rules come to."""

from collections.abc import Callable

import pytest

from weft_core.ir.rbac import (
    AllOf,
    AnyOf,
    Anything,
    DestinationPort,
    DirectRemoteIp,
    Header,
    Not,
    PeerName,
    Rbac,
    RbacAction,
)
from weft_core.ir.string_match import MatchKind, StringMatch
from weft_core.registry import Registry
from weft_core.view.authorization import authorization

Make = Callable[..., Registry]
WEB = (("app", "web"),)


def policy(spec: str, name: str = "a", namespace: str = "shop", annotations: str = "{}") -> str:
    return f"""
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: {name}, namespace: {namespace}, annotations: {annotations}}}
spec: {spec}
"""


def http(db: Registry) -> tuple[Rbac, ...]:
    return authorization(db, "shop", WEB, True)


def tcp(db: Registry) -> tuple[Rbac, ...]:
    return authorization(db, "shop", WEB, False)


def test_no_policy_no_filter(registry: Make) -> None:
    assert http(registry()) == ()


def test_filters_come_in_the_order_custom_audit_deny_allow(registry: Make) -> None:
    db = registry(
        policy("{action: ALLOW, rules: [{}]}", "a"),
        policy("{action: DENY, rules: [{}]}", "b"),
        policy("{action: AUDIT, rules: [{}]}", "c"),
        policy("{action: CUSTOM, provider: {name: x}, rules: [{}]}", "d"),
    )
    assert [each.action for each in http(db)] == [
        RbacAction.DENY,
        RbacAction.LOG,
        RbacAction.DENY,
        RbacAction.ALLOW,
    ]


def test_policies_of_the_namespace_and_of_the_root_apply_together(registry: Make) -> None:
    spec = "{action: DENY, rules: [{}]}"
    db = registry(policy(spec, "a"), policy(spec, "b", "istio-system"), policy(spec, "c", "elsewhere"))
    (deny,) = http(db)
    assert [each.name for each in deny.enforced or ()] == [
        "ns[istio-system]-policy[b]-rule[0]",
        "ns[shop]-policy[a]-rule[0]",
    ]


def test_a_selector_in_the_root_namespace_picks_workloads_everywhere(registry: Make) -> None:
    selecting = "{{selector: {{matchLabels: {{app: {0}}}}}, action: DENY, rules: [{{}}]}}"
    db = registry(
        policy(selecting.format("web"), "a", "istio-system"), policy(selecting.format("other"), "b", "istio-system")
    )
    (deny,) = http(db)
    assert len(deny.enforced or ()) == 1


@pytest.mark.parametrize("spec", ["{}", "{action: ALLOW}", "{rules: []}"])
def test_rule_8_allow_without_rules_refuses_everything(registry: Make, spec: str) -> None:
    for filters in (http, tcp):
        (allow,) = filters(registry(policy(spec)))
        assert (allow.action, allow.enforced) == (RbacAction.ALLOW, ())


def test_an_empty_rule_allows_everything(registry: Make) -> None:
    (allow,) = http(registry(policy("{rules: [{}]}")))
    (rule,) = allow.enforced or ()
    assert (rule.principal, rule.permission) == (Anything(), Anything())


@pytest.mark.parametrize(
    "rule",
    [
        "{to: [{operation: {paths: [/admin]}}]}",
        "{to: [{operation: {notMethods: [GET]}}]}",
        "{to: [{operation: {hosts: [a.com], ports: ['80']}}]}",
        "{from: [{source: {requestPrincipals: ['*']}}]}",
        "{when: [{key: 'request.headers[x]', values: [y]}]}",
        "{when: [{key: 'request.auth.claims[x]', notValues: [y]}]}",
    ],
)
def test_rule_8_allow_rules_with_http_attributes_never_hold_on_tcp(registry: Make, rule: str) -> None:
    db = registry(policy(f"{{action: ALLOW, rules: [{rule}, {{}}]}}"))
    (allow,) = tcp(db)
    assert [each.name for each in allow.enforced or ()] == ["ns[shop]-policy[a]-rule[1]"]
    assert len(http(db)[0].enforced or ()) == 2


def test_rule_8_an_allow_of_http_attributes_alone_refuses_all_of_a_tcp_port(registry: Make) -> None:
    (allow,) = tcp(registry(policy("{rules: [{to: [{operation: {paths: [/a]}}]}]}")))
    assert allow.enforced == ()


def test_rule_8_deny_rules_lose_their_http_attributes_on_tcp_and_widen(registry: Make) -> None:
    caller, request = "{source: {ipBlocks: [10.0.0.0/8]}}", "{operation: {paths: [/a], ports: ['80']}}"
    spec = f"{{action: DENY, rules: [{{from: [{caller}], to: [{request}]}}]}}"
    (deny,) = tcp(registry(policy(spec)))
    (rule,) = deny.enforced or ()
    assert rule.principal == AnyOf((AnyOf((DirectRemoteIp("10.0.0.0/8"),)),))
    assert rule.permission == AnyOf((AnyOf((DestinationPort(80),)),))


@pytest.mark.parametrize("action", ["DENY", "AUDIT"])
def test_rule_8_a_deny_of_paths_alone_blocks_a_tcp_port(registry: Make, action: str) -> None:
    (found,) = tcp(registry(policy(f"{{action: {action}, rules: [{{to: [{{operation: {{paths: [/a]}}}}]}}]}}")))
    (rule,) = found.enforced or ()
    assert (rule.principal, rule.permission) == (Anything(), AnyOf((Anything(),)))


def test_fields_are_anded_values_are_alternatives_and_not_negates(registry: Make) -> None:
    one, other = "{methods: [GET, 'P*'], notPaths: [/ok]}", "{ports: ['1']}"
    spec = f"{{action: DENY, rules: [{{to: [{{operation: {one}}}, {{operation: {other}}}]}}]}}"
    (deny,) = http(registry(policy(spec)))
    (rule,) = deny.enforced or ()
    assert isinstance(rule.permission, AnyOf)
    first, second = rule.permission.conditions
    assert isinstance(first, AllOf)
    methods, paths = first.conditions
    get, put = StringMatch(MatchKind.EXACT, "GET"), StringMatch(MatchKind.PREFIX, "P")
    assert methods == AnyOf((Header(":method", get), Header(":method", put)))
    assert isinstance(paths, Not)
    assert second == AnyOf((DestinationPort(1),))


def test_conditions_join_the_side_that_they_are_about(registry: Make) -> None:
    conditions = "{key: source.ip, values: [10.0.0.1]}, {key: destination.port, notValues: ['80']}"
    spec = f"{{action: DENY, rules: [{{when: [{conditions}]}}]}}"
    (deny,) = http(registry(policy(spec)))
    (rule,) = deny.enforced or ()
    assert rule.principal == AnyOf((DirectRemoteIp("10.0.0.1"),))
    assert rule.permission == Not(AnyOf((DestinationPort(80),)))


def test_a_dry_run_is_counted_and_not_enforced(registry: Make) -> None:
    dry = '{istio.io/dry-run: "true"}'
    db = registry(policy("{action: DENY, rules: [{}]}", "a", annotations=dry), policy("{}", "b", annotations=dry))
    deny, allow = http(db)
    assert (deny.enforced, len(deny.trial or ())) == (None, 1)
    assert (allow.enforced, allow.trial) == (None, ())


def test_custom_refuses_what_it_covers(registry: Make) -> None:
    """Nobody is asked yet, and what protects must not be left out."""
    (deny,) = http(
        registry(policy("{action: CUSTOM, provider: {name: x}, rules: [{to: [{operation: {paths: [/a]}}]}]}"))
    )
    (rule,) = deny.enforced or ()
    assert deny.action is RbacAction.DENY
    assert rule.name.endswith("-deny-due-to-bad-CUSTOM-action")


def test_principals_hold_in_all_trust_domains_of_the_mesh(registry: Make) -> None:
    spec = "{action: DENY, rules: [{from: [{source: {principals: [one/ns/a/sa/b]}}]}]}"
    (deny,) = http(registry(policy(spec), settings="{trustDomain: one, trustDomainAliases: [two]}"))
    (rule,) = deny.enforced or ()
    identities = [f"spiffe://{domain}/ns/a/sa/b" for domain in ("one", "two")]
    assert repr([PeerName(StringMatch(MatchKind.EXACT, name)) for name in identities])[1:-1] in repr(rule.principal)


def test_policies_attached_to_a_gateway_are_about_its_pods(registry: Make) -> None:
    spec = "{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}], action: DENY, rules: [{}]}"
    db = registry(policy(spec))
    assert http(db) == ()
    edge = (("gateway.networking.k8s.io/gateway-name", "edge"),)
    assert len(authorization(db, "shop", edge, True)) == 1


def test_a_policy_of_the_root_namespace_is_not_attached_to_other_namespaces_gateways(registry: Make) -> None:
    """An ALLOW would let in, at a Gateway of the same name, what its owner never meant to."""
    spec = "{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}], rules: [{}]}"
    db = registry(policy(spec, namespace="istio-system"))
    edge = (("gateway.networking.k8s.io/gateway-name", "edge"),)
    assert authorization(db, "shop", edge, True) == ()
    assert len(authorization(db, "istio-system", edge, True)) == 1


def test_a_change_of_one_policy_translates_that_one_only(registry: Make) -> None:
    db = registry(policy("{action: DENY, rules: [{}]}", "a"), policy("{action: DENY, rules: [{}]}", "b"))
    db.observe(authorization, "shop", WEB, True)
    changed = registry(policy("{action: DENY, rules: [{}, {}]}", "b")).authorization_policies.peek(("shop", "b"))
    db.runs = {}
    db.authorization_policies.put(("shop", "b"), changed)
    assert len(db.commit()) == 1
    assert db.runs["policy_rules"] == 1
