"""Traffic that moves from cluster to cluster, under load, without a failed request."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

if TYPE_CHECKING:
    from tests.envoy.conftest import ControlPlane, Envoy, Resources

pytestmark = pytest.mark.envoy


@pytest.fixture
async def backend(free_ports: Callable[[int], list[int]]) -> AsyncIterator[int]:
    """A server that says hello on the port that is given."""

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    (port,) = free_ports(1)
    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield port
    await runner.cleanup()


@pytest.mark.parametrize("per_host", [False, True], ids=["rds", "vhds"])
async def test_no_request_fails_while_routes_move_to_new_clusters_and_old_ones_go(
    per_host: bool,
    control_plane: "ControlPlane",
    start_envoy: "Callable[..., Awaitable[Envoy]]",
    resources: "Resources",
    free_ports: Callable[[int], list[int]],
    http: aiohttp.ClientSession,
    backend: int,
) -> None:
    (port,) = free_ports(1)
    statuses: list[int] = []

    def point_at(cluster: str) -> None:
        if per_host:
            control_plane.put(resources.forwards("r/svc", cluster, "127.0.0.1"))
        else:
            control_plane.put(resources.routes("r", resources.forwards("all", cluster)))

    if per_host:
        control_plane.put(resources.routes("r", resources.says("all", "", status=404), vhds=True))
    control_plane.put(resources.cluster("c0"), resources.endpoints("c0", backend), resources.listener("l", port, "r"))
    point_at("c0")
    envoy = await start_envoy(control_plane.bootstrap())
    await envoy.ready()
    await control_plane.synced()

    async def load() -> None:
        while True:
            async with http.get(f"http://127.0.0.1:{port}/") as response:
                statuses.append(response.status)

    async with asyncio.TaskGroup() as tasks:
        loads = [tasks.create_task(load()) for _ in range(4)]
        for number in range(1, 26):
            old, new = f"c{number - 1}", f"c{number}"
            control_plane.put(resources.cluster(new), resources.endpoints(new, backend))
            point_at(new)
            control_plane.remove(resources.cluster(old), resources.endpoints(old))
            if number % 5:
                await asyncio.sleep(0.02)
            else:
                await control_plane.synced()
        await control_plane.synced()
        for task in loads:
            task.cancel()
    assert set(statuses) == {200}
    assert len(statuses) > 100
    assert "c25::" in (clusters := await envoy.get("/clusters"))
    assert "c24::" not in clusters
