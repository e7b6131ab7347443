"""Cross-origin requests: the policy of a rule."""

from weft_core.ir.route import Cors
from weft_core.ir.string_match import MatchKind, StringMatch
from weft_core.model.virtual_service import CorsPolicy, UnmatchedPreflights
from weft_core.view.route_match import string_match


def cors(policy: CorsPolicy) -> Cors:
    """A rule's policy; the deprecated `allowOrigin` counts where `allowOrigins` is not there."""
    origins = tuple(string_match(origin) for origin in policy.allow_origins)
    old = tuple(StringMatch(kind=MatchKind.EXACT, value=origin) for origin in policy.allow_origin)
    return Cors(
        allow_origins=origins or old,
        allow_methods=policy.allow_methods,
        allow_headers=policy.allow_headers,
        expose_headers=policy.expose_headers,
        max_age=policy.max_age,
        allow_credentials=policy.allow_credentials,
        forward_unmatched_preflights=policy.unmatched_preflights is not UnmatchedPreflights.IGNORE,
    )
