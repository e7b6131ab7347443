"""The control plane alone, on the YAML in a folder."""

import asyncio
import contextlib
import ipaddress
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from weft_cli import http
from weft_cli.control_plane import ControlPlane
from weft_cli.folder import FolderSource, Loaded
from weft_cli.news import News
from weft_cli.serve.address import split_address
from weft_cli.watching import watching
from weft_core.errors import EnvironmentFault
from weft_core.ingest import replace_all
from weft_core.model.mesh_config import MeshConfig
from weft_core.problems import Problem, Severity
from weft_core.registry import Registry, Settings
from weft_core.view.problems import all_problems
from weft_injector.bootstrap.address import is_loopback
from weft_injector.ca.authority import Authority
from weft_injector.ca.store import load_or_create_authority
from weft_xds.server import ServerOptions, TlsMaterial, XdsServer

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

SERVER_NAMES = ("weft.weft-system.svc", "weft.weft-system.svc.cluster.local", "weft.local", "localhost")
_SERVING_LIFETIME = timedelta(days=1)
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "info"}


def serve_folder(
    config_dir: Path,
    *,
    xds: str,
    http_address: str,
    state_dir: Path,
    xds_plaintext: str | None,
    mesh_config: Path | None,
) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code. Raises EnvironmentFault where it cannot start."""
    if not config_dir.is_dir():
        raise EnvironmentFault(f"{config_dir} is no folder: name the one with the YAML to serve")
    if xds_plaintext is not None and not is_loopback(split_address(xds_plaintext)[0]):
        raise EnvironmentFault(
            f"--xds-plaintext {xds_plaintext}: without TLS anybody could claim to be any proxy; "
            "name a loopback address, or use --xds"
        )
    return asyncio.run(_Serve(config_dir, mesh_config).run(xds, http_address, state_dir, xds_plaintext))


class _Serve:
    def __init__(self, config_dir: Path, mesh_config: Path | None) -> None:
        self._config_dir = config_dir
        self._source = FolderSource((config_dir,), mesh_config)
        self._control_plane = ControlPlane(Registry(Settings(derive_endpoints=True)), self._tell_refusal)
        self._news = News()
        self._ready = False

    async def run(self, xds: str, http_address: str, state_dir: Path, xds_plaintext: str | None) -> int:
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        async with contextlib.AsyncExitStack() as stack:
            changes = await stack.enter_async_context(watching(self._config_dir, stopped))
            loaded = await self._reload()
            if xds_plaintext is not None:
                server = self._control_plane.server(ServerOptions(address=xds_plaintext), None)
            else:
                trust_domain = (loaded.mesh or MeshConfig()).trust_domain
                authority = load_or_create_authority(state_dir, trust_domain=trust_domain, now=datetime.now(UTC))
                server = self._control_plane.server(ServerOptions(address=xds), _serving_material(authority, xds))
                renewing = asyncio.create_task(_renew(server, authority, xds))
                stack.callback(renewing.cancel)
            await server.start()
            stack.push_async_callback(server.stop)
            host, port = split_address(http_address)
            runner = await http.start(http.make_app(self._control_plane.metrics, lambda: self._ready), host, port)
            stack.push_async_callback(runner.cleanup)
            self._ready = True
            async for _burst in changes:
                try:
                    await self._reload()
                except EnvironmentFault as fault:
                    _log.error("reload_failed", reason=str(fault))
        return 0

    async def _reload(self) -> Loaded:
        loaded = await asyncio.to_thread(self._source.read)
        registry = self._control_plane.registry
        replace_all(registry, loaded.objects, mesh=loaded.mesh, held=loaded.held, guards=loaded.guards)
        self._control_plane.fanout.commit()
        for problem in self._news.of((*loaded.problems, *self._source.locate(all_problems(registry)))):
            self._tell(problem)
        return loaded

    def _tell_refusal(self, problem: Problem) -> None:
        for located in self._source.locate([problem]):
            self._tell(located)

    def _tell(self, problem: Problem) -> None:
        getattr(_log, _LEVELS[problem.severity])("problem", code=problem.code, text=str(problem))


async def _renew(server: XdsServer, authority: Authority, address: str) -> None:
    """Give the server a new certificate at half of each one's life, for ever."""
    while True:
        await asyncio.sleep(_SERVING_LIFETIME.total_seconds() / 2)
        server.rotate(_serving_material(authority, address))


def _serving_material(authority: Authority, address: str) -> TlsMaterial:
    host = split_address(address)[0]
    addresses = ["127.0.0.1"]
    with contextlib.suppress(ValueError):
        addresses.append(str(ipaddress.ip_address(host)))
    leaf = authority.issue_serving(
        now=datetime.now(UTC),
        dns_names=SERVER_NAMES,
        ip_addresses=tuple(dict.fromkeys(addresses)),
        lifetime=_SERVING_LIFETIME,
    )
    return TlsMaterial(
        certificate_chain=leaf.chain_pem, private_key=leaf.key_pem or b"", client_roots=authority.bundle.pem
    )
