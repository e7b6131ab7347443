"""What of a pod's traffic is captured: the wishes, whichever way they were expressed."""

import ipaddress
import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from weft_core.names import HBONE_PORT, INBOUND_PORT, METRICS_PORT, OUTBOUND_PORT, READINESS_PORT

Network = IPv4Network | IPv6Network

PROXY_UID = 1337
PROXY_GID = 1337
MERGED_METRICS_PORT = 15020
"""Where Istio's agent serves merged metrics and probes; monitoring and policies are written with it in mind."""
PROXY_PORTS = frozenset({HBONE_PORT, MERGED_METRICS_PORT, METRICS_PORT, READINESS_PORT})
"""Ports that the proxy itself serves: never captured inbound, or probes and scrapes would have to speak mutual TLS."""

# The kernel's limit is 15 bytes. Of the characters it allows, those that could end nft's quoted string are left out.
_INTERFACE = re.compile(r"[A-Za-z0-9_.:@-]{1,15}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSettings:
    """What to capture, Istio's defaults being everything. In an include field, None means everything, empty nothing.

    Ports are TCP's: no other protocol is captured, so DNS over UDP stays untouched. An exclusion always beats an
    inclusion. Raises ValueError for what could not be a port or the name of an interface.
    """

    outbound_port: int = OUTBOUND_PORT
    inbound_port: int = INBOUND_PORT
    proxy_uid: int = PROXY_UID
    proxy_gid: int = PROXY_GID
    include_outbound_cidrs: tuple[Network, ...] | None = None
    exclude_outbound_cidrs: tuple[Network, ...] = ()
    include_outbound_ports: frozenset[int] = frozenset()
    """Captured whatever their destination, in addition to `include_outbound_cidrs`."""
    exclude_outbound_ports: frozenset[int] = frozenset()
    include_inbound_ports: frozenset[int] | None = None
    exclude_inbound_ports: frozenset[int] = frozenset()
    """In addition to `PROXY_PORTS`."""
    exclude_interfaces: frozenset[str] = frozenset()
    reroute_interfaces: frozenset[str] = frozenset()
    """Of virtual machines behind the pod: what comes in by them is captured as if the pod itself had sent it."""

    def __post_init__(self) -> None:
        """Refuse what a ruleset could not contain."""
        for port in (
            self.outbound_port,
            self.inbound_port,
            *self.include_outbound_ports,
            *self.exclude_outbound_ports,
            *(self.include_inbound_ports or ()),
            *self.exclude_inbound_ports,
        ):
            check_port(port)
        for interface in self.exclude_interfaces | self.reroute_interfaces:
            check_interface(interface)


def check_port(port: int) -> int:
    """The same port, if it is one. Raises ValueError."""
    if not 0 < port <= 65535:
        raise ValueError(f"port {port} is not between 1 and 65535")
    return port


def check_interface(name: str) -> str:
    """The same name, if an interface can have it; patterns such as `eth+` are none. Raises ValueError."""
    if not _INTERFACE.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a network interface")
    return name


def parse_port(text: str) -> int:
    """The port that a text names. Raises ValueError."""
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text!r} is not a port")
    return check_port(int(text[:6]))  # six digits are too many already; int() has a limit of its own


def parse_network(text: str) -> Network:
    """The CIDR that a text names, without bits beyond its prefix; a lone address means itself. Raises ValueError."""
    try:
        if "%" in text:
            raise ValueError("a scope has no meaning in a rule")
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not a CIDR") from None
