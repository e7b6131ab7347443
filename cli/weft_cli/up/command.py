"""`weft up FOLDER`: everything put together and taken apart again."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from weft_cli import logging as weft_logging
from weft_cli.control_plane import ControlPlane
from weft_cli.envoy import find_envoy
from weft_cli.folder import FolderSource
from weft_cli.up.events import Listener
from weft_cli.up.logs import FileLogs, LogSink, choose_logs
from weft_cli.up.mesh import CONTROL_PLANE_NAME, LocalMesh
from weft_cli.up.ports import LOOPBACK
from weft_cli.up.progress import Progress, make_console
from weft_cli.up.state import State
from weft_cli.up.supervisor import Supervisor
from weft_cli.watching import watching
from weft_core.errors import EnvironmentFault
from weft_core.model.mesh_config import MeshConfig
from weft_core.problems import Problem, Severity
from weft_core.registry import Registry, Settings
from weft_injector.ca.authority import LEAF_LIFETIME, Authority
from weft_injector.renewal import RenewalPolicy
from weft_injector.renewer import Renewer
from weft_xds.server import ServerOptions, TlsMaterial

_STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "dim"}


def run_up(
    folder: Path,
    *,
    envoy: Path | None = None,
    log_dir: Path | None = None,
    color: bool | None = None,
    certificate_lifetime: timedelta = LEAF_LIFETIME,
) -> int:
    """Run until interrupted; returns the exit code. Raises EnvironmentFault before anything was started."""
    if not folder.is_dir():
        raise EnvironmentFault(f"{folder} is no folder: name the one with the YAML of your services")
    binary = find_envoy(envoy)
    weft_logging.configure(level=logging.WARNING)
    return asyncio.run(_Up(folder, binary, log_dir, color, certificate_lifetime).run())


class _Up:
    def __init__(
        self, folder: Path, envoy: Path, log_dir: Path | None, color: bool | None, certificate_lifetime: timedelta
    ) -> None:
        self._folder = folder
        self._envoy = envoy
        self._log_dir = log_dir
        self._lifetime = certificate_lifetime
        self._console = make_console(no_color=color is False)
        self._progress = Progress(self._console)

    async def run(self) -> int:
        with State() as state, self._progress:
            failed = False
            try:
                async with asyncio.TaskGroup() as tasks:
                    await self._run(state, tasks)
            except* EnvironmentFault as faults:
                failed = True
                for fault in faults.exceptions:
                    self._progress.note(f"weft: {fault}", style="red")
        return int(failed)

    async def _run(self, state: State, tasks: asyncio.TaskGroup) -> None:
        source = FolderSource((self._folder,))
        control_plane = ControlPlane(
            Registry(Settings(derive_endpoints=True)), lambda problem: self._tell_all(source.locate([problem]))
        )
        trust_domain = (source.read().mesh or MeshConfig()).trust_domain
        authority = Authority.self_made(trust_domain=trust_domain, now=_now())
        renewer = Renewer(tasks=tasks, authority=authority, policy=RenewalPolicy(lifetime=self._lifetime))
        logs = self._logs(state)
        listeners: list[Listener] = [self._progress]
        async with (
            _serving(control_plane, authority) as port,
            Supervisor(logs=logs, listeners=listeners, handle_signals=True) as supervisor,
        ):
            mesh = LocalMesh(
                folder=self._folder, source=source, control_plane=control_plane, supervisor=supervisor,
                renewer=renewer, state=state, envoy=self._envoy, xds_port=port, tell=self._tell,
            )  # fmt: skip
            listeners.append(mesh.on_event)
            try:
                await self._live(mesh, supervisor, logs)
            finally:
                renewer.close()

    async def _live(self, mesh: LocalMesh, supervisor: Supervisor, logs: LogSink) -> None:
        """Follow the folder until interrupted. Edits count from the first reading on, also while it starts."""
        async with watching(self._folder) as changes:
            await mesh.reload()
            if not mesh.workloads:
                raise EnvironmentFault(
                    f"{self._folder} describes no workload to run: it needs a Deployment or a Pod, and a Service for it"
                )
            parts = [
                asyncio.ensure_future(part)
                for part in (supervisor.interrupted.wait(), self._follow(mesh, changes), self._welcome(mesh, logs))
            ]
            try:
                interrupted, *others = parts
                while not interrupted.done():
                    await asyncio.wait({part for part in parts if not part.done()}, return_when=asyncio.FIRST_COMPLETED)
                    for part in others:
                        if part.done():
                            part.result()
            finally:
                for part in parts:
                    part.cancel()
                await asyncio.wait(parts)

    async def _welcome(self, mesh: LocalMesh, logs: LogSink) -> None:
        await mesh.wait_ready()
        hints = {"stop": "Ctrl-C"}
        if isinstance(logs, FileLogs):
            hints["logs"] = str(logs.folder)
        self._progress.done(mesh.urls(), hints=hints)

    async def _follow(self, mesh: LocalMesh, changes: AsyncIterator[None]) -> None:
        async for _burst in changes:
            try:
                await mesh.reload()
            except EnvironmentFault as fault:
                self._progress.note(f"weft: {fault}", style="red")

    def _logs(self, state: State) -> LogSink:
        if self._log_dir is not None:
            return FileLogs(self._log_dir)
        return choose_logs(self._console, state.folder / "logs")

    def _tell_all(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self._tell(problem)

    def _tell(self, problem: Problem) -> None:
        self._progress.note(str(problem), style=_STYLES[problem.severity])


@contextlib.asynccontextmanager
async def _serving(control_plane: ControlPlane, authority: Authority) -> AsyncIterator[int]:
    """The xDS server on a free loopback port, for the time of the block."""
    leaf = authority.issue_serving(now=_now(), dns_names=(CONTROL_PLANE_NAME,), lifetime=_SERVING_LIFETIME)
    tls = TlsMaterial(
        certificate_chain=leaf.chain_pem, private_key=leaf.key_pem or b"", client_roots=authority.bundle.pem
    )
    server = control_plane.server(ServerOptions(address=f"{LOOPBACK}:0"), tls)
    port = await server.start()
    try:
        yield port
    finally:
        await server.stop(grace=0.2)


_SERVING_LIFETIME = timedelta(days=365)
"""Longer than any laptop stays up: the root lives as long as the command."""


def _now() -> datetime:
    return datetime.now(UTC)
