"""An HTTP rule of a VirtualService: what is done with the requests that it matches."""

import base64
from collections.abc import Iterator
from enum import StrEnum

from pydantic import AliasChoices, Field

from weft_core.model.base import Model, Percent, one_of, regex_mistakes, too_many
from weft_core.model.cors import CorsPolicy
from weft_core.model.destination import Destination, Headers, HTTPRouteDestination, is_host_header, weight_mistakes
from weft_core.model.fault import HTTPFaultInjection
from weft_core.model.http_match import HTTPMatchRequest
from weft_core.model.mistake import Mistake
from weft_core.model.scalars import Bool, Duration, DurationOrZero, Int, NonEmpty, PortNumber, UInt
from weft_core.problems import Code, Severity

RETRY_CONDITIONS = frozenset(
    {
        "5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "retriable-4xx", "refused-stream",
        "retriable-status-codes", "retriable-headers", "envoy-ratelimited", "http3-post-connect-failure",
        "cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
    }
)  # fmt: skip
"""Words that `retryOn` may hold, beside status codes: Envoy's x-envoy-retry-on and x-envoy-retry-grpc-on."""

MAX_DIRECT_RESPONSE_BODY = 1024 * 1024
"""Bytes of a fixed body at most. Envoy is told the same number (`ir.route`), and would refuse the routes."""
REDIRECT_CODES = frozenset({301, 302, 303, 307, 308})


class RedirectPortSelection(StrEnum):
    """Where a redirect's port comes from when none is written."""

    FROM_PROTOCOL_DEFAULT = "FROM_PROTOCOL_DEFAULT"
    FROM_REQUEST_PORT = "FROM_REQUEST_PORT"


class HTTPRedirect(Model):
    """Answer with a redirection. What is not set keeps the request's own value."""

    uri: str = Field("", description="The new path, in place of the whole old one.")
    prefix_rewrite: str | None = Field(None, description="The new beginning, in place of the matched prefix.")
    authority: str = Field("", description="The new host.")
    port: PortNumber | None = Field(None, description="The new port.")
    derive_port: RedirectPortSelection | None = Field(None, description="Where the port comes from otherwise.")
    scheme: str = Field("", description="http or https.")
    redirect_code: UInt = Field(301, description="301, 302, 303, 307 or 308.")

    def check(self) -> Iterator[Mistake]:
        """Something must change, with a status that redirects, and one source for the port."""
        yield from too_many(one_of(self, "port", "derive_port"))
        if self.uri and self.prefix_rewrite is not None:
            yield from too_many(["uri", "prefixRewrite"])
        if not (self.uri or self.authority or self.scheme or one_of(self, "port", "derive_port", "prefix_rewrite")):
            yield Mistake(message="the redirect changes nothing", fix="set uri, authority, scheme or port")
        if self.scheme and self.scheme not in {"http", "https"}:
            yield Mistake(path=("scheme",), message=f"`{self.scheme}` is no scheme", fix="write http or https")
        if self.redirect_code not in REDIRECT_CODES:
            yield Mistake(
                path=("redirectCode",),
                message=f"{self.redirect_code} does not redirect",
                fix="write 301, 302, 303, 307 or 308",
            )


class HTTPBody(Model):
    """A fixed body, as text or as base64 bytes."""

    string: str | None = Field(None, description="The body as text.")
    bytes_: str | None = Field(None, alias="bytes", description="The body's bytes in base64.")

    def check(self) -> Iterator[Mistake]:
        """Text or bytes, as much as Envoy is told to take."""
        yield from too_many(one_of(self, "string", "bytes_"))
        size = len((self.string or "").encode())
        try:
            size += len(base64.b64decode(self.bytes_ or "", validate=True))
        except ValueError:
            yield Mistake(path=("bytes",), message="it is not base64", fix="encode the body in base64, or write string")
        if size > MAX_DIRECT_RESPONSE_BODY:
            yield Mistake(message=f"the body has {size} bytes", fix="shorten it to 1 MiB")


class HTTPDirectResponse(Model):
    """Answer with a fixed status and body."""

    status: Int = Field(ge=200, le=599, description="HTTP status.")
    body: HTTPBody | None = Field(None, description="Body, up to 1 MiB.")


class Delegate(Model):
    """A VirtualService without hosts that holds the rules in place of this one."""

    name: NonEmpty = Field(description="Name of the VirtualService.")
    namespace: str = Field("", description="Its namespace; empty for this object's own.")


class RegexRewrite(Model):
    """Replacement of a part of the path by a regular expression (RE2) with groups."""

    match: NonEmpty = Field(description="What is replaced.")
    rewrite: str = Field(description=r"The replacement; \1 is the first group.")

    def check(self) -> Iterator[Mistake]:
        """Envoy must take the expression."""
        yield from regex_mistakes(self.match, ("match",))


class HTTPRewrite(Model):
    """Changes of path and host before the request goes on."""

    uri: str = Field("", description="Replaces the matched prefix, or the whole path after exact and regex.")
    authority: str = Field("", description="Replaces the host.")
    uri_regex_rewrite: RegexRewrite | None = Field(None, description="Replaces a part of the path; wins over uri.")

    def check(self) -> Iterator[Mistake]:
        """Something must change, in one way."""
        if self.uri and self.uri_regex_rewrite:
            yield from too_many(["uri", "uriRegexRewrite"])
        if not (self.uri or self.authority or self.uri_regex_rewrite):
            yield Mistake(message="the rewrite changes nothing", fix="set uri, uriRegexRewrite or authority")


