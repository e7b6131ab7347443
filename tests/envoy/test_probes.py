"""The kubelet's probes through a real Envoy: what the application would answer, nothing better, nothing worse."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import grpc
import pytest
from aiohttp import web

from weft_injector.bootstrap.probes import GrpcProbe, HttpProbe, Probe, ProbeListener, TcpProbe
from weft_injector.ca.authority import Authority

if TYPE_CHECKING:
    from tests.envoy.conftest import Envoy

pytestmark = pytest.mark.envoy

SECOND = timedelta(seconds=1)
Ask = Callable[..., Awaitable[int]]


@dataclass
class Application:
    """An application with a status to give, and what it was asked."""

    port: int
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    seen: list[web.BaseRequest] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)
    runner: web.ServerRunner | None = None

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen."""
        self.runner = web.ServerRunner(web.Server(self.answer))
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port, ssl_context=tls).start()

    async def stop(self) -> None:
        """Listen no more, and drop all connections."""
        if self.runner is not None:
            await self.runner.cleanup()

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.seen.append(request)
        self.peers.append(request.transport.get_extra_info("peername")[0] if request.transport else "")
        await asyncio.sleep(self.delay)
        return web.Response(status=self.status, headers=self.headers)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Ends what a test has started."""
    async with AsyncExitStack() as exits:
        yield exits


@pytest.fixture
def application(free_ports: Callable[[int], list[int]], stack: AsyncExitStack) -> Callable[..., Awaitable[Application]]:
    """Starts an application, with TLS if a context is given."""

    async def start(tls: ssl.SSLContext | None = None) -> Application:
        found = Application(free_ports(1)[0])
        stack.push_async_callback(found.stop)
        await found.start(tls)
        return found

    return start


@pytest.fixture
async def ask(
    start_envoy: Callable[..., Awaitable["Envoy"]],
    free_ports: Callable[[int], list[int]],
    http: aiohttp.ClientSession,
) -> Callable[..., Awaitable[Ask]]:
    """Starts an Envoy with probes and gives the kubelet's side: asks at a path, returns the status."""

    async def start(*probes: Probe) -> Ask:
        listener = ProbeListener(probes=probes, address="127.0.0.1", application="127.0.0.1", port=free_ports(1)[0])
        resources = {"listeners": [listener.listener()], "clusters": listener.clusters()}
        runtime = {"layers": [{"name": "as-in-a-pod", "static_layer": {"re2.max_program_size.error_level": 32768}}]}
        await start_envoy(
            {"node": {"id": "a", "cluster": "a"}, "static_resources": resources, "layered_runtime": runtime}
        )

        async def get(path: str = probes[0].path, headers: dict[str, str] | None = None) -> int:
            url = f"http://127.0.0.1:{listener.port}{path}"
            async with http.get(url, headers=headers, allow_redirects=True) as response:
                return response.status

        await _reachable(get)
        return get

    return start


async def _reachable(get: Ask) -> None:
    """Wait until the listener takes connections, with a path that it does not know."""
    async with asyncio.timeout(10):
        while True:
            try:
                assert await get("/unknown") == 404
                return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.02)


async def becomes(get: Ask, path: str, status: int, seconds: float = 5) -> float:
    """Wait until the path answers with the status; how long that took."""
    start = time.monotonic()
    async with asyncio.timeout(seconds):
        while await get(path) != status:
            await asyncio.sleep(0.02)
    return time.monotonic() - start


def http_probe(port: int, path: str = "/app-health/app/livez", **fields: Any) -> HttpProbe:
    return HttpProbe(path=path, port=port, **{"target": "/healthz", "timeout": SECOND, **fields})


async def test_an_http_probe_gives_the_applications_own_status(
    ask: Callable[..., Awaitable[Ask]], application: Callable[..., Awaitable[Application]]
) -> None:
    app = await application()
    get = await ask(http_probe(app.port, target="/healthz?deep=1&x=%20"))
    for status in (200, 204, 302, 404, 500, 503):
        app.status = status
        assert await get() == status
    assert {request.path_qs for request in app.seen} == {"/healthz?deep=1&x=%20"}
    assert set(app.peers) == {"127.0.0.6"}, "from where capture lets it pass"


