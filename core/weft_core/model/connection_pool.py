"""Limits of connections and requests to a destination, and the ejection of failing endpoints."""

from collections.abc import Iterator
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from weft_core.model.base import Model, OpenModel, too_many
from weft_core.model.mistake import Mistake
from weft_core.model.scalars import Bool, Duration, DurationOrZero, Int, UInt
from weft_core.problems import Code, Severity

_INT32 = 2**31 - 1


class H2UpgradePolicy(StrEnum):
    """Whether HTTP/1.1 connections to a destination become HTTP/2."""

    DEFAULT = "DEFAULT"
    DO_NOT_UPGRADE = "DO_NOT_UPGRADE"
    UPGRADE = "UPGRADE"


class TcpKeepalive(Model):
    """Probes on idle connections."""

    probes: UInt = Field(0, description="Unanswered probes after which the connection is dead; 0: the system's.")
    time: DurationOrZero | None = Field(None, description="Idle time before the first probe.")
    interval: DurationOrZero | None = Field(None, description="Time between probes.")


class TCPSettings(Model):
    """Limits for TCP and HTTP connections."""

    max_connections: Int | None = Field(None, ge=0, le=_INT32, description="Connections at most.")
    connect_timeout: Duration | None = Field(None, description="Limit for opening one; the mesh's by default.")
    tcp_keepalive: TcpKeepalive | None = Field(None, description="Probes on idle connections.")
    max_connection_duration: Duration | None = Field(None, description="Age at which a connection is closed.")
    idle_timeout: DurationOrZero | None = Field(None, description="Idle time after which it is closed.")


class HTTPSettings(OpenModel):
    """Limits for HTTP requests."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset({"http2KeepAlive"})

    http1_max_pending_requests: Int | None = Field(
        None, ge=0, le=_INT32, alias="http1MaxPendingRequests", description="Requests that wait for a connection."
    )
    http2_max_requests: Int | None = Field(
        None, ge=0, le=_INT32, alias="http2MaxRequests", description="Requests at once, HTTP/1.1 included."
    )
    max_requests_per_connection: Int | None = Field(None, ge=0, le=_INT32, description="1 switches keep-alive off.")
    max_retries: Int | None = Field(None, ge=0, le=_INT32, description="Retries at once.")
    idle_timeout: DurationOrZero | None = Field(None, description="Idle time after which it is closed; 1h by default.")
    h2_upgrade_policy: H2UpgradePolicy = Field(
        H2UpgradePolicy.DEFAULT, alias="h2UpgradePolicy", description="Upgrade HTTP/1.1 to HTTP/2?"
    )
    use_client_protocol: Bool = Field(False, description="Speak what the caller speaks.")
    max_concurrent_streams: Int | None = Field(None, ge=0, le=_INT32, description="Streams in one HTTP/2 connection.")

    def check(self) -> Iterator[Mistake]:
        """One way to choose the protocol."""
        yield from super().check()
        if self.use_client_protocol and self.h2_upgrade_policy is H2UpgradePolicy.UPGRADE:
            yield from too_many(["h2UpgradePolicy: UPGRADE", "useClientProtocol"])


class ConnectionPoolSettings(Model):
    """Limits for connections to a destination."""

    tcp: TCPSettings | None = Field(None, description="For TCP and HTTP.")
    http: HTTPSettings | None = Field(None, description="For HTTP.")

    def check(self) -> Iterator[Mistake]:
        """A warning where nothing is limited."""
        if not (self.tcp and self.tcp.model_fields_set) and not (self.http and self.http.model_fields_set):
            yield Mistake(
                severity=Severity.WARNING,
                code=Code.SCHEMA_WARNING,
                message="the connection pool sets nothing",
                fix="add tcp or http limits, or remove it",
            )


class OutlierDetection(Model):
    """Endpoints that fail are left out for a while."""

    consecutive_errors: Int | None = Field(None, ge=0, description="Deprecated: see consecutive5xxErrors.")
    split_external_local_origin_errors: Bool = Field(False, description="Count connection failures by themselves.")
    consecutive_local_origin_failures: UInt | None = Field(None, description="Failed connections in a row; 5.")
    consecutive_gateway_errors: UInt | None = Field(None, description="502, 503 and 504 in a row; 0 is off.")
    consecutive_5xx_errors: UInt | None = Field(
        None, alias="consecutive5xxErrors", description="5xx in a row; 5 by default, 0 is off."
    )
    interval: Duration | None = Field(None, description="Time between looks; 10s by default.")
    base_ejection_time: Duration | None = Field(None, description="First ejection, longer each time; 30s.")
    max_ejection_percent: Int | None = Field(None, ge=0, le=100, description="Endpoints out at once; 10 by default.")
    min_health_percent: Int | None = Field(None, ge=0, le=100, description="Below it all endpoints are used; 0: never.")
    outlier_detection_http_error_codes: tuple[UInt, ...] = Field((), description="Statuses that count as errors.")

    def check(self) -> Iterator[Mistake]:
        """The note about consecutiveErrors, and ranges of statuses."""
        if self.consecutive_errors is not None:
            beaten = self.consecutive_5xx_errors is not None
            yield Mistake(
                path=("consecutiveErrors",),
                severity=Severity.WARNING,
                code=Code.DEPRECATED,
                message="consecutiveErrors is deprecated; its successor is consecutive5xxErrors"
                + (", which is set and wins" if beaten else ""),
                fix="remove it" if beaten else f"write consecutive5xxErrors: {self.consecutive_errors}",
            )
        if self.consecutive_local_origin_failures and not self.split_external_local_origin_errors:
            yield Mistake(
                path=("consecutiveLocalOriginFailures",),
                message="failed connections are counted by themselves only with splitExternalLocalOriginErrors",
                fix="add splitExternalLocalOriginErrors: true",
            )
        for index, status in enumerate(self.outlier_detection_http_error_codes):
            if not 100 <= status <= 599:
                yield Mistake(
                    path=("outlierDetectionHttpErrorCodes", index),
                    message=f"{status} is no HTTP status",
                    fix="write 100 to 599",
                )

    @property
    def effective_consecutive_5xx(self) -> int | None:
        """consecutive5xxErrors, or where only the deprecated field is set, that."""
        return self.consecutive_errors if self.consecutive_5xx_errors is None else self.consecutive_5xx_errors


class RetryBudget(Model):
    """Retries at once, relative to the requests at once."""

    percent: float | None = Field(None, ge=0, le=100, description="Share of the active requests; 20 by default.")
    min_retry_concurrency: UInt | None = Field(None, description="Retries that are always allowed; 3 by default.")
    budget_interval: DurationOrZero | None = Field(None, description="Time over which requests are counted.")
