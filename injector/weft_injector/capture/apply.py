"""Put the capture rules into the network namespace that this process is in, or take them out: `weft redirect`.

To find out what a kernel takes, rules are offered to it: each backend's text is a transaction, so that one that is
refused leaves nothing behind. Once one is in force, rules that an earlier run left with another backend are removed.
"""

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from weft_core.errors import EnvironmentFault
from weft_injector.capture import iptables, nftables
from weft_injector.capture.backend import Backend, Machine, candidates, tool
from weft_injector.capture.rules import IpVersion
from weft_injector.capture.settings import CaptureSettings

_XTABLES_LOCK = Path("/run/xtables.lock")
_LOCK_SECONDS = 5
_NO_CAPABILITY = (
    "traffic can't be redirected without the capability NET_ADMIN: run the container as user 0 with"
    " securityContext.capabilities.add [NET_ADMIN, NET_RAW]"
)
_DENIED = ("not permitted", "ermission denied")
_MODULES = {
    Backend.NFT: "nf_tables, nft_chain_nat and nft_redir",
    Backend.IPTABLES_NFT: "nf_tables, nft_compat, xt_REDIRECT, xt_owner and xt_comment",
    Backend.IPTABLES_LEGACY: "iptable_nat, ip6table_nat, xt_REDIRECT, xt_owner and xt_comment",
}
_NO_TOOLS = "neither nft nor iptables is installed: use Weft's own image, or install nftables"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a tool ended."""

    code: int
    stdout: str = ""
    stderr: str = ""


Run = Callable[[tuple[str, ...], str], Outcome]
"""Runs a tool with a text as its standard input."""


class Refused(Exception):
    """A tool did not do what it was told. The text is its first word on the matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What is in force now."""

    backend: Backend
    versions: tuple[IpVersion, ...]
    without: str = ""
    """Why IPv6, which nobody uses in this namespace, has no rules; empty where it has some."""


def run_tool(command: tuple[str, ...], text: str) -> Outcome:
    """Run a tool to its end. One that is not installed has refused."""
    try:
        done = subprocess.run(  # noqa: S603 - names of our own, no shell
            command, input=text, capture_output=True, text=True, check=False, env=tool_environment(os.environ)
        )
    except FileNotFoundError:
        return Outcome(code=127, stderr=f"{command[0]} is not installed")
    return Outcome(code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def tool_environment(environ: Mapping[str, str], lock: Path = _XTABLES_LOCK) -> dict[str, str]:
    """The environment of a tool: its folder on the PATH, and a lock that it can open.

    Legacy iptables opens a lock file, which it can't make on a root file system that is read-only. Any file that is
    there will do: nobody else changes rules in a pod's namespace while its init container runs.
    """
    path = f"{environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    writable = os.access(lock if lock.exists() else lock.parent, os.W_OK)
    return {**environ, "PATH": path, "LC_ALL": "C", **({} if writable else {"XTABLES_LOCKFILE": __file__})}


def apply(settings: CaptureSettings, machine: Machine, *, run: Run, backend: Backend | None = None) -> Applied:
    """Redirect traffic, with this backend or the first that the kernel takes. Raises EnvironmentFault."""
    if not machine.net_admin:
        raise EnvironmentFault(_NO_CAPABILITY)
    if backend and backend not in machine.backends:
        raise EnvironmentFault(f"--backend {backend}: it is not installed here; leave it to be found out with auto")
    refusals: dict[Backend, str] = {}
    for chosen in (backend,) if backend else candidates(machine):
        try:
            applied = _apply_with(chosen, settings, machine, run)
        except Refused as refused:
            refusals[chosen] = str(refused)
            continue
        remove(machine, other_than=chosen, run=run)
        return applied
    raise EnvironmentFault(_explain(refusals) if refusals else _NO_TOOLS)


def remove(machine: Machine, *, run: Run, other_than: Backend | None = None) -> tuple[Backend, ...]:
    """Take out the rules of all backends but one, and tell which had some. Raises EnvironmentFault."""
    if not machine.net_admin:
        raise EnvironmentFault(_NO_CAPABILITY)
    try:
        return tuple(
            backend
            for backend in Backend
            if backend is not other_than and backend in machine.backends and _remove_from(backend, machine, run)
        )
    except Refused as refused:
        raise EnvironmentFault(f"rules of an earlier run can't be removed: {refused}") from None


def texts(
    settings: CaptureSettings, backend: Backend, versions: Iterable[IpVersion]
) -> tuple[tuple[tuple[str, ...], str], ...]:
    """What `apply` gives to which command in a namespace without rules of ours: (command, text) pairs."""
    if backend is Backend.NFT:
        return ((_NFT_LOAD, nftables.render(settings, tuple(versions))),)
    return tuple((_restore(backend, version), iptables.render(settings, version)) for version in versions)


_NFT_LOAD = ("nft", "-f", "-")


def _restore(backend: Backend, version: IpVersion) -> tuple[str, ...]:
    return (tool(backend, version, "restore"), "--noflush", f"--wait={_LOCK_SECONDS}")


def _apply_with(backend: Backend, settings: CaptureSettings, machine: Machine, run: Run) -> Applied:
    """IPv6 without an address to be reached at may have no rules; otherwise all have or none."""
    try:
        _load(backend, settings, machine.versions, run)
    except Refused as refused:
        if machine.ipv6_addresses or not machine.ipv6:
            raise
        _load(backend, settings, (IpVersion.V4,), run)
        return Applied(backend=backend, versions=(IpVersion.V4,), without=str(refused))
    return Applied(backend=backend, versions=machine.versions)


def _load(backend: Backend, settings: CaptureSettings, versions: tuple[IpVersion, ...], run: Run) -> None:
    if backend is Backend.NFT:
        _checked(run, _NFT_LOAD, nftables.render(settings, versions))
        return
    for version in versions:
        try:
            saved = _saved(backend, version, run)
            _checked(run, _restore(backend, version), iptables.render(settings, version, saved))
        except Refused:
            for earlier in versions[: versions.index(version)]:  # half of the traffic would be worse than none
                _clean(backend, earlier, run)
            raise


def _remove_from(backend: Backend, machine: Machine, run: Run) -> bool:
    if backend is Backend.NFT:
        listed = run(("nft", "list", "tables"), "")
        if listed.code or not nftables.has_table(listed.stdout):
            return False  # a kernel without nftables has no rules in them
        _checked(run, _NFT_LOAD, nftables.render_cleanup(machine.versions))
        return True
    versions = (v for v in machine.versions if backend is Backend.IPTABLES_NFT or v in machine.legacy)
    cleaned = [_clean(backend, version, run) for version in versions]
    return any(cleaned)


def _clean(backend: Backend, version: IpVersion, run: Run) -> bool:
    """Whether there was something to take out."""
    try:
        saved = _saved(backend, version, run)
    except Refused:
        return False  # a table that can't be read has no rules
    if not iptables.has_chains(saved):
        return False
    _checked(run, _restore(backend, version), iptables.render_cleanup(saved))
    return True


def _saved(backend: Backend, version: IpVersion, run: Run) -> str:
    return _checked(run, (tool(backend, version, "save"), "-t", "nat"), "")


def _checked(run: Run, command: tuple[str, ...], text: str) -> str:
    outcome = run(command, text)
    if outcome.code:
        first = next(_words(outcome.stderr), f"ended with {outcome.code}")
        raise Refused(first if command[0] in first else f"{command[0]}: {first}")
    return outcome.stdout


def _words(stderr: str) -> Iterator[str]:
    return (line.strip() for line in stderr.splitlines() if line.strip())


def _explain(refusals: Mapping[Backend, str]) -> str:
    said = "; ".join(refusals.values())
    if any(word in said for word in _DENIED):
        return f"{_NO_CAPABILITY} (it was said: {said})"
    modules = "; or ".join(_MODULES[backend] for backend in refusals)
    return f"the kernel takes no rules: {said}. Load these modules on the node, as no container can: {modules}"
