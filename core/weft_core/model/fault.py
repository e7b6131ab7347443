"""Faults that a VirtualService injects: delays and aborts for a share of the requests."""

from collections.abc import Iterator

from pydantic import Field

from weft_core.model.base import Model, Percent, one_of, too_many
from weft_core.model.mistake import Mistake
from weft_core.model.scalars import Duration, Int
from weft_core.problems import Code, Severity

GRPC_STATUSES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
"""gRPC status names in the order of their numbers."""


class Delay(Model):
    """A pause before the request goes on."""

    percentage: Percent | None = Field(None, description="Share of requests. Without it the fault never fires.")
    percent: Int | None = Field(None, ge=0, le=100, description="Deprecated: see percentage.")
    fixed_delay: Duration | None = Field(None, description="Length of the pause.")
    exponential_delay: Duration | None = Field(None, description="Accepted and without effect, as in Istio.")

    def check(self) -> Iterator[Mistake]:
        """There must be a pause, and it must ever happen."""
        found = one_of(self, "fixed_delay", "exponential_delay")
        yield from too_many(found)
        if not found:
            yield Mistake(message="the delay has no length", fix="add fixedDelay: 5s")
        if self.exponential_delay is not None:
            yield Mistake(
                path=("exponentialDelay",),
                severity=Severity.WARNING,
                code=Code.UNSUPPORTED_FIELD,
                message="exponentialDelay has no effect",
                fix="write fixedDelay",
            )
        if self.percent is not None:
            yield Mistake(
                path=("percent",),
                severity=Severity.WARNING,
                code=Code.DEPRECATED,
                message="percent is deprecated",
                fix="write percentage: {value: …}",
            )
        if self.percentage is None and not self.percent:
            yield _never_fires("delay")


class Abort(Model):
    """An answer with an error, in place of the request."""

    percentage: Percent | None = Field(None, description="Share of requests. Without it the fault never fires.")
    http_status: Int | None = Field(None, ge=200, le=599, description="HTTP status of the answer.")
    grpc_status: str | None = Field(None, description="gRPC status by name: UNAVAILABLE.")
    http2_error: str | None = Field(None, description="Not supported by Envoy.")

    def check(self) -> Iterator[Mistake]:
        """One status, which Envoy can send, and some share of the requests."""
        found = one_of(self, "http_status", "grpc_status", "http2_error")
        yield from too_many(found)
        if not found:
            yield Mistake(message="the abort has no status", fix="add httpStatus: 503, or grpcStatus: UNAVAILABLE")
        if self.http2_error is not None:
            yield Mistake(path=("http2Error",), message="Envoy sends no HTTP/2 errors", fix="write httpStatus")
        if self.grpc_status is not None and self.grpc_status not in GRPC_STATUSES:
            yield Mistake(
                path=("grpcStatus",),
                message=f"`{self.grpc_status}` is no gRPC status",
                fix="write its name in capitals: UNAVAILABLE, NOT_FOUND …",
            )
        if self.percentage is None:
            yield _never_fires("abort")


class HTTPFaultInjection(Model):
    """A delay, an abort, or both, one after the other."""

    delay: Delay | None = Field(None, description="Pause before the request goes on.")
    abort: Abort | None = Field(None, description="Answer with an error.")

    def check(self) -> Iterator[Mistake]:
        """One of them at least."""
        if not one_of(self, "delay", "abort"):
            yield Mistake(message="the fault is empty", fix="add delay or abort")


def _never_fires(what: str) -> Mistake:
    return Mistake(
        severity=Severity.WARNING,
        code=Code.FAULT_NEVER_FIRES,
        message=f"the {what} has no percentage, so it never happens",
        fix="add percentage: {value: 100}",
    )
