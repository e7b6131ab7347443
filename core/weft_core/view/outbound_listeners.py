"""Which outbound listeners a client has.

HTTP ports of all services share one listener for each number, `0.0.0.0_80`: the Host header tells them apart (in a pod
without IPv4 it is `::_80`; with both, the first one has two addresses). Other
ports have a listener on each service's own address, `10.0.0.5_5432`; those without an address (or with a block of
them) join the shared one. Headless services have a listener on each endpoint's address. Where two services lay claim to
the same connections, the older has them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from weft_core.graph import query
from weft_core.ir.service import Protocol, Service, ServicePort, ServiceRef
from weft_core.names import HTTP_PROXY_ROUTE, VIRTUAL_OUTBOUND
from weft_core.registry import Key, Registry
from weft_core.view.destinations import shared_client
from weft_core.view.endpoints import instances
from weft_core.view.ip_families import IpFamilies
from weft_core.view.outbound_traffic import OutboundTraffic, outbound_traffic
from weft_core.view.services import service
from weft_core.view.shared_hosts import is_ordinary, nobody
from weft_core.view.virtual_hosts import HttpPort, route_name
from weft_core.view.virtual_services import mesh_virtual_services, tcp_rules, tls_rules
from weft_core.view.visibility import Client, seen_ports, visible_services

_ANYWHERE = IpFamilies.V4.anywhere
"""In claims, which all clients share, it stands for a pod's addresses of whichever families."""
_SERVER_FIRST = (Protocol.MYSQL, Protocol.MONGO)
"""Their servers speak first: nothing can be sniffed, so they never share a port with HTTP."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Member:
    """One service's part of a listener: connections that are passed on as bytes."""

    created: tuple[str, str, str]
    ref: ServiceRef
    port: int
    protocol: Protocol
    client: Client
    """Whose rules decide where connections go: the client itself, or nobody in particular."""
    routed: bool = False
    """A VirtualService has TCP or TLS rules for the host."""
    blocks: tuple[str, ...] = ()
    """The service's addresses where they are CIDR blocks."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class VirtualOutboundId:
    """`virtualOutbound`, to which redirection leads all connections; it hands them on to the others."""

    traffic: OutboundTraffic
    bind: bool = True
    addresses: tuple[str, ...] = _ANYWHERE

    @property
    def name(self) -> str:
        """The listener's name."""
        return VIRTUAL_OUTBOUND


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class PortListenerId:
    """A listener for one port: of all services, or of one service's address."""

    addresses: tuple[str, ...]
    port: int
    route: str = ""
    """The route configuration of its HTTP; empty where nothing on it is HTTP."""
    sniffed: bool = False
    """It belongs to one port that does not say its protocol."""
    members: tuple[Member, ...] = ()
    """Oldest first."""
    traffic: OutboundTraffic | None = None
    """What happens to connections that no member wants; None where the address leaves no doubt."""

    @property
    def name(self) -> str:
        """`ADDRESS_PORT`."""
        return f"{self.addresses[0]}_{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class HttpProxyId:
    """The listener that applications use as their HTTP proxy, where nothing redirects their connections."""

    port: int

    @property
    def name(self) -> str:
        """The listener's name."""
        return HTTP_PROXY_ROUTE


OutboundListenerId: TypeAlias = VirtualOutboundId | PortListenerId | HttpProxyId


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """What one port of a service wants: a listener on an address, for HTTP, for bytes, or for both."""

    addresses: tuple[str, ...]
    port: int
    route: str = ""
    sniffed: bool = False
    member: Member | None = None
    created: tuple[str, str, str] = ("", "", "")


@query
def outbound_listener_ids(
    db: Registry, client: Client, families: IpFamilies = IpFamilies.V4
) -> tuple[OutboundListenerId, ...]:
    """All outbound listeners of a sidecar, but the one for its application's HTTP_PROXY (see `HttpProxyId`)."""
    anywhere = families.anywhere
    traffic = outbound_traffic(db, client)
    claims: dict[tuple[str, int], list[_Claim]] = {}
    for ref in visible_services(db, client):
        for claim in _claims(db, nobody(client) if is_ordinary(db, client, ref.host) else client, ref):
            claims.setdefault((claim.addresses[0], claim.port), []).append(claim)
    ports = (_port_listener(claims[place], traffic, anywhere) for place in sorted(claims))
    return (VirtualOutboundId(traffic=traffic, bind=not client.local, addresses=anywhere), *ports)


