"""Policies that were never readable: what they are about is closed until they can be read, and nothing else is."""

from collections.abc import Callable

import pytest
import yaml

from weft_core.ir.authn import JwtAuthn
from weft_core.ir.http import HttpConnectionManager
from weft_core.ir.listener import Listener
from weft_core.ir.rbac import Anything, Rbac, RbacAction
from weft_core.ir.service import Labels
from weft_core.model.decode import decode
from weft_core.problems import Code, ObjectRef, Severity
from weft_core.proxy import ProxyId, ProxyKind
from weft_core.registry import Registry
from weft_core.view.authorization import authorization
from weft_core.view.gateway_listeners import gateway_listeners
from weft_core.view.gateways import gateway_id
from weft_core.view.guard_problems import guard_problems
from weft_core.view.http_managers import security_filters
from weft_core.view.inbound import inbound_id
from weft_core.view.inbound_listener import inbound_listener
from weft_core.view.peer_authentication import (
    MutualTlsMode,
    deciding_policies,
    mutual_tls_mode,
    service_disables_mutual_tls,
)
from weft_core.view.policy_scope import policy_label_keys
from weft_core.view.problems import all_problems

Make = Callable[..., Registry]
WEB: Labels = (("app", "web"),)
STRICT, PERMISSIVE, DISABLE = MutualTlsMode.STRICT, MutualTlsMode.PERMISSIVE, MutualTlsMode.DISABLE
SELECTED = "{selector: {matchLabels: {app: web}}, frobnicate: true}"
PLAIN = "{selector: {matchLabels: {}}, frobnicate: true}"
DOUBTFUL = "{frobnicate: true}"
GATEWAY = """
apiVersion: v1
kind: Pod
metadata: {name: gw-0, namespace: edge, labels: {istio: gw, gateway.networking.k8s.io/gateway-name: gw}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: edge}
spec: {selector: {istio: gw}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
"""


def policy(kind: str, spec: str, namespace: str = "shop", name: str = "a") -> str:
    return f"""
apiVersion: security.istio.io/v1
kind: {kind}
metadata: {{name: {name}, namespace: {namespace}}}
spec: {spec}
"""


def guarding(db: Registry, kind: str, spec: str = SELECTED, namespace: str = "shop") -> ObjectRef:
    """Put what is left of such a policy; returns its address."""
    guard = decode(yaml.safe_load(policy(kind, spec, namespace))).guard
    assert guard is not None
    db.unreadable_policies.put(guard.ref, guard)
    return guard.ref


def refuses_all(filters: tuple[Rbac, ...]) -> bool:
    return any(
        each.action is RbacAction.DENY and rule.principal == rule.permission == Anything()
        for each in filters
        for rule in each.enforced or ()
    )


# AuthorizationPolicy and RequestAuthentication


@pytest.mark.parametrize(
    ("kind", "http", "tcp"), [("AuthorizationPolicy", True, True), ("RequestAuthentication", True, False)]
)
def test_the_selected_workloads_refuse_everything_and_name_the_object(
    registry: Make, kind: str, http: bool, tcp: bool
) -> None:
    db = registry()
    ref = guarding(db, kind)
    assert (refuses_all(authorization(db, "shop", WEB, True)), refuses_all(authorization(db, "shop", WEB, False))) == (
        http,
        tcp,
    )
    (found,) = authorization(db, "shop", WEB, True)
    assert found.origins == (ref,)
    assert [rule.name for rule in found.enforced or ()] == [f"ns[shop]-policy[a]-deny-due-to-unreadable-{kind}"]


@pytest.mark.parametrize("kind", ["AuthorizationPolicy", "RequestAuthentication"])
@pytest.mark.parametrize(
    ("spec", "place", "closed"),
    [
        (SELECTED, "shop", {"shop/web"}),
        (DOUBTFUL, "shop", {"shop/web", "shop/other"}),
        (SELECTED, "istio-system", {"shop/web", "bank/web"}),
        (DOUBTFUL, "istio-system", {"shop/web", "shop/other", "bank/web"}),
        ("{targetRefs: [{kind: Gateway, name: gw}], frobnicate: true}", "shop", set()),
    ],
)
def test_no_other_workloads_are_closed_than_those_it_is_about(
    registry: Make, kind: str, spec: str, place: str, closed: set[str]
) -> None:
    db = registry()
    guarding(db, kind, spec, place)
    workloads = {
        f"{namespace}/{app}": (namespace, app)
        for namespace, app in (("shop", "web"), ("shop", "other"), ("bank", "web"))
    }
    found = {
        name
        for name, (namespace, app) in workloads.items()
        if refuses_all(authorization(db, namespace, (("app", app),), True))
    }
    assert found == closed


