"""A pod's proxy at its start and at its end, with a real Envoy and the hooks as the kubelet runs them."""

import asyncio
import itertools
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

if TYPE_CHECKING:
    from tests.envoy.conftest import Envoy

pytestmark = pytest.mark.envoy

INBOUND = 15006
_HOOK = "import sys; from weft_cli.start import main; main()"
_LOOPBACK = itertools.count(1)


@dataclass
class Hook:
    """What became of a hook."""

    code: int
    seconds: float
    said: str


async def hook(*arguments: str) -> Hook:
    """Run `weft …` in a process of its own."""
    start = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _HOOK, *arguments, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    return Hook(process.returncode or 0, time.monotonic() - start, said.decode())


@dataclass
class Proxy:
    """An Envoy as in a pod: an HTTP and a TCP chain inbound, and an outbound listener, before an application."""

    envoy: "Envoy"
    address: str
    outbound: int

    @property
    def url(self) -> str:
        return f"http://{self.address}:{INBOUND}"


@pytest.fixture
async def proxy(
    start_envoy: Callable[..., Awaitable["Envoy"]], free_ports: Callable[[int], list[int]]
) -> AsyncIterator[Proxy]:
    """The proxy, on a loopback address of this test's own: that the port is 15006 is part of what is tested."""
    app_port, outbound = free_ports(2)
    address = f"127.{os.getpid() % 250 + 2}.{next(_LOOPBACK)}.15"

    async def answer(request: web.BaseRequest) -> web.Response:
        await asyncio.sleep(float(request.query.get("delay", "0")))
        return web.Response(text="done")

    async with AsyncExitStack() as stack:
        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", app_port).start()
        resources = {
            "listeners": [
                _listener("virtualInbound", "INBOUND", address, INBOUND, "inbound_0.0.0.0_80;"),
                _listener("80", "OUTBOUND", "127.0.0.1", outbound, "outbound_0.0.0.0_80;"),
            ],
            "clusters": [_cluster(app_port)],
        }
        bootstrap = {"node": {"id": "a", "cluster": "a"}, "static_resources": resources}
        envoy = await start_envoy(bootstrap, "--drain-strategy", "immediate")
        await envoy.ready()
        yield Proxy(envoy, address, outbound)


_TYPE = "type.googleapis.com/envoy.extensions.filters"


def _listener(name: str, direction: str, address: str, port: int, prefix: str) -> dict[str, Any]:
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "0s"}}]
    manager = {
        "@type": f"{_TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": prefix,
        "route_config": {"virtual_hosts": [{"name": "app", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE}.http.router.v3.Router"},
            }
        ],
    }
    tcp = {"@type": f"{_TYPE}.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "tcp", "cluster": "app"}
    return {
        "name": name,
        "traffic_direction": direction,
        "address": {"socket_address": {"address": address, "port_value": port}},
        "listener_filters": [
            {
                "name": "envoy.filters.listener.http_inspector",
                "typed_config": {"@type": f"{_TYPE}.listener.http_inspector.v3.HttpInspector"},
            }
        ],
        "filter_chains": [
            {
                "filter_chain_match": {"application_protocols": ["http/1.1", "h2c"]},
                "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
            },
            {"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": tcp}]},
        ],
    }