@query
def _claims(db: Registry, client: Client, ref: ServiceRef) -> tuple[_Claim, ...]:
    """What one service wants. An ExternalName Service is another name of some host, and wants nothing."""
    found = service(db, ref)
    if found is None or found.external_name:
        return ()
    return tuple(
        claim
        for port in seen_ports(db, client, found)
        if port.protocol is not Protocol.UDP
        for claim in _port_claims(db, client, found, port)
    )


def _port_claims(db: Registry, client: Client, found: Service, port: ServicePort) -> Iterator[_Claim]:
    exact = tuple(address for address in found.addresses if "/" not in address and address != "None")
    blocks = tuple(address for address in found.addresses if "/" in address)
    shared = str(port.number)
    if port.protocol.is_http:
        yield _Claim(addresses=_ANYWHERE, port=port.number, route=shared, created=found.created)
        return
    sniffed = port.protocol is Protocol.AUTO
    if exact:
        route = route_name(found.ref.host, HttpPort(port.number, alone=True)) if sniffed else ""
        member = _member(db, client, found, port, ())
        yield _Claim(
            addresses=exact, port=port.number, route=route, sniffed=sniffed, member=member, created=found.created
        )
        if not blocks:
            return
    member = _member(db, client, found, port, blocks)
    route = shared if sniffed else ""
    if not found.headless:
        yield _Claim(addresses=_ANYWHERE, port=port.number, route=route, member=member, created=found.created)
        return
    if sniffed:
        yield _Claim(addresses=_ANYWHERE, port=port.number, route=route, created=found.created)
    for address, number in () if client.local else _endpoints(db, found.ref, port.number):
        yield _Claim(
            addresses=(address,), port=number, route=route, sniffed=sniffed, member=member, created=found.created
        )


@query
def _endpoints(db: Registry, ref: ServiceRef, port: int) -> tuple[tuple[str, int], ...]:
    """Where a headless service's endpoints are: other changes of them disturb no listener."""
    found = instances(db, ref, port)
    return tuple(sorted({(address, each.port) for each in found for address in (each.address, *each.further)}))


def _member(db: Registry, client: Client, found: Service, port: ServicePort, blocks: tuple[str, ...]) -> Member:
    keys = mesh_virtual_services(db, client.namespace, client.sidecar, found.ref.host)
    routed = any(_has_rules(db, key) for key in keys)
    who = Client(namespace=client.namespace, labels=client.labels, sidecar=client.sidecar)
    return Member(
        created=found.created,
        ref=found.ref,
        port=port.number,
        protocol=port.protocol,
        client=who if routed else shared_client(db, client, (found.ref.host,)),
        routed=routed,
        blocks=blocks,
    )


@query
def _has_rules(db: Registry, key: Key) -> bool:
    return bool(tcp_rules(db, key) or tls_rules(db, key))


def _port_listener(claims: list[_Claim], traffic: OutboundTraffic, anywhere: tuple[str, ...]) -> PortListenerId:
    claims = _without_conflicts(sorted(claims, key=lambda claim: claim.created))
    first = claims[0]
    members = tuple(claim.member for claim in claims if claim.member)
    if first.addresses != _ANYWHERE:
        return PortListenerId(
            addresses=first.addresses, port=first.port, route=first.route, sniffed=first.sniffed, members=members[:1]
        )
    return PortListenerId(
        addresses=anywhere,
        port=first.port,
        route=next((claim.route for claim in claims if claim.route), ""),
        members=tuple(_distinct(members)),
        traffic=traffic,
    )


def _without_conflicts(claims: list[_Claim]) -> list[_Claim]:
    """Of HTTP and a protocol whose server speaks first, the older has a shared port to itself."""
    http = [claim for claim in claims if claim.route]
    silent = [claim for claim in claims if claim.member and claim.member.protocol in _SERVER_FIRST]
    if not http or not silent:
        return claims
    losers = silent if claims.index(http[0]) < claims.index(silent[0]) else http
    return [claim for claim in claims if claim not in losers]


def _distinct(members: Iterable[Member]) -> Iterator[Member]:
    """The oldest of those that want the same connections: by blocks, by server name, or all."""
    seen: set[tuple[str, ...]] = set()
    for member in members:
        wanted = member.blocks or ((member.ref.host,) if member.protocol.is_tls else ())
        if wanted not in seen:
            seen.add(wanted)
            yield member


def http_proxy_id(port: int) -> HttpProxyId:
    """The listener on this loopback port for applications that have `HTTP_PROXY` set to it."""
    return HttpProxyId(port=port)
