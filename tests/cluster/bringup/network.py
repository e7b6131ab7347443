"""Addresses of a cluster, and the way from this machine into a node's network namespace."""

import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom

from bringup.errors import Failed

LOOPBACK = "127.0.0.1"
DNS_ADDRESS = "10.96.0.10"

_HOST_INTERFACE, _NODE_INTERFACE = "weft-test0", "weft-test1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One address family of a node: both ends of the pair of interfaces, and the ranges that the cluster hands out.

    `pods` is the cluster's range, `subnet` what the controllers cut from it for the first node.
    """

    node: str
    host: str
    width: int
    pods: str
    subnet: str
    services: str
    anywhere: str
    forwarding: str


IPV4 = Family(
    node="172.30.0.1",
    host="172.30.0.2",
    width=24,
    pods="10.244.0.0/16",
    subnet="10.244.0.0/24",
    services="10.96.0.0/16",
    anywhere="0.0.0.0/0",
    forwarding="net/ipv4/ip_forward",
)
IPV6 = Family(
    node="fd57:6566:7430::1",
    host="fd57:6566:7430::2",
    width=64,
    pods="fd57:6566:7444::/56",
    subnet="fd57:6566:7444::/64",
    services="fd57:6566:7496::/112",
    anywhere="::/0",
    forwarding="net/ipv6/conf/all/forwarding",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Where a control plane listens, and the families that its cluster has, the first one first."""

    address: str
    api_port: int = 6443
    etcd_port: int = 2379
    etcd_peer_port: int = 2380
    families: tuple[Family, ...] = (IPV4,)

    @classmethod
    def on_loopback(cls) -> "Network":
        """Without a node, on ports that are free now."""
        api, etcd, peer = free_ports(3)
        return cls(address=LOOPBACK, api_port=api, etcd_port=etcd, etcd_peer_port=peer)

    @classmethod
    def of_node(cls) -> "Network":
        """In a node's own network namespace; of both families if this machine knows IPv6."""
        families = (IPV4, IPV6) if Path("/proc/net/if_inet6").exists() else (IPV4,)
        return cls(address=IPV4.node, families=families)

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return f"https://{self.address}:{self.api_port}"

    def addresses(self) -> list[str]:
        """All by which clients know the API server; the Service's is the first of its range."""
        names = [f"kubernetes{suffix}" for suffix in ("", ".default", ".default.svc", ".default.svc.cluster.local")]
        return list(dict.fromkeys([*names, "localhost", LOOPBACK, self.address, "10.96.0.1"]))

    def pods(self) -> str:
        """The ranges of Pods, as flags take them."""
        return ",".join(family.pods for family in self.families)

    def services(self) -> str:
        """The ranges of Services, as flags take them."""
        return ",".join(family.services for family in self.families)


def free_ports(count: int) -> list[int]:
    """Loopback ports below the range of outgoing connections (ip(7), ip_local_port_range).

    From that range another process could take a port while the API server is away, or a client that retries could
    even be connected to itself (TCP's simultaneous open).
    """
    ports: list[int] = []
    while len(ports) < count:
        port = SystemRandom().randrange(20000, 30000)
        try:
            socket.create_server((LOOPBACK, port)).close()
        except OSError:
            continue
        if port not in ports:
            ports.append(port)
    return ports


def connect(network: Network, node: int, on_node: Callable[..., str]) -> None:
    """Lead a pair of interfaces into the namespace of process `node`; `on_node` runs a command in there.

    The machine gets routes to Pods and Services; the node gets none to anywhere else.
    """
    _ip("link", "add", _HOST_INTERFACE, "type", "veth", "peer", "name", _NODE_INTERFACE, "netns", node)
    _ip("link", "set", _HOST_INTERFACE, "up")
    on_node("ip", "link", "set", "lo", "up")
    on_node("ip", "link", "set", _NODE_INTERFACE, "up")
    for family in network.families:
        # Duplicate address detection would keep an IPv6 address unusable for a second.
        now = ["nodad"] if family is IPV6 else []
        _ip("address", "add", f"{family.host}/{family.width}", "dev", _HOST_INTERFACE, *now)
        on_node("ip", "address", "add", f"{family.node}/{family.width}", "dev", _NODE_INTERFACE, *now)
        for destinations in (family.pods, family.services):
            _ip("route", "add", destinations, "via", family.node, "dev", _HOST_INTERFACE)
        # Before kube-proxy's rule rewrites the destination there must be some route to it.
        on_node("ip", "route", "add", family.services, "dev", _NODE_INTERFACE)
        on_node("sh", "-c", f"echo 1 > /proc/sys/{family.forwarding}")
    # Where bridges are filtered at all, a Pod's call of a Service that leads back to its own bridge depends on it.
    on_node("sh", "-c", "! test -e $0 || echo 1 > $0", "/proc/sys/net/bridge/bridge-nf-call-iptables")


def disconnect() -> None:
    """Remove the pair, and the routes with it; no error if it is gone."""
    subprocess.run(["ip", "link", "delete", _HOST_INTERFACE], capture_output=True, check=False)


def _ip(*args: str | int) -> None:
    done = subprocess.run(["ip", *map(str, args)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"ip {' '.join(map(str, args))}: {done.stderr.strip()}")
