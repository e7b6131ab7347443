"""Comparisons of texts, as access control and TLS use them."""

from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from weft_core.ir.rbac import TextMatch, TextMatcher


def build_text_matcher(matcher: TextMatcher) -> StringMatcher:
    """Envoy's message. A regular expression has to match the whole text, and knows case by itself (`(?i)`)."""
    match matcher.kind:
        case TextMatch.EXACT:
            return StringMatcher(exact=matcher.text, ignore_case=matcher.ignore_case)
        case TextMatch.PREFIX:
            return StringMatcher(prefix=matcher.text, ignore_case=matcher.ignore_case)
        case TextMatch.SUFFIX:
            return StringMatcher(suffix=matcher.text, ignore_case=matcher.ignore_case)
        case TextMatch.REGEX:
            return StringMatcher(safe_regex=RegexMatcher(regex=matcher.text))
