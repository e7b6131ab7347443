"""`weft redirect`: the pod's init container, which leads its traffic through Envoy before anything else starts."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from weft_injector.capture.backend import Backend, Machine
    from weft_injector.capture.settings import CaptureSettings


class BackendChoice(StrEnum):
    """How rules are written: `capture.backend.Backend` by its values, so that `--help` need not import it."""

    AUTO = "auto"
    NFT = "nft"
    IPTABLES_NFT = "iptables-nft"
    IPTABLES_LEGACY = "iptables-legacy"


_LAST_ID = 2**32 - 2
"""The highest user or group: the number after it stands for none (chown(2))."""


def command(
    inbound_ports: Annotated[
        str, typer.Option("-b", "--inbound-ports", help="Ports to capture inbound: * for all, nothing for none.")
    ] = "*",
    exclude_inbound_ports: Annotated[
        str, typer.Option("-d", "--exclude-inbound-ports", help="Ports not to capture inbound, beside the proxy's own.")
    ] = "",
    outbound_cidrs: Annotated[
        str, typer.Option("-i", "--outbound-cidrs", help="Destinations to capture: CIDRs, * for all, nothing for none.")
    ] = "*",
    exclude_outbound_cidrs: Annotated[
        str, typer.Option("-x", "--exclude-outbound-cidrs", help="Destinations not to capture.")
    ] = "",
    include_outbound_ports: Annotated[
        str, typer.Option("-q", "--include-outbound-ports", help="Ports to capture whatever the destination.")
    ] = "",
    exclude_outbound_ports: Annotated[
        str, typer.Option("-o", "--exclude-outbound-ports", help="Ports not to capture outbound.")
    ] = "",
    exclude_interfaces: Annotated[
        str, typer.Option("-c", "--exclude-interfaces", help="Network interfaces whose traffic is left alone.")
    ] = "",
    envoy_port: Annotated[
        int, typer.Option("-p", "--envoy-port", help="Where Envoy takes outbound connections.")
    ] = 15001,
    inbound_capture_port: Annotated[
        int, typer.Option("-z", "--inbound-capture-port", help="Where Envoy takes inbound connections.")
    ] = 15006,
    proxy_uid: Annotated[
        int, typer.Option("-u", "--proxy-uid", help="Envoy's user, whose own connections pass.", min=0, max=_LAST_ID)
    ] = 1337,
    proxy_gid: Annotated[
        int, typer.Option("-g", "--proxy-gid", help="Envoy's group, whose own connections pass.", min=0, max=_LAST_ID)
    ] = 1337,
    backend: Annotated[
        BackendChoice, typer.Option(help="Which rules to write; auto takes the first kind that the kernel does.")
    ] = BackendChoice.AUTO,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the rules, and change nothing.")] = False,
    cleanup: Annotated[bool, typer.Option("--cleanup", help="Remove all rules of this command, of any kind.")] = False,
) -> None:
    """Lead this network namespace's TCP connections through Envoy; for a pod's init container.

    Lists are separated by commas; an exclusion beats an inclusion. To run it twice is to run it once.
    It takes the capability NET_ADMIN, and for iptables-legacy NET_RAW as well.
    """
    from weft_injector.capture.flags import FlagError, settings_of  # noqa: PLC0415

    try:
        settings = settings_of(
            inbound_ports=inbound_ports,
            exclude_inbound_ports=exclude_inbound_ports,
            outbound_cidrs=outbound_cidrs,
            exclude_outbound_cidrs=exclude_outbound_cidrs,
            include_outbound_ports=include_outbound_ports,
            exclude_outbound_ports=exclude_outbound_ports,
            exclude_interfaces=exclude_interfaces,
            envoy_port=envoy_port,
            inbound_capture_port=inbound_capture_port,
            proxy_uid=proxy_uid,
            proxy_gid=proxy_gid,
        )
    except FlagError as error:
        raise typer.BadParameter(str(error), param_hint=error.flag) from None
    raise typer.Exit(run_redirect(settings, backend=backend, dry_run=dry_run, cleanup=cleanup))


def run_redirect(settings: "CaptureSettings", *, backend: BackendChoice, dry_run: bool, cleanup: bool) -> int:
    """Write the rules, print them or remove them; the exit code. Raises EnvironmentFault."""
    from weft_injector.capture.apply import apply, remove, run_tool  # noqa: PLC0415
    from weft_injector.capture.backend import Backend, look  # noqa: PLC0415
    from weft_injector.capture.loopback import add_passthrough_source, remove_passthrough_source  # noqa: PLC0415

    machine = look()
    chosen = None if backend is BackendChoice.AUTO else Backend(backend.value)
    if dry_run:
        typer.echo(_shown(settings, chosen, machine), nl=False)
    elif cleanup:
        removed = remove(machine, run=run_tool)
        if machine.ipv6:
            remove_passthrough_source()
        typer.echo(f"removed the rules of {', '.join(removed)}" if removed else "there were no rules of ours", err=True)
    else:
        applied = apply(settings, machine, run=run_tool, backend=chosen)
        if machine.ipv6:
            add_passthrough_source()
        versions = " and ".join(f"IPv{version}" for version in applied.versions)
        typer.echo(f"{versions} traffic is led through Envoy, by {applied.backend}", err=True)
        if applied.without:
            typer.echo(f"IPv6, which has no address here, has no rules: {applied.without}", err=True)
    return 0


def _shown(settings: "CaptureSettings", backend: "Backend | None", machine: "Machine") -> str:
    """What would be given to which command, in a form that a shell takes."""
    from weft_injector.capture.apply import texts  # noqa: PLC0415
    from weft_injector.capture.backend import Backend, candidates  # noqa: PLC0415
    from weft_injector.capture.loopback import COMMAND  # noqa: PLC0415

    chosen = backend or next(iter(candidates(machine)), Backend.NFT)
    rules = texts(settings, chosen, machine.versions)
    address = [f"{' '.join(COMMAND)}\n"] if machine.ipv6 else []
    return "\n".join([*(f"{' '.join(command)} <<'EOF'\n{text}EOF\n" for command, text in rules), *address])
