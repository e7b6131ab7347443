"""Guards: what is still read of a security policy that is refused, and what of it is in doubt."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from weft_core.model.base import PolicySelector
from weft_core.model.decode import decode
from weft_core.model.guard import PROTECTIVE_KINDS, Guard
from weft_core.problems import ObjectRef

WEB = PolicySelector(match_labels={"app": "web"})
DOUBTFUL = PolicySelector()


def guard(spec: str, kind: str = "AuthorizationPolicy", metadata: str = "{name: a, namespace: shop}") -> Guard | None:
    text = f"apiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {metadata}\nspec: {spec}\n"
    decoded = decode(yaml.safe_load(text))
    assert decoded.rejected
    return decoded.guard


@pytest.mark.parametrize("kind", PROTECTIVE_KINDS)
@pytest.mark.parametrize(
    ("spec", "selector"),
    [
        ("{selector: {matchLabels: {app: web}}, frobnicate: true}", WEB),
        ("{selector: {matchLabels: {app: web}}, rules: 5, mtls: 5, jwtRules: 5}", WEB),
        ("{selector: {matchLabels: {}}, frobnicate: true}", None),
        ("{selector: {matchLabels: {app: 5}}}", DOUBTFUL),
        ("{selector: {matchLabels: {app: 'w*'}}}", DOUBTFUL),
        ("{selector: {app: web}}", DOUBTFUL),
        ("{selector: }", DOUBTFUL),
        ("{selectors: {matchLabels: {app: web}}}", DOUBTFUL),
        ("[]", DOUBTFUL),
        ("text", DOUBTFUL),
    ],
)
def test_a_selector_is_kept_where_it_can_be_read_and_else_in_doubt(
    kind: str, spec: str, selector: PolicySelector | None
) -> None:
    expected = Guard(ref=ObjectRef(kind=kind, namespace="shop", name="a"), selector=selector)
    assert guard(spec, kind) == expected


def test_a_policy_whose_fields_are_all_known_certainly_has_no_selector() -> None:
    found = guard("{mtls: {mode: STRIKT}}", "PeerAuthentication")
    assert found is not None
    assert found.selector is None


def test_ports_without_a_selector_mean_that_one_was_forgotten() -> None:
    found = guard("{portLevelMtls: {8080: {mode: DISABLE}}}", "PeerAuthentication")
    assert found is not None
    assert found.selector == DOUBTFUL


def test_a_selector_beside_spec_is_in_doubt() -> None:
    found = guard("{mtls: {mode: STRICT}}\nselector: {matchLabels: {app: web}}", "PeerAuthentication")
    assert found is not None
    assert found.selector == DOUBTFUL


@pytest.mark.parametrize(
    "targets",
    ["targetRef: {kind: Gateway, name: gw}", "targetRefs: [{kind: Service, name: s}, {kind: Gateway, name: gw}]"],
)
def test_the_gateways_that_a_policy_is_attached_to_is_kept(targets: str) -> None:
    found = guard(f"{{{targets}, rules: 5}}")
    assert found is not None
    assert found.selector is None
    assert [target.name for target in found.target_refs] == ["gw"]


@pytest.mark.parametrize(
    "targets",
    [
        "targetRefs: [{kind: Gateway}]",
        "targetRefs: []",
        "targetRefs: 5",
        "targetRef: {kind: Gateway, name: gw}, selector: {matchLabels: {app: web}}",
    ],
)
def test_targets_that_can_not_be_read_are_in_doubt(targets: str) -> None:
    found = guard(f"{{{targets}, rules: 5}}")
    assert found is not None
    assert (found.selector, found.target_refs) == (DOUBTFUL, ())


@pytest.mark.parametrize(
    ("spec", "metadata"),
    [
        ("{rules: 5}", "{name: a, annotations: {istio.io/dry-run: 'true'}}"),
        ("{action: AUDIT, rules: 5}", "{name: a}"),
        ("{targetRefs: [{kind: Service, name: s}], rules: 5}", "{name: a}"),
    ],
    ids=["on trial", "audit", "attached to what has no pods"],
)
def test_what_refuses_nothing_when_it_can_be_read_has_no_guard(spec: str, metadata: str) -> None:
    assert guard(spec, metadata=metadata) is None


def test_other_kinds_have_no_guard() -> None:
    document = {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": {"name": "a"}, "spec": 5}
    assert decode(document).guard is None


def test_a_policy_that_is_good_has_no_guard() -> None:
    text = "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: a}, spec: {}}"
    assert decode(yaml.safe_load(text)).guard is None


@pytest.mark.parametrize("api", ["security.istio.io/v2", "v1", ""])
def test_a_wrong_api_version_is_guarded(api: str) -> None:
    document = {"apiVersion": api, "kind": "AuthorizationPolicy", "metadata": {"name": "a"}, "spec": {}}
    assert decode(document).guard is not None


def test_a_namespace_of_digits_is_the_one_that_is_guarded() -> None:
    found = guard("{}", metadata="{name: 1, namespace: 123}")
    assert found is not None
    assert found.ref == ObjectRef(kind="AuthorizationPolicy", namespace="123", name="1")


def test_two_policies_of_one_address_are_guarded_together() -> None:
    one, other = guard("{selector: {matchLabels: {app: web}}, rules: 5}"), guard("{rules: 5}")
    assert one is not None
    assert other is not None
    assert one.joined(one) == one
    assert one.joined(other) == Guard(ref=one.ref)


def maps(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.sampled_from(["selector", "matchLabels", "targetRefs", "targetRef", "kind", "name", "action", "mtls"])
    return st.dictionaries(keys | st.text(), values, max_size=4)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | maps(inner))


@given(kind=st.sampled_from(sorted(PROTECTIVE_KINDS)), metadata=JSON, spec=JSON)
def test_nothing_that_is_read_raises(kind: str, metadata: Any, spec: Any) -> None:
    decode({"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec})
