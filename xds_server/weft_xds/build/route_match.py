"""What a request must look like for a route."""

from typing import Final

from envoy.config.route.v3.route_components_pb2 import HeaderMatcher, QueryParameterMatcher, RouteMatch
from envoy.type.matcher.v3.metadata_pb2 import MetadataMatcher
from envoy.type.matcher.v3.value_pb2 import ListMatcher, OrMatcher, ValueMatcher

from weft_core.ir import route as ir
from weft_core.ir.authn import PAYLOAD
from weft_core.ir.string_match import MatchKind
from weft_xds.build.string_match import build_string_match

JWT_FILTER: Final = "envoy.filters.http.jwt_authn"


def build_route_match(match: ir.RouteMatch) -> RouteMatch:
    """Envoy's message."""
    message = RouteMatch(
        headers=[_header(header) for header in match.headers],
        query_parameters=[_query_parameter(parameter) for parameter in match.query_parameters],
        dynamic_metadata=[_claim(claim) for claim in match.claims],
    )
    _set_path(message, match.path)
    return message


def _set_path(message: RouteMatch, path: ir.PathMatch) -> None:
    match path.kind:
        case ir.PathKind.EXACT:
            message.path = path.value
        case ir.PathKind.PREFIX:
            message.prefix = path.value
        case ir.PathKind.SEGMENTS:
            _set_segments(message, path.value)
        case ir.PathKind.REGEX:
            message.safe_regex.regex = path.value
    if path.ignore_case:
        message.case_sensitive.value = False


def _set_segments(message: RouteMatch, prefix: str) -> None:
    """Envoy compares by segments only below a prefix that has one, and wants it without a slash at its end."""
    if trimmed := prefix.rstrip("/"):
        message.path_separated_prefix = trimmed
    else:
        message.prefix = "/"


def _header(header: ir.HeaderMatch) -> HeaderMatcher:
    message = HeaderMatcher(
        name=header.name, invert_match=header.invert, treat_missing_header_as_empty=header.missing_is_empty
    )
    if header.match.kind is MatchKind.PRESENT:
        message.present_match = True
    else:
        message.string_match.CopyFrom(build_string_match(header.match))
    return message


def _query_parameter(parameter: ir.QueryMatch) -> QueryParameterMatcher:
    if parameter.match.kind is MatchKind.PRESENT:
        return QueryParameterMatcher(name=parameter.name, present_match=True)
    return QueryParameterMatcher(name=parameter.name, string_match=build_string_match(parameter.match))


def _claim(claim: ir.ClaimMatch) -> MetadataMatcher:
    """A claim is a text, or a list of which one text has to match."""
    text = ValueMatcher(string_match=build_string_match(claim.match))
    either = OrMatcher(value_matchers=[text, ValueMatcher(list_match=ListMatcher(one_of=text))])
    return MetadataMatcher(
        filter=JWT_FILTER,
        path=[MetadataMatcher.PathSegment(key=key) for key in (PAYLOAD, *claim.path)],
        value=ValueMatcher(or_match=either),
        invert=claim.invert,
    )
