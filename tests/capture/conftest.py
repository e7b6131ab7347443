"""A pod and the world outside of it, as two network namespaces, and connections between them.

A thread enters a namespace, becomes a user, makes a socket and ends: the kernel asks a socket, not a process, for its
namespace and its owner. Both calls are made for the thread alone; `os.setresuid` would change the whole process.
"""

import ctypes
import io
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TypeVar

import pytest
from bringup import Unavailable
from bringup.machine import ensure

from weft_cli import redirect

WEFT = Path(sys.executable).with_name("weft")
OUTBOUND, INBOUND = 15001, 15006
APPLICATION = 1000
"""The user of the pod's application."""
_TOOLS = {
    "ip": "iproute2",
    "nft": "nftables",
    "iptables-nft-restore": "iptables",
    "iptables-legacy-restore": "iptables",
    "ip6tables-nft-restore": "iptables",
}
"""Programs, and the Debian packages that bring them."""
_CLONE_NEWNET = 0x40000000
_SO_ORIGINAL_DST = 80
"""The same number at the levels of IPv4 and IPv6 (linux/netfilter_ipv4.h, linux/netfilter_ipv6/ip6_tables.h)."""
_SYSCALLS = {"x86_64": (119, 117), "aarch64": (149, 147)}  # setresgid, setresuid

T = TypeVar("T")


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    """Without root or the tools there are no namespaces to test in: skipped, and said so."""
    if os.geteuid():
        pytest.skip("traffic capture is not tested: network namespaces take root")
    try:
        ensure(_TOOLS)
    except Unavailable as reason:
        pytest.skip(f"traffic capture is not tested: {reason}")


@dataclass
class Namespace:
    """A network namespace with an address of each IP version, and servers in it."""

    name: str
    addresses: dict[int, str]
    closing: ExitStack = field(default_factory=ExitStack)

    def run(self, *command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        line = ["ip", "netns", "exec", self.name, *map(str, command)]
        return subprocess.run(line, check=check, capture_output=True, text=True)

    def redirect(self, *arguments: str) -> str:
        """Run `weft redirect` in it, without the price of a new interpreter; what it has said."""
        with io.StringIO() as said, redirect_stdout(said), redirect_stderr(said):
            code = self.inside(lambda: redirect.main(arguments))
            assert code == 0, said.getvalue()
            return said.getvalue()

    def rules(self) -> str:
        """All rules of all kinds, as the kernel has them: without counters and comments of the tools."""
        saved = [self.run(f"{tool}-save", "-t", "nat").stdout for tool in ("iptables-legacy", "ip6tables-legacy")]
        text = "\n".join((self.run("nft", "list", "ruleset").stdout, *saved))
        return "\n".join(line.split(" [")[0] for line in text.splitlines() if not line.startswith("#"))

    def inside(self, action: Callable[[], T], *, uid: int = 0, gid: int = 0) -> T:
        """Do something in a thread of its own that is in the namespace and belongs to a user."""
        result: Future[T] = Future()

        def work() -> None:
            try:
                _enter(self.name)
                _become(uid, gid)
                result.set_result(action())
            except BaseException as error:
                result.set_exception(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return result.result(0)

    def listen(self, *ports: int) -> None:
        """Answer connections to these ports with the port, and where the connection was meant to go if that differs."""
        for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            for port in ports:
                server = self.inside(
                    lambda at=(anywhere, port), family=family: socket.create_server(at, family=family)  # type: ignore[misc]
                )
                self.closing.callback(server.close)
                threading.Thread(target=_answer, args=(server,), daemon=True).start()

    def reach(self, host: str, port: int, *, uid: int = APPLICATION, gid: int = APPLICATION, source: str = "") -> str:
        """Connect as a user, and return the answer; of `Namespace.listen`, for example `15001 for 10.0.0.2:80`."""

        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with self.inside(lambda: socket.socket(family), uid=uid, gid=gid) as connection:
            connection.settimeout(5)
            if source:
                connection.bind((source, 0))
            connection.connect((host, port))
            return connection.recv(100).decode()


@dataclass(frozen=True)
class Network:
    """A pod, and what it is connected to."""

    pod: Namespace
    outside: Namespace


@pytest.fixture
def wire() -> Iterator[Network]:
    """Two namespaces on a wire. In both, ports 22, 80 and 8080 answer."""
    mark = f"weft-{os.getpid()}"
    pod = Namespace(f"{mark}-pod", {4: "10.99.0.2", 6: "fd99::2"})
    outside = Namespace(f"{mark}-out", {4: "10.99.0.1", 6: "fd99::1"})
    both = (pod, outside)
    with ExitStack() as stack:
        for namespace in both:
            _ip("netns", "add", namespace.name)
            stack.callback(_ip, "netns", "delete", namespace.name)
            stack.enter_context(namespace.closing)
        _ip("link", "add", "eth0", "netns", pod.name, "type", "veth", "peer", "name", "eth0", "netns", outside.name)
        for namespace in both:
            _ip("-n", namespace.name, "link", "set", "lo", "up")
            _ip("-n", namespace.name, "link", "set", "eth0", "up")
            _ip("-n", namespace.name, "address", "add", f"{namespace.addresses[4]}/24", "dev", "eth0")
            _ip("-n", namespace.name, "address", "add", f"{namespace.addresses[6]}/64", "dev", "eth0", "nodad")
            namespace.listen(22, 80, 8080)
        yield Network(pod, outside)


@pytest.fixture
def network(wire: Network) -> Network:
    """The same with a stand-in for Envoy in the pod, which tells where connections were to go."""
    wire.pod.listen(OUTBOUND, INBOUND, 15020, 15021)
    return wire


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def _enter(name: str) -> None:
    with Path("/run/netns", name).open() as handle:
        _checked(ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), _CLONE_NEWNET))


def _become(uid: int, gid: int) -> None:
    """The group first: once the user is another, it may no longer."""
    libc = ctypes.CDLL(None, use_errno=True)
    for number, identity in zip(_SYSCALLS[os.uname().machine], (gid, uid), strict=True):
        _checked(libc.syscall(number, identity, identity, identity))


def _checked(code: int) -> None:
    if code:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _answer(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return  # closed
        with connection:
            port = server.getsockname()[1]
            meant = f" for {_destination(connection)}" if port in {OUTBOUND, INBOUND} else ""
            connection.sendall(f"{port}{meant}".encode())


def _destination(connection: socket.socket) -> str:
    """Where the connection was to go before it was redirected: what Envoy's original_dst listener filter asks for."""
    address: IPv4Address | IPv6Address
    if connection.family == socket.AF_INET:
        raw = connection.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16)  # struct sockaddr_in
        port, packed = struct.unpack_from("!2xH4s", raw)
    else:
        raw = connection.getsockopt(socket.IPPROTO_IPV6, _SO_ORIGINAL_DST, 28)  # struct sockaddr_in6
        port, packed = struct.unpack_from("!2xH4x16s", raw)
    address = ip_address(packed)
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


@pytest.fixture(scope="session")
def weft() -> Path:
    """The command."""
    return WEFT