def test_policies_that_can_be_read_stay_in_force_beside_it(registry: Make) -> None:
    db = registry(policy("AuthorizationPolicy", "{action: ALLOW, rules: [{}]}", name="good"))
    before = authorization(db, "shop", (("app", "other"),), True)
    guarding(db, "AuthorizationPolicy")
    assert authorization(db, "shop", (("app", "other"),), True) == before
    assert [each.action for each in authorization(db, "shop", WEB, True)] == [RbacAction.DENY, RbacAction.ALLOW]


def test_one_name_in_two_kinds_makes_two_rules(registry: Make) -> None:
    db = registry()
    refs = {guarding(db, kind) for kind in ("AuthorizationPolicy", "RequestAuthentication")}
    (found,) = authorization(db, "shop", WEB, True)
    assert len({rule.name for rule in found.enforced or ()}) == 2
    assert set(found.origins) == refs


def test_the_guard_goes_away_and_with_it_the_refusal(registry: Make) -> None:
    db = registry()
    ref = guarding(db, "AuthorizationPolicy")
    assert authorization(db, "shop", WEB, True)
    db.unreadable_policies.put(ref, None)
    assert authorization(db, "shop", WEB, True) == ()
    assert policy_label_keys(db, "shop") == frozenset()


def test_its_labels_tell_workloads_apart_and_no_other_namespace_is_disturbed(registry: Make) -> None:
    db = registry()
    nodes = {namespace: db.observe(policy_label_keys, namespace) for namespace in ("shop", "bank")}
    db.commit()
    db.runs = {}
    guarding(db, "AuthorizationPolicy")
    assert set(db.commit()) == {nodes["shop"]}
    assert policy_label_keys(db, "shop") == {"app"}


def test_all_chains_of_a_sidecar_are_behind_it_and_the_listener_names_it(
    registry: Make, shop: str, web: ProxyId
) -> None:
    db = registry(shop)
    ref = guarding(db, "AuthorizationPolicy")
    identity = inbound_id(db, web)
    assert identity is not None
    listener = inbound_listener(db, identity)
    assert ref in listener.origins
    assert open_chains(listener) == ["virtualInbound-blackhole"]


def open_chains(listener: Listener) -> list[str]:
    """The chains that let something through."""
    return [
        chain.name
        for chain in listener.filter_chains
        if not refuses_all(
            tuple(
                each
                for filter_ in chain.filters
                for each in (filter_.filters if isinstance(filter_, HttpConnectionManager) else (filter_,))
                if isinstance(each, Rbac)
            )
        )
    ]


@pytest.mark.parametrize("kind", ["AuthorizationPolicy", "RequestAuthentication"])
@pytest.mark.parametrize("spec", [DOUBTFUL, "{targetRefs: [{kind: Gateway, name: gw}], frobnicate: true}"])
def test_a_gateway_is_guarded_too(registry: Make, kind: str, spec: str) -> None:
    db = registry(GATEWAY)
    edge = ProxyId(ProxyKind.GATEWAY, "edge", "gw-0")
    ref = guarding(db, kind, spec, "edge")
    identity = gateway_id(db, edge)
    assert identity is not None
    (listener,) = gateway_listeners(db, identity)
    assert open_chains(listener) == []
    assert ref in listener.origins


def test_tokens_of_readable_policies_are_still_verified_first(registry: Make) -> None:
    db = registry(policy("RequestAuthentication", "{jwtRules: [{issuer: x}]}", name="good"))
    guarding(db, "RequestAuthentication")
    assert [type(each) for each in security_filters(db, "shop", WEB)] == [JwtAuthn, Rbac]


# PeerAuthentication


