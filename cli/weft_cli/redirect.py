"""`weft redirect`: the pod's init container, which leads its traffic through Envoy before anything else starts.

Every pod of a mesh waits for it, so it loads nothing but what it needs: the standard library, and what writes rules.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from weft_core.errors import EnvironmentFault
from weft_core.names import INBOUND_PORT, OUTBOUND_PORT
from weft_injector.capture import apply, loopback
from weft_injector.capture import backend as backends
from weft_injector.capture.backend import Backend, Machine
from weft_injector.capture.flags import ALL, FlagError, settings_of
from weft_injector.capture.settings import PROXY_GID, PROXY_UID, CaptureSettings

_AUTO = "auto"
_LAST_ID = 2**32 - 2
"""The highest user or group: the number after it stands for none (chown(2))."""
_ABOUT = """Lead this network namespace's TCP connections through Envoy; for a pod's init container.

Lists are separated by commas; an exclusion beats an inclusion. To run it twice is to run it once.
It takes the capability NET_ADMIN, and for iptables-legacy NET_RAW as well."""


def main(arguments: Sequence[str]) -> int:
    """Run the command with what stands behind its name; the exit code: 2 for a mistake in a flag, 1 for a fault."""
    parser = _parser()
    flags = vars(parser.parse_args(arguments))
    backend, dry_run, cleanup = flags.pop("backend"), flags.pop("dry_run"), flags.pop("cleanup")
    try:
        settings = settings_of(**flags)
    except FlagError as error:
        parser.error(f"argument {error.flag}: {error}")
    chosen = None if backend == _AUTO else Backend(backend)
    try:
        _run(settings, chosen, dry_run=dry_run, cleanup=cleanup)
    except EnvironmentFault as fault:
        sys.stderr.write(f"weft: {fault}\n")
        return 1
    return 0


def _run(settings: CaptureSettings, backend: Backend | None, *, dry_run: bool, cleanup: bool) -> None:
    """Write the rules, print them or remove them. Raises EnvironmentFault."""
    machine = backends.look()
    if dry_run:
        sys.stdout.write(_shown(settings, backend, machine))
    elif cleanup:
        removed = apply.remove(machine, run=apply.run_tool)
        if machine.ipv6:
            loopback.remove_passthrough_source()
        _tell(f"removed the rules of {', '.join(removed)}" if removed else "there were no rules of ours")
    else:
        applied = apply.apply(settings, machine, run=apply.run_tool, backend=backend)
        if machine.ipv6:
            loopback.add_passthrough_source()
        versions = " and ".join(f"IPv{version}" for version in applied.versions)
        _tell(f"{versions} traffic is led through Envoy, by {applied.backend}")
        if applied.without:
            _tell(f"IPv6, which has no address here, has no rules: {applied.without}")


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _shown(settings: CaptureSettings, backend: Backend | None, machine: Machine) -> str:
    """What would be given to which command, in a form that a shell takes."""
    chosen = backend or next(iter(backends.candidates(machine)), Backend.NFT)
    rules = apply.texts(settings, chosen, machine.versions)
    address = [f"{' '.join(loopback.COMMAND)}\n"] if machine.ipv6 else []
    return "\n".join([*(f"{' '.join(command)} <<'EOF'\n{text}EOF\n" for command, text in rules), *address])


def _parser() -> argparse.ArgumentParser:
    """Short flags are those of `istio-iptables`."""
    parser = argparse.ArgumentParser(
        prog="weft redirect",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )

    def lists(short: str, name: str, about: str, default: str = "") -> None:
        parser.add_argument(short, name, metavar="LIST", default=default, help=about)

    def number(short: str, name: str, about: str, default: int, kind: Callable[[str], int] = int) -> None:
        parser.add_argument(short, name, metavar="N", type=kind, default=default, help=f"{about} [default: {default}]")

    lists("-b", "--inbound-ports", "ports to capture inbound: * for all, nothing for none [default: *]", ALL)
    lists("-d", "--exclude-inbound-ports", "ports not to capture inbound, beside the proxy's own")
    lists("-i", "--outbound-cidrs", "destinations to capture: CIDRs, * for all, nothing for none [default: *]", ALL)
    lists("-x", "--exclude-outbound-cidrs", "destinations not to capture")
    lists("-q", "--include-outbound-ports", "ports to capture whatever the destination")
    lists("-o", "--exclude-outbound-ports", "ports not to capture outbound")
    lists("-c", "--exclude-interfaces", "network interfaces whose traffic is left alone")
    lists("-k", "--reroute-interfaces", "network interfaces of virtual machines, whose traffic is captured as outbound")
    number("-p", "--envoy-port", "where Envoy takes outbound connections", OUTBOUND_PORT)
    number("-z", "--inbound-capture-port", "where Envoy takes inbound connections", INBOUND_PORT)
    number("-u", "--proxy-uid", "Envoy's user, whose own connections pass", PROXY_UID, _id)
    number("-g", "--proxy-gid", "Envoy's group, whose own connections pass", PROXY_GID, _id)
    parser.add_argument(
        "--backend",
        choices=(_AUTO, *map(str, Backend)),
        default=_AUTO,
        help="which rules to write; auto, the default, takes the first kind that the kernel does",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the rules, and change nothing")
    parser.add_argument("--cleanup", action="store_true", help="remove all rules of this command, of any kind")
    return parser


def _id(text: str) -> int:
    value = int(text)
    if not 0 <= value <= _LAST_ID:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {_LAST_ID}")
    return value