async def test_headers_and_host_arrive_as_the_kubelet_sends_them(
    ask: Callable[..., Awaitable[Ask]], application: Callable[..., Awaitable[Application]]
) -> None:
    app = await application()
    get = await ask(http_probe(app.port))
    assert await get(headers={"Host": "shop.example.com", "X-Probe": "a$(b)", "User-Agent": "kube-probe/1.37"}) == 200
    (request,) = app.seen
    assert request.host == "shop.example.com"
    assert request.headers["X-Probe"] == "a$(b)"
    assert request.headers["User-Agent"] == "kube-probe/1.37"
    assert not [name for name in request.headers if name.lower().startswith("x-envoy")]


async def test_a_redirect_is_a_success_and_is_not_followed_to_a_path_that_is_unknown_here(
    ask: Callable[..., Awaitable[Ask]], application: Callable[..., Awaitable[Application]]
) -> None:
    app = await application()
    app.status, app.headers = 302, {"Location": "/login"}
    get = await ask(http_probe(app.port))
    assert await get() == 302


async def test_a_slow_application_fails_by_the_probes_own_timeout(
    ask: Callable[..., Awaitable[Ask]], application: Callable[..., Awaitable[Application]]
) -> None:
    app = await application()
    app.delay = 1.5
    get = await ask(
        http_probe(app.port, timeout=timedelta(seconds=1)),
        http_probe(app.port, "/app-health/app/readyz", timeout=timedelta(seconds=3)),
        http_probe(app.port, "/app-lifecycle/app/prestop", timeout=None),
    )
    assert await get() == 504
    assert await get("/app-health/app/readyz") == 200
    assert await get("/app-lifecycle/app/prestop") == 200


async def test_an_application_that_does_not_listen_fails(
    ask: Callable[..., Awaitable[Ask]], free_ports: Callable[[int], list[int]]
) -> None:
    get = await ask(http_probe(free_ports(1)[0]))
    assert await get() == 503


async def test_no_probe_is_about_an_earlier_connection(
    ask: Callable[..., Awaitable[Ask]], application: Callable[..., Awaitable[Application]]
) -> None:
    app = await application()
    get = await ask(http_probe(app.port))
    for _ in range(3):
        assert await get() == 200
        await app.stop()
        assert await get() == 503
        await app.start()
    assert await get() == 200


async def test_nothing_but_the_probes_paths_reaches_the_application(
    ask: Callable[..., Awaitable[Ask]], application: Callable[..., Awaitable[Application]]
) -> None:
    app = await application()
    get = await ask(http_probe(app.port))
    for path in ("/", "/healthz", "/app-health/app/livez/", "/app-health/app/livez/../../admin", "/app-health/app"):
        assert await get(path) == 404
    assert not app.seen


