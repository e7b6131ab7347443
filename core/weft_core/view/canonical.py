"""Names in full: short host names and gateway names of a VirtualService's rules, resolved where they were written.

Short names are meant in the namespace of the object that uses them, never the caller's. Once a delegate's rules stand
in another object's list nobody could tell any more, so this comes first. Aliases end here too: rules name services.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from weft_core.model.destination import Destination
from weft_core.model.virtual_service import (
    HTTPMatchRequest,
    HTTPMirrorPolicy,
    HTTPRoute,
    HTTPRouteDestination,
    L4MatchAttributes,
    RouteDestination,
    TCPRoute,
    TLSMatchAttributes,
    TLSRoute,
)
from weft_core.names import qualified_gateway, resolve_host
from weft_core.registry import Registry
from weft_core.view.aliases import real_host

M = TypeVar("M", HTTPMatchRequest, L4MatchAttributes, TLSMatchAttributes)
D = TypeVar("D", HTTPRouteDestination, RouteDestination, HTTPMirrorPolicy)
R = TypeVar("R", TCPRoute, TLSRoute)


@dataclass(frozen=True, slots=True)
class Naming:
    """What names mean in the objects of one namespace."""

    namespace: str
    host: Callable[[str], str]
    """The full name of a destination's host; of an ExternalName Service, that of the service that it stands for."""


def naming(db: Registry, namespace: str) -> Naming:
    """What names mean in `namespace`. Part of the query that calls it."""
    return Naming(namespace, lambda host: real_host(db, resolve_host(host, namespace, db.settings.domain)))


def canonical_http(rule: HTTPRoute, naming: Naming) -> HTTPRoute:
    """An HTTP rule of an object in `namespace` with all names in full."""
    return rule.model_copy(
        update={
            "match": tuple(_match(match, naming.namespace) for match in rule.match),  # pyright: ignore[reportArgumentType]
            "route": tuple(_destination(entry, naming) for entry in rule.route),
            "mirror": _resolved(rule.mirror, naming) if rule.mirror else None,
            "mirrors": tuple(_destination(entry, naming) for entry in rule.mirrors),
        }
    )


def canonical_l4(rule: R, naming: Naming) -> R:
    """A TCP or TLS rule of an object in `namespace` with all names in full."""
    return rule.model_copy(
        update={
            "match": tuple(_match(match, naming.namespace) for match in rule.match),  # pyright: ignore[reportArgumentType]
            "route": tuple(_destination(entry, naming) for entry in rule.route),
        }
    )


def _match(match: M, namespace: str) -> M:
    if not match.gateways:
        return match
    return match.model_copy(update={"gateways": tuple(qualified_gateway(name, namespace) for name in match.gateways)})


def _destination(entry: D, naming: Naming) -> D:
    return entry.model_copy(update={"destination": _resolved(entry.destination, naming)})


def _resolved(destination: Destination, naming: Naming) -> Destination:
    return destination.model_copy(update={"host": naming.host(destination.host)})
