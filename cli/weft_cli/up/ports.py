"""Loopback ports: which are free, which name gets which, and who holds one that is taken."""

import contextlib
import errno
import hashlib
import os
import re
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from weft_core.errors import EnvironmentFault, PortInUse

LOOPBACK = "127.0.0.1"

FIRST_PORT = 20_000
LAST_PORT = 32_767
"""The range to allocate from ends where Linux begins to take ports for outgoing connections (macOS: 49152)."""

_LISTEN = "0A"
"""TCP_LISTEN in /proc/net/tcp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortHolder:
    """The process that listens on a port."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command})"


class PortAllocator:
    """Gives each name a free port, and the same name the same port for as long as the allocator lives.

    Where the search begins is a hash of seed and name, so that two runs over one folder mostly get equal
    ports (curl lines in a shell's history keep working) and runs over different folders do not fight for the
    same ones.
    """

    def __init__(self, seed: str, *, first: int = FIRST_PORT, last: int = LAST_PORT) -> None:
        self._seed = seed
        self._first = first
        self._size = last - first + 1
        self._ports: dict[str, int] = {}
        self._taken: set[int] = set()

    def port(self, name: str) -> int:
        """Return the port of this name, choosing it at the first call.

        Raises EnvironmentFault when the whole range is taken.
        """
        if name not in self._ports:
            self._ports[name] = self._choose(name)
        return self._ports[name]

    def reserve(self, port: int) -> None:
        """Keep a port that is wanted for something else, such as a service's own, out of the choice."""
        self._taken.add(port)

    def _choose(self, name: str) -> int:
        digest = hashlib.blake2b(f"{self._seed}\0{name}".encode(), digest_size=8).digest()
        start = int.from_bytes(digest, "big") % self._size
        for offset in range(self._size):
            port = self._first + (start + offset) % self._size
            if port not in self._taken and is_free(port):
                self._taken.add(port)
                return port
        last = self._first + self._size - 1
        raise EnvironmentFault(f"no free port from {self._first} to {last}: end some of the programs that listen there")


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Tell whether a server could listen here now.

    Binds as servers do, with SO_REUSEADDR: connections of an earlier server in TIME_WAIT do not count. It has
    to be asked before Envoy starts, because Envoy's SO_REUSEPORT would share the port with another Envoy in
    silence.
    """
    # On macOS SO_REUSEADDR lets a specific address be bound beside somebody's wildcard: ask for both.
    hosts = (host, "0.0.0.0") if sys.platform == "darwin" else (host,)  # noqa: S104 - bound, never listened on
    return all(_can_bind(address, port) for address in hosts)


def _can_bind(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def taken_reason(port: int, host: str = LOOPBACK) -> str | None:
    """Say why no server can listen here, and who does; None if the port is free."""
    if is_free(port, host):
        return None
    if holder := port_holder(port):
        return f"port {port} is taken by {holder}"
    if port < 1024 and hasattr(os, "geteuid") and os.geteuid() != 0:
        return f"port {port} is below 1024, which needs root here, or is taken"
    return f"port {port} is taken by another process"


def require_free(port: int, *, wanted_by: str, host: str = LOOPBACK) -> None:
    """Raise PortInUse, naming who wants the port and who has it, unless it is free."""
    if reason := taken_reason(port, host):
        raise PortInUse(f"{reason}, and {wanted_by} needs it: end that process first")


def port_holder(port: int) -> PortHolder | None:
    """Find the process that listens on a port: Linux only, and only among processes that we may inspect.

    Walks /proc/net/tcp for the socket's inode and /proc/PID/fd for its owner, which blocks for some
    milliseconds.
    """
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    targets = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        # Processes end while we look, and other users' descriptors are hidden.
        with contextlib.suppress(OSError):
            if any(_target(descriptor) in targets for descriptor in process.joinpath("fd").iterdir()):
                return PortHolder(pid=int(process.name), command=_command(process))
    return None


def _listening_inodes(port: int) -> set[str]:
    """Read the inodes of the sockets that listen on a port, in both address families."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(fields[9])
    return inodes


def _target(descriptor: Path) -> str:
    """Read what a descriptor points at; it may have been closed since it was listed."""
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""


def _command(process: Path) -> str:
    """Read a command line for people: at most 60 characters, control characters as spaces."""
    words = process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    words = re.sub(r"[\x00-\x1f\x7f]+", " ", words) or process.joinpath("comm").read_text().strip()
    return words if len(words) <= 60 else words[:59] + "…"
