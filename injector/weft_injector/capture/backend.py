"""Which of the kernel's ways to redirect traffic to try, in which order, from what a pod's namespace looks like."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from weft_injector.capture.rules import LOOPBACK_INTERFACE, IpVersion

PROC = Path("/proc/thread-self")
"""Of the thread, not the process: a network namespace is a thread's, and a tool that it starts inherits that one."""
_CAP_NET_ADMIN = 12
"""The bit of the capability that changing a network namespace takes, in linux/capability.h."""
_LINK_LOCAL = ("fe8", "fe9", "fea", "feb")


class Backend(StrEnum):
    """A way to write rules, by the tool that does; the preferred ones first."""

    NFT = "nft"
    IPTABLES_NFT = "iptables-nft"
    IPTABLES_LEGACY = "iptables-legacy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What can be known without changing anything."""

    backends: frozenset[Backend]
    """Those whose tools are installed."""
    legacy: frozenset[IpVersion] = frozenset()
    """IP versions whose legacy NAT table is in use in this namespace. To ask the tool itself would put it there."""
    net_admin: bool = True
    ipv6: bool = True
    """Whether the kernel speaks IPv6 here, even if it be on loopback only."""
    ipv6_addresses: bool = True
    """Whether somebody outside could be reached by it: rules for it are not optional then."""

    @property
    def versions(self) -> tuple[IpVersion, ...]:
        """The IP versions that want rules."""
        return tuple(IpVersion) if self.ipv6 else (IpVersion.V4,)


def candidates(machine: Machine) -> tuple[Backend, ...]:
    """The backends to try, the best first; the first one that the kernel takes is used.

    Native nftables replaces the rules of both IP versions at once. Legacy tables are last: to read them loads them, and
    kernels without nftables refuse the others in the same breath.
    """
    return tuple(backend for backend in Backend if backend in machine.backends)


def tool(backend: Backend, version: IpVersion, verb: str) -> str:
    """`ip6tables-legacy-restore` and the like: by its full name, as plain `iptables` may be either variant."""
    family = "iptables" if version is IpVersion.V4 else "ip6tables"
    return f"{family}-{backend.removeprefix('iptables-')}-{verb}"


def look(proc: Path = PROC) -> Machine:
    """See what there is on this machine and in this network namespace."""
    addresses = _read(proc / "net/if_inet6")
    return Machine(
        backends=frozenset(_installed()),
        legacy=frozenset(_legacy(proc)),
        net_admin=_has_capability(_read(proc / "status"), _CAP_NET_ADMIN),
        ipv6=bool(addresses),
        ipv6_addresses=any(_reachable(line) for line in addresses.splitlines()),
    )


def _installed() -> Iterable[Backend]:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"  # where the tools are, also for users without them
    if shutil.which("nft", path=path):
        yield Backend.NFT
    for backend in (Backend.IPTABLES_NFT, Backend.IPTABLES_LEGACY):
        if shutil.which(tool(backend, IpVersion.V4, "restore"), path=path):
            yield backend


def _legacy(proc: Path) -> Iterable[IpVersion]:
    if "nat" in _read(proc / "net/ip_tables_names").split():
        yield IpVersion.V4
    if "nat" in _read(proc / "net/ip6_tables_names").split():
        yield IpVersion.V6


def _has_capability(status: str, bit: int) -> bool:
    """From the line `CapEff:` of `status`, a hexadecimal mask."""
    masks = (line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return any(int(mask, 16) >> bit & 1 for mask in masks)


def _reachable(line: str) -> bool:
    """A line of `net/if_inet6` begins with an address of 32 digits and ends with the interface's name."""
    words = line.split()
    return words[-1] != LOOPBACK_INTERFACE and not words[0].startswith(_LINK_LOCAL)


def _read(path: Path) -> str:
    """Empty where there is no such thing: the kernel has not loaded it, or does not let us see it."""
    try:
        return path.read_text()
    except OSError:
        return ""
