"""Extension providers of MeshConfig: external authorizers, tracers and log services that policies refer to by name."""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from weft_core.model.base import OpenModel
from weft_core.model.frozen import EMPTY, FrozenDict
from weft_core.model.mistake import Mistake
from weft_core.model.scalars import Bool, Duration, FrozenMap, NonEmpty, PortNumber, UInt


class RequestBody(OpenModel):
    """The part of a request's body that an authorizer sees."""

    max_request_bytes: UInt = Field(0, description="Bytes at most.")
    allow_partial_message: Bool = Field(False, description="Cut longer bodies, rather than answer 413.")
    pack_as_bytes: Bool = Field(False, description="Send it as bytes, not as UTF-8.")


class _Authorizer(OpenModel):
    """What both forms of external authorizer share."""

    service: NonEmpty = Field(description="host, or namespace/host of a known service.")
    port: PortNumber = Field(description="Port of the service.")
    timeout: Duration | None = Field(None, description="Limit for an answer; 600s by default.")
    fail_open: Bool = Field(False, description="Let requests pass while the authorizer is not there.")
    clear_route_cache: Bool = Field(False, description="Choose the route again after its answer.")
    status_on_error: str = Field("", description="Status while the authorizer is not there; 403 by default.")
    include_request_body_in_check: RequestBody | None = Field(None, description="The body, as far as it is sent.")

    def check(self) -> Iterator[Mistake]:
        """A status that HTTP has."""
        yield from super().check()
        if self.status_on_error and not (self.status_on_error.isdigit() and 100 <= int(self.status_on_error) <= 599):
            yield Mistake(
                path=("statusOnError",), message=f"`{self.status_on_error}` is no HTTP status", fix='write "403"'
            )


class ExtAuthzGrpc(_Authorizer):
    """An authorizer that speaks Envoy's gRPC protocol."""


class ExtAuthzHttp(_Authorizer):
    """An authorizer that speaks HTTP."""

    path_prefix: str = Field("", description="Put before the path of the check.")
    include_headers_in_check: tuple[NonEmpty, ...] = Field((), description="Deprecated: includeRequestHeadersInCheck.")
    include_request_headers_in_check: tuple[NonEmpty, ...] = Field((), description="Headers that it sees.")
    include_additional_headers_in_check: FrozenMap[str, str] = Field(EMPTY, description="Headers added for it.")
    headers_to_upstream_on_allow: tuple[NonEmpty, ...] = Field((), description="Its headers for the application.")
    headers_to_downstream_on_deny: tuple[NonEmpty, ...] = Field((), description="Its headers for a refused caller.")
    headers_to_downstream_on_allow: tuple[NonEmpty, ...] = Field((), description="Its headers for an allowed caller.")


class HttpService(OpenModel):
    """How a collector is called over HTTP."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset({"headers"})

    path: NonEmpty = Field(description="Path of the collector.")
    timeout: Duration | None = Field(None, description="Limit for an answer.")


class OpenTelemetryTracing(OpenModel):
    """An OpenTelemetry collector of spans."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset({"resourceDetectors", "dynatraceSampler", "grpc"})

    service: NonEmpty = Field(description="host, or namespace/host of a known service.")
    port: PortNumber = Field(description="Port of the service.")
    max_tag_length: UInt = Field(0, description="Longest path in a span; 0: 256.")
    http: HttpService | None = Field(None, description="OTLP over HTTP; gRPC without it.")


class ZipkinTracing(OpenModel):
    """A Zipkin collector of spans."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset({"path", "traceContextOption", "timeout", "headers"})

    service: NonEmpty = Field(description="host, or namespace/host of a known service.")
    port: PortNumber = Field(description="Port of the service.")
    max_tag_length: UInt = Field(0, description="Longest path in a span; 0: 256.")
    enable64bit_trace_id: Bool = Field(False, alias="enable64bitTraceId", description="Short trace ids.")


class LogFormat(OpenModel):
    """Form of access log lines."""

    text: str | None = Field(None, description="Envoy's format string.")
    labels: FrozenMap[str, str] = Field(FrozenDict(), description="Format strings by field name, for JSON.")


class FileAccessLog(OpenModel):
    """Access logs in a file."""

    path: str = Field("/dev/stdout", description="The file.")
    log_format: LogFormat | None = Field(None, description="Form of the lines.")


class Prometheus(OpenModel):
    """Metrics for Prometheus, which are always there."""


class ExtensionProvider(OpenModel):
    """One provider, by the name that policies use."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset(
        {
            "lightstep", "datadog", "stackdriver", "opencensus", "skywalking", "envoyHttpAls", "envoyTcpAls",
            "envoyOtelAls", "sds", "envoyExtProc",
        }
    )  # fmt: skip

    name: NonEmpty = Field(description="Name.")
    envoy_ext_authz_grpc: ExtAuthzGrpc | None = Field(None, description="Authorizer over gRPC.")
    envoy_ext_authz_http: ExtAuthzHttp | None = Field(None, description="Authorizer over HTTP.")
    opentelemetry: OpenTelemetryTracing | None = Field(None, description="OpenTelemetry collector.")
    zipkin: ZipkinTracing | None = Field(None, description="Zipkin collector.")
    envoy_file_access_log: FileAccessLog | None = Field(None, description="Access logs in a file.")
    prometheus: Prometheus | None = Field(None, description="Metrics for Prometheus.")

    def check(self) -> Iterator[Mistake]:
        """Exactly one provider under a name."""
        yield from super().check()
        fields = type(self).model_fields
        found = [str(f.alias) for n, f in fields.items() if n != "name" and getattr(self, n) is not None]
        found += sorted(self.UNSUPPORTED & set(self.model_extra or ()))
        if len(found) != 1:
            yield Mistake(
                message=f"`{self.name}` has {' and '.join(found) or 'no provider'}",
                fix="set one of envoyExtAuthzGrpc, envoyExtAuthzHttp, opentelemetry, zipkin, envoyFileAccessLog",
            )


class DefaultProviders(OpenModel):
    """Providers that are used where nothing else is said."""

    tracing: tuple[NonEmpty, ...] = Field((), description="For spans.")
    metrics: tuple[NonEmpty, ...] = Field((), description="For metrics.")
    access_logging: tuple[NonEmpty, ...] = Field((), description="For access logs.")