class HTTPRetry(Model):
    """When and how often a failed request is tried again."""

    attempts: Int = Field(0, ge=0, description="Tries after the first one. 0 switches retries off.")
    per_try_timeout: DurationOrZero | None = Field(None, description="Limit for each try, the first included.")
    retry_on: str = Field("", description="Conditions and status codes, separated by commas.")
    retry_remote_localities: Bool | None = Field(None, description="May tries go to other localities?")
    retry_ignore_previous_hosts: Bool | None = Field(None, description="Avoid hosts already tried (the default)?")
    backoff: Duration | None = Field(None, description="Base of the growing pause between tries; 25ms by default.")

    def check(self) -> Iterator[Mistake]:
        """Only known conditions; no conditions for retries that are switched off."""
        for word in filter(None, (w.strip() for w in self.retry_on.split(","))):
            if word not in RETRY_CONDITIONS and not (word.isdigit() and 100 <= int(word) <= 599):
                yield Mistake(
                    path=("retryOn",),
                    message=f"`{word}` is not a retry condition",
                    fix="write status codes or words such as 5xx, gateway-error, reset, connect-failure, unavailable",
                )
        if not self.attempts and (self.retry_on or self.per_try_timeout or self.retry_remote_localities is not None):
            yield Mistake(
                path=("attempts",),
                message="retries are described and switched off, as attempts is 0",
                fix="write attempts: 1 or more, or leave the other fields out",
            )


class HTTPMirrorPolicy(Model):
    """A copy of requests, sent elsewhere; its answers are dropped."""

    destination: Destination = Field(description="Where the copies go.")
    percentage: Percent | None = Field(None, description="Share of requests; all by default.")


class HTTPRoute(Model):
    """One rule: the first whose match holds decides. Without `match` it holds for every request."""

    name: str = Field("", description="For logs and statistics.")
    match: tuple[HTTPMatchRequest, ...] = Field((), description="Alternatives, one of which must hold.")
    route: tuple[HTTPRouteDestination, ...] = Field((), description="Destinations that share the requests.")
    redirect: HTTPRedirect | None = Field(None, description="Answer with a redirection.")
    direct_response: HTTPDirectResponse | None = Field(None, description="Answer with a fixed response.")
    delegate: Delegate | None = Field(None, description="Take the rules from another VirtualService.")
    rewrite: HTTPRewrite | None = Field(None, description="Change path and host.")
    timeout: DurationOrZero | None = Field(None, description="Limit for the whole request; none by default.")
    retries: HTTPRetry | None = Field(None, description="When a failed request is tried again.")
    fault: HTTPFaultInjection | None = Field(None, description="Faults to inject.")
    mirror: Destination | None = Field(None, description="Send copies here. See mirrors for several.")
    mirror_percent: UInt | None = Field(
        None,
        alias="mirrorPercent",
        validation_alias=AliasChoices("mirrorPercent", "mirror_percent"),
        description="Deprecated: see mirrorPercentage.",
    )
    mirror_percentage: Percent | None = Field(None, description="Share of requests that are copied.")
    mirrors: tuple[HTTPMirrorPolicy, ...] = Field((), description="Send copies to these.")
    cors_policy: CorsPolicy | None = Field(None, description="Cross-origin requests.")
    headers: Headers | None = Field(None, description="Header changes.")

    def check(self) -> Iterator[Mistake]:
        """Exactly one action, and nothing beside it that it would make void."""
        actions = one_of(self, "redirect", "direct_response", "delegate")
        if self.route:
            actions.insert(0, "route")
        if not actions:
            yield Mistake(
                message="the rule says nothing about what to do",
                fix="add route, redirect, directResponse or delegate",
            )
        yield from too_many(actions)
        if self.redirect or self.direct_response:
            action = "redirect" if self.redirect else "directResponse"
            for name in one_of(self, "fault", "rewrite"):
                yield Mistake(path=(name,), message=f"{name} has no effect on a {action}", fix=f"remove {name}")
        yield from weight_mistakes(self.route)
        yield from self._check_rewrites()
        if self.mirror and self.mirrors:
            yield from too_many(["mirror", "mirrors"])
        if self.mirror_percent is not None:
            if self.mirror_percent > 100:
                yield Mistake(path=("mirrorPercent",), message="it is above 100", fix="write 0 to 100")
            yield Mistake(
                path=("mirrorPercent",),
                severity=Severity.WARNING,
                code=Code.DEPRECATED,
                message="mirrorPercent is deprecated",
                fix="write mirrorPercentage: {value: …}",
            )
        if (self.mirror_percentage or self.mirror_percent is not None) and not self.mirror:
            yield Mistake(
                path=("mirror",),
                severity=Severity.WARNING,
                code=Code.SCHEMA_WARNING,
                message="a share of copies without a destination",
                fix="add mirror.host",
            )

    def _check_rewrites(self) -> Iterator[Mistake]:
        """The host is written once, and the prefix that is replaced is one that was matched."""
        request = self.headers.request if self.headers else None
        hosts = [name for name in (*request.set, *request.add) if is_host_header(name)] if request else []
        if len(hosts) + bool(self.rewrite and self.rewrite.authority) > 1:
            yield Mistake(
                path=("headers", "request"),
                message="the host is written more than once",
                fix="keep one of rewrite.authority and the header",
            )
        if self.redirect is not None and self.redirect.prefix_rewrite:
            for index, match in enumerate(self.match):
                if match.uri is not None and match.uri.prefix is None:
                    yield Mistake(
                        path=("match", index, "uri"),
                        message="redirect.prefixRewrite replaces a prefix, and none is matched here",
                        fix="write uri: {prefix: …}, or redirect.uri",
                    )

    @property
    def is_catch_all(self) -> bool:
        """Whether it holds for every request, so that no rule behind it is ever reached."""
        return not self.match or any(m.is_catch_all for m in self.match)
