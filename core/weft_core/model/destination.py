"""Where traffic is sent: destinations with weights, and what happens to headers on the way."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from weft_core.model.base import Model, PortSelector
from weft_core.model.frozen import EMPTY
from weft_core.model.header_value import header_value_mistakes
from weft_core.model.mistake import Mistake
from weft_core.model.scalars import FrozenMap, NonEmpty, ServiceHost, UInt, check_header_name
from weft_core.problems import Code, Severity


def _operated_header(value: str) -> str:
    if value != ":authority":
        check_header_name(value)
    return value


OperatedHeader = Annotated[str, AfterValidator(_operated_header)]
"""A header's name; of the pseudo headers only `:authority` can be written."""


def is_host_header(name: str) -> bool:
    """Whether writing this header writes the request's host."""
    return name.lower() in {"host", ":authority"}


class Destination(Model):
    """A service, or one subset of it. A name without dots means the namespace of the object that it stands in."""

    host: ServiceHost = Field(description="Name of a service of the platform or of a ServiceEntry.")
    subset: NonEmpty | None = Field(None, description="Name of a subset in the service's DestinationRule.")
    port: PortSelector | None = Field(None, description="Needed when the service has several ports.")


class HeaderOperations(Model):
    """Changes to the headers of one direction."""

    set: FrozenMap[OperatedHeader, str] = Field(EMPTY, description="Headers to write, in place of old values.")
    add: FrozenMap[OperatedHeader, str] = Field(EMPTY, description="Values to append to headers.")
    remove: tuple[str, ...] = Field((), description="Headers to remove.")

    def check(self) -> Iterator[Mistake]:
        """Values are formats that Envoy takes, and names to be removed header names that it lets go."""
        yield from header_value_mistakes(self.set, "set")
        yield from header_value_mistakes(self.add, "add")
        for index, name in enumerate(self.remove):
            if not name or name.startswith(":") or name.lower() == "host":
                yield Mistake(
                    path=("remove", index),
                    message=f"`{name}` cannot be removed",
                    fix="name an ordinary header",
                )


class Headers(Model):
    """Changes to request and response headers."""

    request: HeaderOperations | None = Field(None, description="Before the request goes on.")
    response: HeaderOperations | None = Field(None, description="Before the answer goes back.")


class HTTPRouteDestination(Model):
    """One of the destinations that share a rule's requests."""

    destination: Destination = Field(description="Where to.")
    weight: UInt = Field(0, description="Share relative to the sum of the rule's weights.")
    headers: Headers | None = Field(None, description="Header changes for this destination alone.")


class RouteDestination(Model):
    """One of the destinations that share a TLS or TCP rule's connections."""

    destination: Destination = Field(description="Where to.")
    weight: UInt = Field(0, description="Share relative to the sum of the rule's weights.")


def weight_mistakes(route: Sequence[HTTPRouteDestination | RouteDestination]) -> Iterator[Mistake]:
    """Weights that make no sense: all 0 among several destinations, or a sum that 32 bits do not hold."""
    if len(route) < 2:
        return
    total = sum(r.weight for r in route)
    if total == 0:
        yield Mistake(
            path=("route",),
            message="the weights of several destinations sum to 0, so nothing would be sent",
            fix="give each destination a weight, for example 90 and 10",
        )
    elif total > 2**32 - 1:
        yield Mistake(path=("route",), message="the weights sum to more than 4294967295", fix="write smaller weights")
    for index, r in enumerate(route):
        if "weight" not in r.model_fields_set and total:
            yield Mistake(
                path=("route", index),
                severity=Severity.WARNING,
                code=Code.SCHEMA_WARNING,
                message="the destination has no weight beside others that have one, so it gets no traffic",
                fix="write its weight, or remove it",
            )
