"""Request authentication: which tokens are verified, and what becomes of their claims."""

from dataclasses import dataclass

from weft_core.problems import ObjectRef

PAYLOAD = "payload"
"""Where a verified token's claims lie in the dynamic metadata of `envoy.filters.http.jwt_authn`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtProvider:
    """One issuer of tokens. `jwks` is its key set, always inline: a proxy never fetches keys by itself."""

    issuer: str
    jwks: str
    audiences: tuple[str, ...] = ()
    from_headers: tuple[tuple[str, str], ...] = ()
    """(header, prefix before the token)."""
    from_params: tuple[str, ...] = ()
    from_cookies: tuple[str, ...] = ()
    forward: bool = False
    """Leave the token in the request."""
    payload_header: str = ""
    """Header that takes the payload, base64url."""
    claim_headers: tuple[tuple[str, str], ...] = ()
    """(header, claim)."""
    space_delimited_claims: tuple[str, ...] = ("permission", "scope")
    """Claims that hold several values in one text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtAuthn:
    """All issuers, sorted. A request with no token passes, one with an invalid token is refused (401)."""

    providers: tuple[JwtProvider, ...]
    origins: tuple[ObjectRef, ...] = ()
    reroutes: bool = False
    """Choose the route again once claims are known: Envoy chooses one before any filter runs."""
