"""RequestAuthentication (security.istio.io): which JSON web tokens are valid."""

import json
import re
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, Field

from weft_core.model.base import Model, PolicySelector, PolicyTargetReference
from weft_core.model.mistake import Mistake
from weft_core.model.scalars import Bool, Duration, HeaderName, NonEmpty, refuse
from weft_core.problems import Code, Severity

_CLAIM_HEADER = re.compile(r"[-_A-Za-z0-9]+")


def _claim_header(value: str) -> str:
    if not _CLAIM_HEADER.fullmatch(value):
        refuse(f"`{value}` is not the name of a header for a claim", "write letters, digits, - and _ only: x-user")
    return value


ClaimHeader = Annotated[str, AfterValidator(_claim_header)]
"""The name of a header that a claim is written to."""


class JWTHeader(Model):
    """A header that carries a token."""

    name: HeaderName = Field(description="Name of the header.")
    prefix: str = Field("", description="Text before the token: `Bearer `.")


class ClaimToHeader(Model):
    """A claim that is passed on as a header."""

    header: ClaimHeader = Field(description="Name of the header.")
    claim: NonEmpty = Field(description="Name of the claim; dots go into nested ones.")


class JWTRule(Model):
    """An issuer of tokens, its keys, and where its tokens are found."""

    issuer: str = Field("", description="Issuer, as it stands in the token.")
    audiences: tuple[NonEmpty, ...] = Field((), description="Audiences, one of which the token must have.")
    jwks_uri: str = Field(
        "",
        alias="jwksUri",
        validation_alias=AliasChoices("jwksUri", "jwks_uri"),
        description="Where the keys are; by default found through the issuer.",
    )
    jwks: str = Field("", description="The keys themselves, as JSON.")
    from_headers: tuple[JWTHeader, ...] = Field((), description="Headers; Authorization: Bearer by default.")
    from_params: tuple[NonEmpty, ...] = Field((), description="Query parameters; access_token by default.")
    from_cookies: tuple[NonEmpty, ...] = Field((), description="Cookies.")
    output_payload_to_header: str = Field("", description="Header that gets the payload, in base64.")
    forward_original_token: Bool = Field(False, description="Let the application see the token.")
    output_claim_to_headers: tuple[ClaimToHeader, ...] = Field((), description="Claims passed on as headers.")
    timeout: Duration | None = Field(None, description="Limit for fetching keys; 5s by default.")
    space_delimited_claims: tuple[NonEmpty, ...] = Field((), description="Further claims that are lists with spaces.")

    def check(self) -> Iterator[Mistake]:
        """Keys from one place, that can be read."""
        if self.jwks and self.jwks_uri:
            yield Mistake(path=("jwksUri",), message="jwks and jwksUri exclude each other", fix="keep one of them")
        if self.jwks_uri:
            try:
                url = urlsplit(self.jwks_uri)
                good = url.scheme in {"http", "https"} and bool(url.hostname) and (url.port is None or url.port > 0)
            except ValueError:
                good = False
            if not good:
                yield Mistake(path=("jwksUri",), message=f"`{self.jwks_uri}` is no URL", fix="write https://…")
        if self.jwks and _has_private_key(self.jwks):
            yield Mistake(
                path=("jwks",),
                severity=Severity.WARNING,
                code=Code.SCHEMA_WARNING,
                message="it has a private key, which whoever may read this object can sign tokens with",
                fix="remove all but the public part, and replace the key",
            )
        if self.jwks and not _is_jwks(self.jwks):
            yield Mistake(path=("jwks",), message="it is not a JSON web key set", fix='write {"keys": […]}')
        if not (self.issuer or self.jwks or self.jwks_uri):
            yield Mistake(path=("issuer",), message="there is no way to find the keys", fix="add issuer")


class RequestAuthentication(Model):
    """Tokens that are accepted. A request without token passes; one with an invalid token does not."""

    selector: PolicySelector | None = Field(None, description="Workloads; all of the namespace without it.")
    target_ref: PolicyTargetReference | None = Field(None, description="Deprecated: see targetRefs.")
    target_refs: tuple[PolicyTargetReference, ...] = Field((), description="Objects the policy is attached to.")
    jwt_rules: tuple[JWTRule, ...] = Field((), description="Issuers.")

    def check(self) -> Iterator[Mistake]:
        """One way to choose workloads."""
        yield from target_mistakes(self.selector, self.target_ref, self.target_refs)


def target_mistakes(
    selector: PolicySelector | None,
    target_ref: PolicyTargetReference | None,
    target_refs: tuple[PolicyTargetReference, ...],
) -> Iterator[Mistake]:
    """A mistake where more than one of selector, targetRef and targetRefs chooses a policy's workloads."""
    given = {"selector": selector, "targetRef": target_ref, "targetRefs": target_refs}
    names = [name for name, value in given.items() if value]
    if len(names) > 1:
        yield Mistake(
            path=(names[-1],),
            message=f"{' and '.join(names)} exclude each other",
            fix=f"keep one of {', '.join(names)}",
        )


def _keys(text: str) -> list[object] | None:
    """The keys of a JSON web key set; None where it is none."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    keys = document.get("keys") if isinstance(document, dict) else None
    return keys if isinstance(keys, list) else None


def _is_jwks(text: str) -> bool:
    return _keys(text) is not None


def _has_private_key(text: str) -> bool:
    """Whether a key has the member `d`, its private part (RFC 7518, 6.2.2 and 6.3.2)."""
    return any(isinstance(key, dict) and "d" in key for key in _keys(text) or ())
