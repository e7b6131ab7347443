"""Matching: which matches of an HTTP rule can hold for a client at all, and what Envoy must compare in a request.

Port, gateways, sourceLabels and sourceNamespace are decided here, when configuration is made; nothing of them is
left at run time. The rest becomes one Envoy route for each match, in order.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from weft_core.ir.route import (
    ClaimMatch,
    HeaderMatch,
    PathKind,
    PathMatch,
    QueryMatch,
    RouteMatch,
)
from weft_core.ir.service import Labels
from weft_core.ir.string_match import MatchKind, StringMatch
from weft_core.model.base import StringMatch as StringMatchModel
from weft_core.model.http_match import claim_of
from weft_core.model.virtual_service import HTTPMatchRequest, L4MatchAttributes, TLSMatchAttributes
from weft_core.view.selectors import selects

_CLAIM_PARTS = re.compile(r"\[([^\]]+)\]|\.([^.\[]+)")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Viewpoint:
    """From where rules are looked at: through which gateways, at which port, by whom."""

    gateways: tuple[str, ...]
    """`mesh`, or the `namespace/name` of the Gateways that share the server."""
    port: int
    namespace: str = ""
    labels: Labels = ()


def holds_http(match: HTTPMatchRequest, viewpoint: Viewpoint) -> bool:
    """Whether an HTTP match can hold. With `gateways`, sourceLabels and sourceNamespace do not count."""
    if match.port is not None and match.port != viewpoint.port:
        return False
    if match.gateways:
        return not set(match.gateways).isdisjoint(viewpoint.gateways)
    return selects(match.source_labels, viewpoint.labels) and match.source_namespace in ("", viewpoint.namespace)


def holds_l4(match: L4MatchAttributes | TLSMatchAttributes, viewpoint: Viewpoint) -> bool:
    """Whether a TCP or TLS match can hold: everything that it says must."""
    if match.port is not None and match.port != viewpoint.port:
        return False
    if match.gateways and set(match.gateways).isdisjoint(viewpoint.gateways):
        return False
    return selects(match.source_labels, viewpoint.labels) and match.source_namespace in ("", viewpoint.namespace)


def route_match(match: HTTPMatchRequest | None) -> RouteMatch:
    """What Envoy compares for one match; None is a rule without conditions."""
    if match is None:
        return RouteMatch()
    return RouteMatch(
        path=_path(match),
        headers=tuple(_headers(match)),
        query_parameters=tuple(
            QueryMatch(name=name, match=string_match(value)) for name, value in sorted(match.query_params.items())
        ),
        claims=(*_claims(match.headers, invert=False), *_claims(match.without_headers, invert=True)),
    )


def string_match(matcher: StringMatchModel, *, ignore_case: bool = False) -> StringMatch:
    """One comparison. An empty matcher, and the regex `*`, ask for presence alone."""
    if matcher.exact is not None:
        return StringMatch(kind=MatchKind.EXACT, value=matcher.exact, ignore_case=ignore_case)
    if matcher.prefix is not None:
        return StringMatch(kind=MatchKind.PREFIX, value=matcher.prefix, ignore_case=ignore_case)
    if matcher.regex is not None and matcher.regex != "*":
        return StringMatch(kind=MatchKind.REGEX, value=matcher.regex)
    return StringMatch(kind=MatchKind.PRESENT)


def _path(match: HTTPMatchRequest) -> PathMatch:
    uri = match.uri
    if uri is None:
        return PathMatch()
    if uri.exact is not None:
        return PathMatch(kind=PathKind.EXACT, value=uri.exact, ignore_case=match.ignore_uri_case)
    if uri.regex is not None:
        return PathMatch(kind=PathKind.REGEX, value=uri.regex)
    return PathMatch(value=uri.prefix or "/", ignore_case=match.ignore_uri_case)


def _headers(match: HTTPMatchRequest) -> Iterator[HeaderMatch]:
    """By name, then method, authority and scheme, so that equal configuration has equal bytes."""
    found = [(name, False, value) for name, value in match.headers.items()]
    found += [(name, True, value) for name, value in match.without_headers.items()]
    for name, invert, value in sorted(found, key=lambda item: item[:2]):
        if claim_of(name):
            continue
        comparison = string_match(value)
        missing = invert and comparison.kind is not MatchKind.PRESENT
        yield HeaderMatch(name=name.lower(), match=comparison, invert=invert, missing_is_empty=missing)
    pseudo = ((":method", match.method), (":authority", match.authority), (":scheme", match.scheme))
    for name, own in pseudo:
        if own is not None:
            yield HeaderMatch(name=name, match=string_match(own))


def _claims(headers: Mapping[str, StringMatchModel], *, invert: bool) -> Iterator[ClaimMatch]:
    for name, value in sorted(headers.items()):
        if claim := claim_of(name):
            path = tuple(bracketed or dotted for bracketed, dotted in _CLAIM_PARTS.findall(claim))
            yield ClaimMatch(path=path, match=string_match(value), invert=invert)
