"""Ports as the networking kinds write them, with the protocols that are spoken on them."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field

from weft_core.model.base import Model
from weft_core.model.mistake import Mistake, Path
from weft_core.model.scalars import NonEmpty, PortNumber, is_label, refuse
from weft_core.problems import Code, Severity

PROTOCOLS = frozenset(
    ["HTTP", "HTTPS", "HTTP2", "GRPC", "GRPC-WEB", "TCP", "TLS", "UDP", "MONGO", "REDIS", "MYSQL", "HTTP_PROXY"]
)
"""Protocol names, in capitals; users may write them in any case."""
HTTP_PROTOCOLS = frozenset({"HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTP_PROXY"})
TLS_PROTOCOLS = frozenset({"HTTPS", "TLS"})


def _protocol(value: str) -> str:
    upper = value.upper()
    if upper not in PROTOCOLS:
        refuse(f"`{value}` is not a protocol", "write HTTP, HTTP2, GRPC, HTTPS, TLS, TCP …")
    return upper


def _protocol_or_none(value: str) -> str:
    return _protocol(value) if value else value


Protocol = Annotated[str, AfterValidator(_protocol)]
"""A protocol's name, kept in capitals."""
OptionalProtocol = Annotated[str, AfterValidator(_protocol_or_none)]
"""The same, or empty: it is recognised from the first bytes."""
NumberOrZero = Annotated[int, Field(strict=True, ge=0, le=65535)]
"""A port's number, which a Unix socket does not have."""


def port_name_mistakes(name: str, path: Path) -> Iterator[Mistake]:
    """A mistake for what is no name of a port."""
    if not is_label(name):
        yield Mistake(
            path=path,
            message=f"`{name}` is not the name of a port",
            fix="write letters, digits and hyphens only: http-web",
        )


class Port(Model):
    """A gateway's port. A Unix socket has number 0 or none."""

    number: NumberOrZero = Field(0, description="Port number of the gateway's Service.")
    protocol: Protocol = Field(description="HTTP, HTTPS, GRPC, HTTP2, TLS, TCP, MONGO …")
    name: NonEmpty = Field(description="Label of the port.")
    target_port: PortNumber | None = Field(None, description="Deprecated and without effect.")

    def check(self) -> Iterator[Mistake]:
        """The pod's port is what its Service says."""
        if self.target_port is not None:
            yield _no_target_port("the pod's port is the targetPort of its Service")


class ServicePort(Model):
    """A port of a ServiceEntry."""

    number: PortNumber = Field(description="Port that callers use.")
    protocol: OptionalProtocol = Field("", description="HTTP, HTTPS, GRPC, TLS, TCP …; detected without it.")
    name: NonEmpty = Field(description="Label of the port.")
    target_port: PortNumber | None = Field(None, description="Port of the endpoints, where it differs.")


class SidecarPort(Model):
    """A port of a Sidecar's listener. A Unix socket has number 0 or none."""

    number: NumberOrZero = Field(0, description="Port number.")
    protocol: OptionalProtocol = Field("", description="HTTP, HTTPS, GRPC, TLS, TCP …; detected without it.")
    name: str = Field("", description="Label of the port.")
    target_port: PortNumber | None = Field(None, description="Has no effect.")

    def check(self) -> Iterator[Mistake]:
        """Where the application listens is defaultEndpoint's to say."""
        if self.target_port is not None:
            yield _no_target_port("an ingress listener's application is at defaultEndpoint")


def _no_target_port(instead: str) -> Mistake:
    return Mistake(
        path=("targetPort",),
        severity=Severity.WARNING,
        code=Code.UNSUPPORTED_FIELD,
        message=f"targetPort has no effect: {instead}",
        fix="remove it",
    )
