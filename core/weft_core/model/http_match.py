"""What an HTTP rule of a VirtualService matches: HTTPMatchRequest."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from weft_core.model.base import Model, StringMatch
from weft_core.model.frozen import EMPTY, FrozenDict
from weft_core.model.mistake import Mistake
from weft_core.model.scalars import Bool, FrozenMap, Labels, PortNumber, refuse
from weft_core.problems import Code, Severity

_CLAIMS = "@request.auth.claims"
_NAME = re.compile(rf":?[!#$%&'*+\-.^_`|~0-9A-Za-z]+|{re.escape(_CLAIMS)}[.\[].+")


def _matched_header(value: str) -> str:
    if not _NAME.fullmatch(value):
        refuse(f"`{value}` is not a header name", "write letters, digits and hyphens only: end-user")
    return value


def claim_of(name: str) -> str:
    """Behind what stands for a token's claim in place of a header's name: `[group]`, `.group`; empty for a header."""
    return name.removeprefix(_CLAIMS) if name.startswith(_CLAIMS) else ""


MatchedHeader = Annotated[str, AfterValidator(_matched_header)]
"""A header's name, or `@request.auth.claims[group]`: a claim of the verified token (gateways only)."""

NO_MATCHES: Mapping[str, StringMatch] = FrozenDict()


class URIMatch(StringMatch):
    """How a path is compared."""

    EMPTY_PREFIX: ClassVar[bool] = True


class HTTPMatchRequest(Model):
    """Conditions on one request, all of which must hold. A rule's several matches are alternatives."""

    name: str = Field("", description="Appended to the rule's name, for logs.")
    uri: URIMatch | None = Field(None, description="The path, without the query. `prefix` is textual.")
    scheme: StringMatch | None = Field(None, description="http or https.")
    method: StringMatch | None = Field(None, description="The HTTP method.")
    authority: StringMatch | None = Field(None, description="The Host or :authority header.")
    headers: FrozenMap[MatchedHeader, StringMatch] = Field(
        NO_MATCHES, description="Headers by lower-case name. An empty matcher asks for presence."
    )
    without_headers: FrozenMap[MatchedHeader, StringMatch] = Field(
        NO_MATCHES, description="Headers that must not match."
    )
    query_params: FrozenMap[str, StringMatch] = Field(NO_MATCHES, description="Query parameters by name.")
    port: PortNumber | None = Field(None, description="The service's port that was addressed.")
    ignore_uri_case: Bool = Field(False, description="Compare exact and prefix paths in any case.")
    source_labels: Labels = Field(EMPTY, description="Labels of the calling workload. Ignored with `gateways`.")
    source_namespace: str = Field("", description="Namespace of the calling workload. Ignored with `gateways`.")
    gateways: tuple[str, ...] = Field((), description="Gateways, or `mesh`, for which alone this match counts.")
    stat_prefix: str = Field("", description="Prefix of the statistics of the routes made from this match.")

    def check(self) -> Iterator[Mistake]:
        """The path, scheme, method and authority need a real matcher; only headers and parameters know presence."""
        for name in ("uri", "scheme", "method", "authority"):
            matcher: StringMatch | None = getattr(self, name)
            if matcher is not None and matcher.is_present_match:
                yield Mistake(
                    path=(name,),
                    message=f"`{name}` is matched with nothing",
                    fix="write one of exact, prefix and regex below it, or remove it",
                )
        if self.uri is not None and self.uri.regex is not None and self.ignore_uri_case:
            yield Mistake(
                path=("ignoreUriCase",),
                severity=Severity.WARNING,
                code=Code.SCHEMA_WARNING,
                message="ignoreUriCase has no effect on a regex",
                fix="begin the regular expression with (?i) instead",
            )

    @property
    def is_catch_all(self) -> bool:
        """Whether it holds for every request of every caller."""
        any_path = self.uri is None or self.uri.prefix in {"", "/"} or self.uri.regex == ".*"
        return any_path and not any(
            (
                self.scheme, self.method, self.authority, self.headers, self.without_headers, self.query_params,
                self.port, self.source_labels, self.source_namespace, self.gateways,
            )
        )  # fmt: skip