@pytest.mark.parametrize(
    ("spec", "place", "strict"),
    [
        (SELECTED, "shop", {"shop/web"}),
        (PLAIN, "shop", {"shop/web", "shop/other"}),
        (DOUBTFUL, "shop", {"shop/web", "shop/other"}),
        (PLAIN, "istio-system", {"shop/web", "shop/other", "bank/web"}),
        (DOUBTFUL, "istio-system", {"shop/web", "shop/other", "bank/web"}),
        (SELECTED, "istio-system", set()),
    ],
)
def test_an_unreadable_peer_authentication_is_strict_for_those_it_is_about(
    registry: Make, spec: str, place: str, strict: set[str]
) -> None:
    db = registry()
    guarding(db, "PeerAuthentication", spec, place)
    found = {
        f"{namespace}/{app}": mutual_tls_mode(db, namespace, (("app", app),), 8080)
        for namespace, app in (("shop", "web"), ("shop", "other"), ("bank", "web"))
    }
    assert {name for name, mode in found.items() if mode is STRICT} == strict
    assert set(found.values()) <= {STRICT, PERMISSIVE}


WORKLOAD = "{selector: {matchLabels: {app: web}}, mtls: {mode: PERMISSIVE}, portLevelMtls: {9090: {mode: DISABLE}}}"


@pytest.mark.parametrize(
    ("spec", "place", "modes"),
    [
        (SELECTED, "shop", (STRICT, STRICT)),
        (DOUBTFUL, "shop", (STRICT, STRICT)),
        (PLAIN, "shop", (PERMISSIVE, DISABLE)),
        (DOUBTFUL, "istio-system", (PERMISSIVE, DISABLE)),
    ],
    ids=["its own level", "any level", "the namespace's", "the mesh's"],
)
def test_more_specific_policies_go_before_it_where_its_level_is_certain(
    registry: Make, spec: str, place: str, modes: tuple[MutualTlsMode, MutualTlsMode]
) -> None:
    db = registry(policy("PeerAuthentication", WORKLOAD, name="good"))
    guarding(db, "PeerAuthentication", spec, place)
    assert tuple(mutual_tls_mode(db, "shop", WEB, port) for port in (8080, 9090)) == modes


def test_it_goes_before_a_readable_policy_of_its_level(registry: Make) -> None:
    db = registry(policy("PeerAuthentication", "{mtls: {mode: DISABLE}}", name="good"))
    assert service_disables_mutual_tls(db, "shop")
    guarding(db, "PeerAuthentication", PLAIN)
    assert mutual_tls_mode(db, "shop", WEB, 8080) is STRICT
    assert not service_disables_mutual_tls(db, "shop"), "clients begin mutual TLS, which is all that is taken"


@pytest.mark.parametrize("spec", [SELECTED, PLAIN, DOUBTFUL])
def test_the_listener_comes_from_it(registry: Make, spec: str) -> None:
    db = registry()
    guarding(db, "PeerAuthentication", spec)
    assert deciding_policies(db, "shop", WEB) == (("shop", "a"),)


def test_it_refuses_nobody_who_has_a_certificate(registry: Make) -> None:
    db = registry()
    guarding(db, "PeerAuthentication")
    assert authorization(db, "shop", WEB, True) == ()


# What is said


@pytest.mark.parametrize(
    ("kind", "spec", "place", "message"),
    [
        (
            "AuthorizationPolicy",
            SELECTED,
            "shop",
            "until it is readable, all requests and connections to the workloads app=web in namespace shop are refused",
        ),
        (
            "AuthorizationPolicy",
            "{targetRefs: [{kind: Gateway, name: gw}], frobnicate: true}",
            "shop",
            "until it is readable, all requests and connections to the Gateway gw in shop are refused",
        ),
        (
            "RequestAuthentication",
            DOUBTFUL,
            "shop",
            "until it is readable, all requests to every workload in namespace shop are refused",
        ),
        (
            "PeerAuthentication",
            PLAIN,
            "istio-system",
            "until it is readable, every workload in the mesh must be called with mutual TLS",
        ),
    ],
)
def test_the_finding_says_what_happens_and_where(
    registry: Make, kind: str, spec: str, place: str, message: str
) -> None:
    db = registry()
    ref = guarding(db, kind, spec, place)
    (found,) = all_problems(db)
    assert (found.code, found.severity, found.object) == (Code.UNREADABLE_POLICY, Severity.ERROR, ref)
    assert (found.message, found.fix) == (message, f"correct what else is reported about this {kind}, or delete it")


def test_nothing_is_said_of_what_is_in_force_nowhere(registry: Make) -> None:
    db = registry()
    assert guard_problems(db, guarding(db, "PeerAuthentication", SELECTED, "istio-system")) == ()
