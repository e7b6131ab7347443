"""What becomes of each TCP connection that enters or leaves a pod: Istio's rules, in Istio's order.

The first rule that matches decides. The order carries meaning: the proxy's call to its own pod must be caught before
the proxy's calls are let through, and exclusions come before inclusions.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from weft_core.names import HBONE_PORT
from weft_injector.capture.settings import PROXY_PORTS, CaptureSettings, Network

LOOPBACK_INTERFACE = "lo"


class IpVersion(IntEnum):
    """Each version has rules of its own, alike but for the addresses."""

    V4 = 4
    V6 = 6

    @property
    def loopback(self) -> Network:
        """Where applications reach containers of their own pod without the proxy: this address, not the whole /8."""
        return ipaddress.ip_network("127.0.0.1/32" if self is IpVersion.V4 else "::1/128")

    @property
    def passthrough_source(self) -> Network:
        """What the proxy binds to when it hands an inbound connection to the application."""
        return ipaddress.ip_network("127.0.0.6/32" if self is IpVersion.V4 else "::6/128")


class Verdict(StrEnum):
    """What a rule does with a connection that matches."""

    RETURN = "return"
    """It goes its way, past the proxy."""
    INBOUND = "inbound"
    """To the proxy's inbound listener, 15006."""
    OUTBOUND = "outbound"
    """To the proxy's outbound listener, 15001."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """All that is set must hold; a collection holds if one of its members does. Without anything it matches all.

    The interface is the one a packet comes in by before routing, and the one it goes out by in output. Who owns the
    socket is known in output only.
    """

    not_tcp: bool = False
    interfaces: tuple[str, ...] = ()
    source: Network | None = None
    destinations: tuple[Network, ...] = ()
    not_destination: Network | None = None
    ports: tuple[int, ...] = ()
    not_port: int | None = None
    uid: int | None = None
    not_uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of a chain. The name says, to whoever lists a pod's rules, what it is there for."""

    name: str
    match: Match
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRules:
    """The chains of one IP version. What no rule matches goes past the proxy."""

    prerouting: tuple[Rule, ...]
    output: tuple[Rule, ...]


def capture_rules(settings: CaptureSettings, version: IpVersion) -> CaptureRules:
    """The rules for connections into the pod, and out of it or within it."""
    first = tuple(_uncaptured(settings))
    return CaptureRules(
        prerouting=(*first, *_of_virtual_machines(settings, version), *_inbound(settings)),
        output=(*first, *_own_connections(settings, version), *_outbound(settings, version)),
    )


def _uncaptured(settings: CaptureSettings) -> Iterable[Rule]:
    if settings.exclude_interfaces:
        yield _pass("excluded interfaces", Match(interfaces=tuple(sorted(settings.exclude_interfaces))))
    yield _pass("not TCP, DNS over UDP included", Match(not_tcp=True))


def _of_virtual_machines(settings: CaptureSettings, version: IpVersion) -> Iterable[Rule]:
    """What comes in from a virtual machine is on its way out of the pod, so the rules for outbound connections hold.

    Istio knows no exclusion here; an excluded address or port is excluded for all of the pod.
    """
    if not settings.reroute_interfaces:
        return
    interfaces = tuple(sorted(settings.reroute_interfaces))
    for rule in (*_excluded_ports(settings), *_outbound(settings, version)):
        name = f"{rule.name}, from virtual machines"
        yield replace(rule, name=name, match=replace(rule.match, interfaces=interfaces))
    yield _pass("all else from virtual machines", Match(interfaces=interfaces))


def _excluded_ports(settings: CaptureSettings) -> Iterable[Rule]:
    if settings.exclude_outbound_ports:
        yield _pass("excluded outbound ports", Match(ports=tuple(sorted(settings.exclude_outbound_ports))))


def _inbound(settings: CaptureSettings) -> Iterable[Rule]:
    """Istio ignores excluded ports beside a list of included ones; here both count."""
    yield _pass("ports of the proxy", Match(ports=tuple(sorted(PROXY_PORTS))))
    if settings.exclude_inbound_ports:
        yield _pass("excluded inbound ports", Match(ports=tuple(sorted(settings.exclude_inbound_ports))))
    included = settings.include_inbound_ports
    if included is None:
        yield Rule(name="all inbound ports", match=Match(), verdict=Verdict.INBOUND)
    elif included:
        match = Match(ports=tuple(sorted(included)))
        yield Rule(name="included inbound ports", match=match, verdict=Verdict.INBOUND)


def _own_connections(settings: CaptureSettings, version: IpVersion) -> Iterable[Rule]:
    """Connections of the proxy, and within the pod.

    Applications reach their own pod directly, unless loopback addresses are among the included ones. Istio has the
    rule for that a second time, for the proxy's group; after the first one it could never match.
    """
    yield from _excluded_ports(settings)
    yield _pass(
        "inbound connections on their way to the application",
        Match(interfaces=(LOOPBACK_INTERFACE,), source=version.passthrough_source),
    )
    yield _to_itself(version, uid=settings.proxy_uid)
    included = settings.include_outbound_cidrs or ()
    if not any(cidr.is_loopback for cidr in included if cidr.version == version):
        match = Match(interfaces=(LOOPBACK_INTERFACE,), not_uid=settings.proxy_uid)
        yield _pass("applications to their own pod", match)
    yield _pass("the proxy, by its user", Match(uid=settings.proxy_uid))
    yield _to_itself(version, gid=settings.proxy_gid)
    yield _pass("the proxy, by its group", Match(gid=settings.proxy_gid))
    yield _pass("loopback", Match(destinations=(version.loopback,)))


def _to_itself(version: IpVersion, *, uid: int | None = None, gid: int | None = None) -> Rule:
    """The proxy's choice fell on its own pod: policies for inbound connections hold there like anywhere else."""
    match = Match(
        interfaces=(LOOPBACK_INTERFACE,),
        not_destination=version.loopback,
        not_port=HBONE_PORT,
        uid=uid,
        gid=gid,
    )
    return Rule(name="the proxy to its own pod", match=match, verdict=Verdict.INBOUND)


def _outbound(settings: CaptureSettings, version: IpVersion) -> Iterable[Rule]:
    """Exclusions of addresses, then inclusions; a list without addresses of this version includes none of them."""
    if excluded := _of(version, settings.exclude_outbound_cidrs):
        yield _pass("excluded outbound addresses", Match(destinations=excluded))
    if settings.include_outbound_ports:
        match = Match(ports=tuple(sorted(settings.include_outbound_ports)))
        yield Rule(name="included outbound ports", match=match, verdict=Verdict.OUTBOUND)
    if settings.include_outbound_cidrs is None:
        yield Rule(name="all outbound addresses", match=Match(), verdict=Verdict.OUTBOUND)
    elif included := _of(version, settings.include_outbound_cidrs):
        match = Match(destinations=included)
        yield Rule(name="included outbound addresses", match=match, verdict=Verdict.OUTBOUND)


def _pass(name: str, match: Match) -> Rule:
    return Rule(name=name, match=match, verdict=Verdict.RETURN)


def _of(version: IpVersion, cidrs: Iterable[Network]) -> tuple[Network, ...]:
    """Those of this version, sorted and without overlap, which a set of intervals could not hold."""
    if version is IpVersion.V4:
        return tuple(ipaddress.collapse_addresses(c for c in cidrs if isinstance(c, ipaddress.IPv4Network)))
    return tuple(ipaddress.collapse_addresses(c for c in cidrs if isinstance(c, ipaddress.IPv6Network)))
