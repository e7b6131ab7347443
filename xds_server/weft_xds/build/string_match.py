"""Comparisons of texts."""

from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from weft_core.ir.string_match import MatchKind, StringMatch


def build_string_match(match: StringMatch) -> StringMatcher:
    """Envoy's message. Presence alone is any text but the empty one."""
    match match.kind:
        case MatchKind.EXACT:
            return StringMatcher(exact=match.value, ignore_case=match.ignore_case)
        case MatchKind.PREFIX:
            return StringMatcher(prefix=match.value, ignore_case=match.ignore_case)
        case MatchKind.SUFFIX:
            return StringMatcher(suffix=match.value, ignore_case=match.ignore_case)
        case MatchKind.REGEX:
            return StringMatcher(safe_regex=RegexMatcher(regex=match.value))
        case MatchKind.PRESENT:
            return StringMatcher(safe_regex=RegexMatcher(regex=".+"))
