"""What each attribute of AuthorizationPolicy is checked by."""

import re

import pytest

from weft_core.ir.rbac import (
    AllOf,
    AnyOf,
    Condition,
    DestinationIp,
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
from weft_core.view.authorization_attributes import OPERATION, SOURCE, PolicyContext, condition_attribute

CONTEXT = PolicyContext(namespace="shop", trust_domains=("td", "old"))
JWT = "envoy.filters.http.jwt_authn"
ANY = StringMatch(MatchKind.REGEX, ".+")


def exact(value: str) -> StringMatch:
    return StringMatch(MatchKind.EXACT, value)


def source(field: str, value: str) -> Condition:
    return SOURCE[field].translate(value, CONTEXT)


def when(key: str, value: str) -> Condition:
    attribute = condition_attribute(key)
    assert attribute is not None
    return attribute.translate(value, CONTEXT)


def holds(condition: Condition, identity: str) -> bool:
    assert isinstance(condition, PeerName)
    assert condition.matcher.kind is MatchKind.REGEX
    return re.fullmatch(condition.matcher.value, identity) is not None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("*", PeerName(ANY)),
        ("other/ns/a/sa/b", PeerName(exact("spiffe://other/ns/a/sa/b"))),
        ("spiffe://other/ns/a/sa/b", PeerName(exact("spiffe://other/ns/a/sa/b"))),
        ("other/ns/a/*", PeerName(StringMatch(MatchKind.PREFIX, "spiffe://other/ns/a/"))),
        ("*/sa/b", PeerName(StringMatch(MatchKind.REGEX, "spiffe://.*/sa/b"))),
        ("td/ns/a/sa/b", AnyOf(tuple(PeerName(exact(f"spiffe://{d}/ns/a/sa/b")) for d in ("td", "old")))),
        ("cluster.local/ns/a/sa/b", AnyOf(tuple(PeerName(exact(f"spiffe://{d}/ns/a/sa/b")) for d in ("td", "old")))),
    ],
)
def test_principals(value: str, expected: Condition) -> None:
    assert source("principals", value) == expected


@pytest.mark.parametrize(
    ("value", "identity", "expected"),
    [
        ("a", "spiffe://td/ns/a/sa/x", True),
        ("a", "spiffe://td/ns/ab/sa/x", False),
        ("a", "spiffe://td/ns/b/sa/a", False),
        ("a*", "spiffe://td/ns/ab/sa/x", True),
        ("*b", "spiffe://td/ns/ab/sa/x", True),
        ("*", "spiffe://td/ns/ab/sa/x", True),
        ("a.c", "spiffe://td/ns/abc/sa/x", False),
    ],
)
def test_namespaces(value: str, identity: str, expected: bool) -> None:
    assert holds(source("namespaces", value), identity) is expected


def test_service_accounts_are_of_the_policys_namespace_unless_they_say_which() -> None:
    assert holds(source("service_accounts", "x"), "spiffe://td/ns/shop/sa/x")
    assert not holds(source("service_accounts", "x"), "spiffe://td/ns/other/sa/x")
    assert holds(source("service_accounts", "other/x"), "spiffe://td/ns/other/sa/x")


def test_trust_domains() -> None:
    assert holds(source("trust_domains", "td"), "spiffe://td/ns/a/sa/b")
    assert not holds(source("trust_domains", "td"), "spiffe://old/ns/a/sa/b")


def test_addresses() -> None:
    """ipBlocks is the connection's other end; remoteIpBlocks whom X-Forwarded-For names."""
    assert source("ip_blocks", "10.0.0.0/8") == DirectRemoteIp("10.0.0.0/8")
    assert source("remote_ip_blocks", "10.0.0.0/8") == RemoteIp("10.0.0.0/8")
    assert when("destination.ip", "10.0.0.1") == DestinationIp("10.0.0.1")


@pytest.mark.parametrize(
    ("value", "issuer", "subject"),
    [
        ("*", ANY, ANY),
        ("https://a/b/sub", exact("https://a/b"), exact("sub")),
        ("https://a/*", exact("https://a"), ANY),
        ("*/sub", ANY, exact("sub")),
        ("iss*", StringMatch(MatchKind.PREFIX, "iss"), ANY),
    ],
)
def test_request_principals_divide_at_the_last_slash(value: str, issuer: StringMatch, subject: StringMatch) -> None:
    parts = (Metadata(JWT, ("payload", "iss"), issuer), Metadata(JWT, ("payload", "sub"), subject))
    expected = AllOf(parts)
    if value == "iss*":
        found = source("request_principals", value)
        assert isinstance(found, AllOf)
        assert found.conditions[0] == parts[0]
        return
    assert source("request_principals", value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/a", UrlPath(exact("/a"))),
        ("/a*", UrlPath(StringMatch(MatchKind.PREFIX, "/a"))),
        ("*.js", UrlPath(StringMatch(MatchKind.SUFFIX, ".js"))),
        ("/a/{*}/b", UriTemplate("/a/*/b")),
        ("/a/{**}", UriTemplate("/a/**")),
    ],
)
def test_paths(value: str, expected: Condition) -> None:
    assert OPERATION["paths"].translate(value, CONTEXT) == expected


def test_hosts_have_no_case() -> None:
    found = OPERATION["hosts"].translate("*.A.com", CONTEXT)
    assert found == Header(":authority", StringMatch(MatchKind.SUFFIX, ".A.com", ignore_case=True))


def test_condition_keys() -> None:
    assert when("request.headers[x-a]", "*") == Header("x-a", None)
    assert when("request.headers[x-a]", "b*") == Header("x-a", StringMatch(MatchKind.PREFIX, "b"))
    assert when("connection.sni", "a") == RequestedServerName(exact("a"))
    assert when("request.auth.presenter", "a") == Metadata(JWT, ("payload", "azp"), exact("a"))
    nested = ("payload", "a", "b")
    assert when("request.auth.claims[a][b]", "c") == AnyOf(
        (Metadata(JWT, nested, exact("c")), Metadata(JWT, nested, exact("c"), in_list=True))
    )
    key = "experimental.envoy.filters.network.mysql_proxy[db.table]"
    assert when(key, "[x]") == Metadata("envoy.filters.network.mysql_proxy", ("db.table",), exact("x"), in_list=True)


@pytest.mark.parametrize("key", ["request.header[x]", "source", "request.headers", "request.headers[x"])
def test_unknown_keys_are_nobodys(key: str) -> None:
    assert condition_attribute(key) is None
