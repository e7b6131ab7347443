"""The attributes of AuthorizationPolicy, each as the condition that Envoy checks.

A value may have a `*` at one end, or be `*` alone, which asks for presence. Attributes that only a parsed request has
(`http_only`) have no meaning on a TCP port; what that does to a rule is decided in `authorization_rules`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from weft_core.ir.authn import PAYLOAD
from weft_core.ir.rbac import (
    AllOf,
    AnyOf,
    Condition,
    DestinationIp,
    DestinationPort,
    DirectRemoteIp,
    Header,
    Metadata,
    PeerName,
    RemoteIp,
    RequestedServerName,
    UriTemplate,
    UrlPath,
)
from weft_core.ir.string_match import MatchKind, StringMatch

JWT_FILTER: Final = "envoy.filters.http.jwt_authn"
SPIFFE: Final = "spiffe://"
LOCAL_TRUST_DOMAIN: Final = "cluster.local"
"""In policies this always means the mesh's own trust domain, whatever that is called."""
_ANY: Final = StringMatch(MatchKind.REGEX, ".+")
_SEGMENT: Final = "[^/]+"
_EXPERIMENTAL: Final = "experimental."


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyContext:
    """What an attribute's meaning depends on besides its value."""

    namespace: str
    """The policy's: service accounts without a namespace are meant here."""
    trust_domains: tuple[str, ...]
    """The mesh's, then its aliases: a principal of one is the same principal in all."""


Translate = Callable[[str, PolicyContext], Condition]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """How one value of a field or condition key is checked."""

    translate: Translate
    http_only: bool = False
    of_operation: bool = False
    """It says what is asked for (a permission), not who asks (a principal)."""


def text(value: str, *, ignore_case: bool = False) -> StringMatch:
    """A value with Istio's wildcards."""
    if value == "*":
        return _ANY
    if value.startswith("*"):
        return StringMatch(MatchKind.SUFFIX, value[1:], ignore_case)
    if value.endswith("*"):
        return StringMatch(MatchKind.PREFIX, value[:-1], ignore_case)
    return StringMatch(MatchKind.EXACT, value, ignore_case)


def principal(value: str, context: PolicyContext) -> Condition:
    """`trust-domain/ns/NS/sa/ACCOUNT`; in the mesh's own trust domain it holds in all of the mesh's."""
    domain, slash, rest = value.removeprefix(SPIFFE).partition("/")
    known = {LOCAL_TRUST_DOMAIN, *context.trust_domains}
    if not slash or domain not in known:
        return PeerName(_spiffe(value.removeprefix(SPIFFE)))
    return _any_of(PeerName(_spiffe(f"{each}/{rest}")) for each in context.trust_domains)


def namespace(value: str, _context: PolicyContext) -> Condition:
    """The namespace within the peer's identity."""
    return PeerName(_identity(namespace=_segment(value)))


def service_account(value: str, context: PolicyContext) -> Condition:
    """`NAMESPACE/ACCOUNT`, or an account of the policy's own namespace."""
    owner, slash, account = value.rpartition("/")
    return PeerName(_identity(namespace=_segment(owner if slash else context.namespace), account=_segment(account)))


def trust_domain(value: str, _context: PolicyContext) -> Condition:
    """The trust domain within the peer's identity, to the letter: aliases are different ones here."""
    return PeerName(_identity(domain=_segment(value)))


def request_principal(value: str, _context: PolicyContext) -> Condition:
    """`ISSUER/SUBJECT` of a verified token; an issuer is a URL, so the last slash divides them."""
    issuer, slash, subject = value.rpartition("/")
    if not slash:
        # Without a slash only a wildcard can hold: `*` for any token, `issuer*`, `*subject`.
        issuer, subject = ("*", value) if value.startswith("*") else (value, "*" if value.endswith("*") else "")
    return AllOf((_claim(("iss",), issuer), _claim(("sub",), subject)))


def path(value: str, _context: PolicyContext) -> Condition:
    """A path, or a template: `{*}` is one segment, `{**}` any number of them."""
    if "{*}" in value or "{**}" in value:
        return UriTemplate(value.replace("{**}", "**").replace("{*}", "*"))
    return UrlPath(text(value))


def header(name: str, value: str) -> Condition:
    """A request header; `*` asks for presence."""
    return Header(name, None if value == "*" else text(value))


def claim(names: tuple[str, ...], value: str) -> Condition:
    """A claim that is a text, or a list of which one member matches."""
    whole = Metadata(JWT_FILTER, (PAYLOAD, *names), text(value))
    return AnyOf((whole, Metadata(JWT_FILTER, (PAYLOAD, *names), text(value), in_list=True)))


