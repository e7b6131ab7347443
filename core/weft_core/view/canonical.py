"""Names in full: short host names and gateway names of a VirtualService's rules, resolved where they were written.

Short names are meant in the namespace of the object that uses them, never the caller's. Once a delegate's rules stand
in another object's list nobody could tell any more, so this comes first.
"""

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
from weft_core.names import MESH_GATEWAY, resolve_host

M = TypeVar("M", HTTPMatchRequest, L4MatchAttributes, TLSMatchAttributes)
D = TypeVar("D", HTTPRouteDestination, RouteDestination, HTTPMirrorPolicy)
R = TypeVar("R", TCPRoute, TLSRoute)


def qualified_gateway(name: str, namespace: str) -> str:
    """A gateway's name in full: `mesh` stays, a bare name is meant in the object's own namespace, `./` likewise."""
    if name == MESH_GATEWAY:
        return name
    owner, slash, rest = name.rpartition("/")
    return f"{namespace}/{rest}" if not slash or owner == "." else name


def canonical_http(rule: HTTPRoute, namespace: str, domain: str) -> HTTPRoute:
    """An HTTP rule of an object in `namespace` with all names in full."""
    return rule.model_copy(
        update={
            "match": tuple(_match(match, namespace) for match in rule.match),  # pyright: ignore[reportArgumentType]
            "route": tuple(_destination(entry, namespace, domain) for entry in rule.route),
            "mirror": _resolved(rule.mirror, namespace, domain) if rule.mirror else None,
            "mirrors": tuple(_destination(entry, namespace, domain) for entry in rule.mirrors),
        }
    )


def canonical_l4(rule: R, namespace: str, domain: str) -> R:
    """A TCP or TLS rule of an object in `namespace` with all names in full."""
    return rule.model_copy(
        update={
            "match": tuple(_match(match, namespace) for match in rule.match),  # pyright: ignore[reportArgumentType]
            "route": tuple(_destination(entry, namespace, domain) for entry in rule.route),
        }
    )


def _match(match: M, namespace: str) -> M:
    if not match.gateways:
        return match
    return match.model_copy(update={"gateways": tuple(qualified_gateway(name, namespace) for name in match.gateways)})


def _destination(entry: D, namespace: str, domain: str) -> D:
    return entry.model_copy(update={"destination": _resolved(entry.destination, namespace, domain)})


def _resolved(destination: Destination, namespace: str, domain: str) -> Destination:
    return destination.model_copy(update={"host": resolve_host(destination.host, namespace, domain)})
