"""Cross-origin requests: what browsers may do with the answers of another origin."""

from collections.abc import Iterator
from enum import StrEnum

from pydantic import Field

from weft_core.model.base import Model, StringMatch
from weft_core.model.mistake import Mistake
from weft_core.model.scalars import Bool, Duration, is_header_name
from weft_core.problems import Code, Severity

METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"])


class UnmatchedPreflights(StrEnum):
    """What happens to a preflight request from a foreign origin."""

    UNSPECIFIED = "UNSPECIFIED"
    FORWARD = "FORWARD"
    IGNORE = "IGNORE"


class CorsPolicy(Model):
    """Cross-origin requests that browsers may make."""

    allow_origin: tuple[str, ...] = Field((), description="Deprecated: exact origins. See allowOrigins.")
    allow_origins: tuple[StringMatch, ...] = Field((), description="Origins.")
    allow_methods: tuple[str, ...] = Field((), description="Methods.")
    allow_headers: tuple[str, ...] = Field((), description="Request headers.")
    expose_headers: tuple[str, ...] = Field((), description="Response headers that scripts may read.")
    max_age: Duration | None = Field(None, description="How long a browser may remember a preflight's answer.")
    allow_credentials: Bool | None = Field(None, description="May cookies be sent along?")
    unmatched_preflights: UnmatchedPreflights = Field(
        UnmatchedPreflights.UNSPECIFIED, description="Forward (the default) or answer foreign preflights."
    )

    def check(self) -> Iterator[Mistake]:
        """Known methods, names of headers, origins, whole seconds, and a note where the deprecated field is used."""
        for index, method in enumerate(self.allow_methods):
            if method not in METHODS and method != "*":
                fix = f"write {method.upper()}" if method.upper() in METHODS else "write GET, POST …"
                yield Mistake(path=("allowMethods", index), message=f"`{method}` is no HTTP method", fix=fix)
        for field, names in (("allowHeaders", self.allow_headers), ("exposeHeaders", self.expose_headers)):
            for index, name in enumerate(names):
                if not is_header_name(name):
                    yield Mistake(path=(field, index), message=f"`{name}` is not a header name", fix="correct it")
        for index, origin in enumerate(self.allow_origins):
            if origin.is_present_match or origin.exact == "":
                yield Mistake(
                    path=("allowOrigins", index),
                    message="the origin is matched with nothing",
                    fix="write one of exact, prefix and regex",
                )
        if self.max_age is not None and self.max_age.microseconds:
            yield Mistake(path=("maxAge",), message="maxAge counts whole seconds", fix="write 1s or more")
        if self.allow_origin:
            yield Mistake(
                path=("allowOrigin",),
                severity=Severity.WARNING,
                code=Code.DEPRECATED,
                message="allowOrigin is deprecated",
                fix="write allowOrigins: [{exact: …}]",
            )