def filter_metadata(name: str, key: str, value: str) -> Condition:
    """Dynamic metadata of any filter; a value in brackets is looked for in a list."""
    if value.startswith("[") and value.endswith("]"):
        return Metadata(name, (key,), text(value[1:-1]), in_list=True)
    return Metadata(name, (key,), text(value))


SOURCE: Final[Mapping[str, Attribute]] = {
    "principals": Attribute(translate=principal),
    "request_principals": Attribute(translate=request_principal, http_only=True),
    "namespaces": Attribute(translate=namespace),
    "service_accounts": Attribute(translate=service_account),
    "trust_domains": Attribute(translate=trust_domain),
    "ip_blocks": Attribute(translate=lambda value, _: DirectRemoteIp(value)),
    "remote_ip_blocks": Attribute(translate=lambda value, _: RemoteIp(value)),
}
"""Fields of `from[].source`; each has a `not_` form."""

OPERATION: Final[Mapping[str, Attribute]] = {
    "hosts": Attribute(
        translate=lambda value, _: Header(":authority", text(value, ignore_case=True)),
        http_only=True,
        of_operation=True,
    ),
    "ports": Attribute(translate=lambda value, _: DestinationPort(int(value)), of_operation=True),
    "methods": Attribute(translate=lambda value, _: Header(":method", text(value)), http_only=True, of_operation=True),
    "paths": Attribute(translate=path, http_only=True, of_operation=True),
}
"""Fields of `to[].operation`; each has a `not_` form."""

_KEYS: Final[Mapping[str, Attribute]] = {
    "source.ip": SOURCE["ip_blocks"],
    "source.namespace": SOURCE["namespaces"],
    "source.serviceAccount": SOURCE["service_accounts"],
    "source.principal": SOURCE["principals"],
    "source.trustDomain": SOURCE["trust_domains"],
    "remote.ip": SOURCE["remote_ip_blocks"],
    "request.auth.principal": SOURCE["request_principals"],
    "request.auth.audiences": Attribute(translate=lambda value, _: claim(("aud",), value), http_only=True),
    "request.auth.presenter": Attribute(translate=lambda value, _: _claim(("azp",), value), http_only=True),
    "destination.ip": Attribute(translate=lambda value, _: DestinationIp(value), of_operation=True),
    "destination.port": OPERATION["ports"],
    "connection.sni": Attribute(translate=lambda value, _: RequestedServerName(text(value)), of_operation=True),
}


def condition_attribute(key: str) -> Attribute | None:
    """The attribute that a `when` key names; None for a key that nobody knows."""
    if key in _KEYS:
        return _KEYS[key]
    name, bracket, rest = key.partition("[")
    if not bracket or not rest.endswith("]"):
        return None
    inner = rest[:-1]
    if name == "request.headers":
        return Attribute(translate=lambda value, _: header(inner, value), http_only=True)
    if name == "request.auth.claims":
        names = tuple(inner.split("]["))
        return Attribute(translate=lambda value, _: claim(names, value), http_only=True)
    if name.startswith("experimental.envoy.filters."):
        owner = name.removeprefix(_EXPERIMENTAL)
        return Attribute(translate=lambda value, _: filter_metadata(owner, inner, value), of_operation=True)
    return None


def _spiffe(value: str) -> StringMatch:
    """A principal with wildcards, as the whole SPIFFE id: a suffix must not be found in another kind of name."""
    if value == "*":
        return _ANY
    if value.startswith("*"):
        return StringMatch(MatchKind.REGEX, f"{SPIFFE}.*{re.escape(value[1:])}")
    return text(f"{SPIFFE}{value}")


def _identity(*, domain: str = _SEGMENT, namespace: str = _SEGMENT, account: str = _SEGMENT) -> StringMatch:
    return StringMatch(MatchKind.REGEX, f"{SPIFFE}{domain}/ns/{namespace}/sa/{account}")


def _segment(value: str) -> str:
    """One segment of a SPIFFE id; wildcards stay within it."""
    return _SEGMENT if value == "*" else "[^/]*".join(re.escape(part) for part in value.split("*"))


def _claim(names: tuple[str, ...], value: str) -> Condition:
    return Metadata(JWT_FILTER, (PAYLOAD, *names), text(value))


def _any_of(conditions: Iterable[Condition]) -> Condition:
    found = tuple(conditions)
    return found[0] if len(found) == 1 else AnyOf(found)
