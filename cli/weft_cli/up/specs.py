"""The processes of a planned workload: its Envoy and its application."""

from pathlib import Path

from weft_cli.up.plan import LocalWorkload
from weft_cli.up.ports import LOOPBACK
from weft_cli.up.probes import HttpProbe, TcpProbe
from weft_cli.up.processes import Process


def proxy_process(workload: LocalWorkload, envoy: Path, bootstrap: Path) -> Process:
    """The workload's Envoy: one worker thread, in its own folder, ready when the control plane says so."""
    return Process(
        name=proxy_name(workload),
        argv=(
            *(str(envoy), "--config-path", bootstrap.name, "--concurrency", "1"),
            *("--drain-strategy", "immediate", "--drain-time-s", "5"),  # a policy holds for open connections at once
            *("--log-level", "warning", "--disable-hot-restart", "--log-format", "%Y-%m-%d %T.%e %l %n: %v"),
        ),
        cwd=bootstrap.parent,
        probe=HttpProbe(port=workload.ports.readiness, path="/healthz/ready"),
        listens=workload.listens,
    )


def application_process(workload: LocalWorkload, folder: Path) -> Process | None:
    """The workload's own process; None where it runs already, and for gateways."""
    if not workload.argv:
        return None
    ports = [port for _, port in workload.ports.application]
    return Process(
        name=workload.name,
        argv=workload.argv,
        env=workload.env,
        cwd=folder,
        probe=TcpProbe(port=ports[0]) if ports else None,
        listens=tuple((LOOPBACK, port) for port in ports),
    )


def proxy_name(workload: LocalWorkload) -> str:
    """What the workload's Envoy is called in logs."""
    return workload.name if workload.gateway else f"{workload.name}/envoy"