def _cluster(port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
    return {
        "name": "app",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "app", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


async def test_draining_tells_clients_to_go_and_still_serves_new_ones(proxy: Proxy) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(proxy.url) as before:
            assert "connection" not in before.headers
        assert (await hook("drain", f"--port={proxy.envoy.admin}")).code == 0
        for _ in range(3):
            async with session.get(proxy.url) as after:
                assert (after.status, after.headers["connection"]) == (200, "close")
        async with session.get(f"http://127.0.0.1:{proxy.outbound}") as outbound:
            assert "connection" not in outbound.headers, "the application may still have to call others"
    assert await proxy.envoy.live()


async def test_a_gateways_listeners_drain_too(proxy: Proxy, http: aiohttp.ClientSession) -> None:
    assert (await hook("drain", "--all", f"--port={proxy.envoy.admin}")).code == 0
    async with http.get(f"http://127.0.0.1:{proxy.outbound}") as outbound:
        assert outbound.headers["connection"] == "close"


async def test_http2_clients_get_a_goaway(proxy: Proxy) -> None:
    assert (await hook("drain", f"--port={proxy.envoy.admin}")).code == 0
    process = await asyncio.create_subprocess_exec(
        *("curl", "--silent", "--verbose", "--http2-prior-knowledge", proxy.url, proxy.url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await process.communicate())[0].decode()
    assert said.count("< HTTP/2 200") == 2
    closed = await proxy.envoy.stats("inbound_.*downstream_cx_(drain_close|http2_total)")
    assert sum(count for name, count in closed.items() if "drain_close" in name) >= 1


async def test_requests_that_are_under_way_are_waited_for(proxy: Proxy) -> None:
    async with aiohttp.ClientSession() as session:
        request = asyncio.create_task(session.get(f"{proxy.url}/?delay=1.5"))
        await asyncio.sleep(0.2)
        done = await hook("drain", f"--port={proxy.envoy.admin}", "--minimum=0.1", "--maximum=20")
        assert 1 < done.seconds < 5
        assert (await request).status == 200


async def test_tcp_connections_are_waited_for(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection(proxy.address, INBOUND)
    writer.write(b"\x00\x01not http")
    await writer.drain()
    await asyncio.sleep(0.2)
    drained = asyncio.create_task(hook("drain", f"--port={proxy.envoy.admin}", "--maximum=20"))
    await asyncio.sleep(1)
    assert not drained.done()
    writer.close()
    assert (await drained).code == 0
    assert reader is not None


async def test_idle_connections_keep_nobody(proxy: Proxy) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(proxy.url):
            pass
        done = await hook("drain", f"--port={proxy.envoy.admin}", "--maximum=20")
    assert done.code == 0
    assert done.seconds < 5


async def test_the_minimum_is_kept_and_the_maximum_is_the_end(proxy: Proxy) -> None:
    assert (await hook("drain", f"--port={proxy.envoy.admin}", "--minimum=1", "--maximum=9")).seconds >= 1
    async with aiohttp.ClientSession() as session:
        request = asyncio.create_task(session.get(f"{proxy.url}/?delay=4"))
        await asyncio.sleep(0.2)
        done = await hook("drain", f"--port={proxy.envoy.admin}", "--maximum=1")
        assert (done.code, done.seconds < 3) == (0, True)
        assert (await request).status == 200


async def test_a_proxy_that_is_gone_is_told_and_costs_no_time(free_ports: Callable[[int], list[int]]) -> None:
    done = await hook("drain", f"--port={free_ports(1)[0]}", "--minimum=5", "--maximum=20")
    assert done.code == 1
    assert "does not answer" in done.said
    assert done.seconds < 2


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_wait_returns_once_the_proxy_is_ready_and_fails_where_it_never_is(
    free_ports: Callable[[int], list[int]], host: str
) -> None:
    (port,) = free_ports(1)
    late = await hook("wait", "--timeout=0.3", f"--port={port}")
    assert (late.code, "not ready after 0.3 s" in late.said) == (1, True)
    status = 503

    async def answer(_request: web.BaseRequest) -> web.Response:
        return web.Response(status=status)

    waiting = asyncio.create_task(hook("wait", "--timeout=20", f"--port={port}"))
    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    try:
        await asyncio.sleep(0.8)
        assert not waiting.done(), "listening is not being ready"
        status = 200
        assert (await waiting).code == 0
    finally:
        await runner.cleanup()


async def test_hooks_load_nothing_but_the_standard_library() -> None:
    """A hook runs once for each pod, within its share of a CPU."""
    code = (
        "import sys; sys.argv = ['weft', 'wait', '--timeout=0', '--port=1']\n"
        "from weft_cli.start import main\n"
        "try:\n main()\nexcept SystemExit: pass\n"
        "print(*(set(sys.modules) & {'typer', 'click', 'yaml', 'pydantic', 'aiohttp', 'http.client', 'ssl'}))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert (await process.communicate())[0].strip() == b""