@pytest.fixture
def server_context(tmp_path: Path) -> ssl.SSLContext:
    """TLS with a certificate that nobody has a reason to trust."""
    now = datetime.now(UTC)
    authority = Authority.self_made(trust_domain="elsewhere", now=now)
    leaf = authority.issue_serving(dns_names=("other.example.com",), now=now)
    assert leaf.key_pem is not None
    file = tmp_path / "serving.pem"
    file.write_bytes(leaf.key_pem + leaf.chain_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


async def test_https_probes_verify_no_certificate_and_name_the_host(
    ask: Callable[..., Awaitable[Ask]],
    application: Callable[..., Awaitable[Application]],
    server_context: ssl.SSLContext,
) -> None:
    names: list[str | None] = []

    def remember(_connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        names.append(name)

    server_context.sni_callback = remember
    app = await application(server_context)
    get = await ask(http_probe(app.port, tls=True, server_name="shop.example.com"))
    assert await get() == 200
    assert names == ["shop.example.com"]


async def tcp_server(port: int) -> asyncio.Server:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", port)


def tcp_probe(port: int, path: str = "/app-health/db/livez") -> TcpProbe:
    return TcpProbe(path=path, port=port, timeout=SECOND, period=timedelta(seconds=10))


async def test_a_tcp_probe_follows_the_application(
    ask: Callable[..., Awaitable[Ask]], free_ports: Callable[[int], list[int]], stack: AsyncExitStack
) -> None:
    (port,) = free_ports(1)
    get = await ask(tcp_probe(port), tcp_probe(port, "/app-health/db/readyz"))
    assert await get() == 503, "nothing listens yet: never a success before one was seen"
    server = await tcp_server(port)
    stack.callback(server.close)
    assert await becomes(get, "/app-health/db/livez", 200) < 2
    assert await get("/app-health/db/readyz") == 200, "both paths stand for one check"
    server.close()
    await server.wait_closed()
    assert await becomes(get, "/app-health/db/livez", 503) < 2


async def test_a_tcp_probe_of_one_port_says_nothing_of_another(
    ask: Callable[..., Awaitable[Ask]], free_ports: Callable[[int], list[int]], stack: AsyncExitStack
) -> None:
    up, down = free_ports(2)
    stack.callback((await tcp_server(up)).close)
    get = await ask(tcp_probe(up), tcp_probe(down, "/app-health/db/readyz"))
    await becomes(get, "/app-health/db/livez", 200)
    assert await get("/app-health/db/readyz") == 503


class Health(grpc.GenericRpcHandler):
    """grpc.health.v1.Health: the status of each service (1 SERVING, 2 NOT_SERVING), written out as bytes."""

    def __init__(self, statuses: dict[bytes, int]) -> None:
        self.statuses = statuses

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        if details.method != "/grpc.health.v1.Health/Check":
            return None

        async def check(request: bytes, context: Any) -> bytes:
            status = self.statuses.get(request[2:])
            if status is None:
                await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
            return bytes([8, status or 0])

        return grpc.unary_unary_rpc_method_handler(check)


@pytest.fixture
def grpc_server(stack: AsyncExitStack) -> Callable[[int, dict[bytes, int]], Awaitable[None]]:
    """Starts a gRPC server with health."""

    async def start(port: int, statuses: dict[bytes, int]) -> None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((Health(statuses),))
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        stack.push_async_callback(server.stop, None)

    return start


def grpc_probe(port: int, path: str, service: str = "") -> GrpcProbe:
    return GrpcProbe(path=path, port=port, service=service, timeout=SECOND, period=SECOND)


async def test_a_grpc_probe_gives_what_the_health_service_says(
    ask: Callable[..., Awaitable[Ask]],
    free_ports: Callable[[int], list[int]],
    grpc_server: Callable[[int, dict[bytes, int]], Awaitable[None]],
) -> None:
    (port,) = free_ports(1)
    server, shop, unknown = "/app-health/a/livez", "/app-health/a/readyz", "/app-health/a/startupz"
    get = await ask(
        grpc_probe(port, server), grpc_probe(port, shop, "shop.v1.Cart"), grpc_probe(port, unknown, "unknown")
    )
    assert [await get(path) for path in (server, shop, unknown)] == [503, 503, 503]
    statuses = {b"": 1, b"shop.v1.Cart": 2}
    await grpc_server(port, statuses)
    await becomes(get, server, 200)
    assert await get(shop) == 503
    statuses[b"shop.v1.Cart"] = 1
    await becomes(get, shop, 200)
    statuses[b""] = 2
    await becomes(get, server, 503)
    assert await get(unknown) == 503


async def test_hundreds_of_probes_are_taken(
    ask: Callable[..., Awaitable[Ask]], application: Callable[..., Awaitable[Application]]
) -> None:
    app = await application()
    probes: Sequence[Probe] = [
        probe
        for number in range(100)
        for probe in (
            http_probe(app.port, f"/app-health/c{number}/livez"),
            tcp_probe(app.port, f"/app-health/c{number}/readyz"),
        )
    ]
    get = await ask(*probes)
    assert await get("/app-health/c99/livez") == 200
    assert await becomes(get, "/app-health/c99/readyz", 200) < 2
