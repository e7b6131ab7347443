"""RequestAuthentication: whose tokens are verified, and what happens where the keys are missing."""

from collections.abc import Callable

import pytest

from weft_core.ir.authn import JwtAuthn, JwtProvider
from weft_core.registry import Registry
from weft_core.view.key_sets import NO_KEYS, has_usable_key
from weft_core.view.request_authentication import jwt_authn
from weft_core.view.request_authentication_problems import request_authentication_problems
from weft_xds.build.jwt import build_jwt_authn

Make = Callable[..., Registry]


def policy(rules: str, name: str = "a", namespace: str = "shop") -> str:
    return f"""
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{jwtRules: {rules}}}
"""


def test_no_policy_no_filter(registry: Make) -> None:
    assert jwt_authn(registry(), "shop", ()) is None
    assert jwt_authn(registry(policy("[]")), "shop", ()) is None


def test_all_policies_are_joined_by_issuer(registry: Make) -> None:
    db = registry(policy("[{issuer: c}, {issuer: a}]"), policy("[{issuer: b}]", "b", "istio-system"))
    found = jwt_authn(db, "shop", ())
    assert found is not None
    assert [provider.issuer for provider in found.providers] == ["a", "b", "c"]
    assert len(found.origins) == 2


def test_keys_that_are_not_here_fail_every_token(registry: Make) -> None:
    db = registry(policy("[{issuer: a, jwksUri: 'https://a/keys'}, {issuer: b}, {issuer: c, jwks: '{\"keys\": []}'}]"))
    found = jwt_authn(db, "shop", ())
    assert found is not None
    assert {provider.jwks for provider in found.providers} == {NO_KEYS}
    problems = request_authentication_problems(db, ("shop", "a"))
    assert [p.path for p in problems] == [
        "spec.jwtRules[0].jwksUri",
        "spec.jwtRules[1].issuer",
        "spec.jwtRules[2].jwks",
    ]


def test_inline_keys_are_used_as_they_are(registry: Make) -> None:
    keys = '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}'
    found = jwt_authn(registry(policy(f"[{{issuer: a, jwks: '{keys}'}}]")), "shop", ())
    assert found is not None
    assert found.providers[0].jwks == keys


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"keys": 1}',
        '{"keys": [1]}',
        '{"keys": [{"kty": "RSA", "n": "AQAB"}]}',
        '{"keys":[{"kty":"x"}]}',
    ],
)
def test_unusable_key_sets(text: str) -> None:
    assert not has_usable_key(text)


def test_the_stand_in_is_a_usable_key_set() -> None:
    assert has_usable_key(NO_KEYS)


def test_routes_are_chosen_again_with_the_claims_where_that_is_asked_for() -> None:
    providers = (JwtProvider(issuer="a", jwks=NO_KEYS),)
    for reroutes in (False, True):
        (built,) = build_jwt_authn(JwtAuthn(providers=providers, reroutes=reroutes)).providers.values()
        assert built.clear_route_cache is reroutes
