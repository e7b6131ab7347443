"""The jwt_authn filter: verifies tokens, and leaves their claims where access control reads them."""

from typing import Final

from envoy.config.core.v3.base_pb2 import DataSource
from envoy.config.route.v3.route_components_pb2 import RouteMatch
from envoy.extensions.filters.http.jwt_authn.v3.config_pb2 import (
    JwtAuthentication,
    JwtClaimToHeader,
    JwtHeader,
    JwtProvider,
    JwtRequirement,
    JwtRequirementAndList,
    JwtRequirementOrList,
    RequirementRule,
)
from google.protobuf.empty_pb2 import Empty

from weft_core.ir import authn as ir

_MISSING: Final = JwtRequirement(allow_missing=Empty())


def build_jwt_authn(authn: ir.JwtAuthn) -> JwtAuthentication:
    """The filter's configuration: every path needs a valid token of some provider, or none at all."""
    named = {f"origins-{index}": provider for index, provider in enumerate(authn.providers)}
    return JwtAuthentication(
        providers={name: _provider(provider, reroutes=authn.reroutes) for name, provider in named.items()},
        rules=[RequirementRule(match=RouteMatch(prefix="/"), requires=_requirement(list(named)))],
        bypass_cors_preflight=True,
    )


def _provider(provider: ir.JwtProvider, *, reroutes: bool) -> JwtProvider:
    message = JwtProvider(
        issuer=provider.issuer,
        audiences=provider.audiences,
        local_jwks=DataSource(inline_string=provider.jwks),
        forward=provider.forward,
        from_headers=[JwtHeader(name=name, value_prefix=prefix) for name, prefix in provider.from_headers],
        from_params=provider.from_params,
        from_cookies=provider.from_cookies,
        forward_payload_header=provider.payload_header,
        payload_in_metadata=ir.PAYLOAD,
        clear_route_cache=reroutes,
        claim_to_headers=[
            JwtClaimToHeader(header_name=header, claim_name=claim) for header, claim in provider.claim_headers
        ],
    )
    message.normalize_payload_in_metadata.space_delimited_claims.extend(provider.space_delimited_claims)
    return message


def _requirement(names: list[str]) -> JwtRequirement:
    """One valid token suffices; failing that, no provider may have found one that is invalid."""
    valid = [JwtRequirement(provider_name=name) for name in names]
    if len(valid) == 1:
        return _any_of(valid[0], _MISSING)
    none_invalid = JwtRequirementAndList(requirements=[_any_of(one, _MISSING) for one in valid])
    return _any_of(*valid, JwtRequirement(requires_all=none_invalid))


def _any_of(*requirements: JwtRequirement) -> JwtRequirement:
    return JwtRequirement(requires_any=JwtRequirementOrList(requirements=requirements))
