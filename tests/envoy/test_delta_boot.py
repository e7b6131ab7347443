"""A stock Envoy against the delta server: boot, changes, reconnects."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import aiohttp
import pytest

if TYPE_CHECKING:
    from tests.envoy.conftest import ControlPlane, Envoy, Resources

pytestmark = pytest.mark.envoy


async def text_of(http: aiohttp.ClientSession, port: int) -> str:
    async with http.get(f"http://127.0.0.1:{port}/") as response:
        return await response.text()


async def refused(http: aiohttp.ClientSession, port: int) -> bool:
    try:
        await text_of(http, port)
    except aiohttp.ClientConnectorError:
        return True
    return False


async def test_boots_to_everything_acknowledged_and_shows_changes(
    control_plane: "ControlPlane",
    start_envoy: "Callable[..., Awaitable[Envoy]]",
    resources: "Resources",
    free_ports: Callable[[int], list[int]],
    http: aiohttp.ClientSession,
) -> None:
    (port,) = free_ports(1)
    control_plane.put(
        resources.cluster("c"),
        resources.endpoints("c", 9),
        resources.listener("l", port, "r"),
        resources.routes("r", resources.says("all", "hello")),
    )
    envoy = await start_envoy(control_plane.bootstrap())
    await envoy.ready()
    await control_plane.synced()
    assert await text_of(http, port) == "hello"
    (status,) = control_plane.server.snapshot()
    assert {kind.type: kind.resources for kind in status.types if kind.resources} == {
        "cds": 1,
        "eds": 1,
        "lds": 1,
        "rds": 1,
    }

    before = control_plane.pushes()
    control_plane.put(resources.routes("r", resources.says("all", "changed")))
    await control_plane.synced()
    assert await text_of(http, port) == "changed"
    after = control_plane.pushes()
    assert {kind: after[kind] - before.get(kind, 0) for kind in after} == {"cds": 0, "eds": 0, "lds": 0, "rds": 1}

    control_plane.remove(resources.listener("l", port, "r"))
    await control_plane.synced()
    assert (await envoy.stats("listener_manager.total_listeners_active"))[
        "listener_manager.total_listeners_active"
    ] == 0


async def test_an_envoy_with_nothing_to_do_becomes_ready_at_once(
    control_plane: "ControlPlane", start_envoy: "Callable[..., Awaitable[Envoy]]"
) -> None:
    """Unanswered first wildcard requests would keep it waiting for 15 seconds each."""
    envoy = await start_envoy(control_plane.bootstrap())
    await envoy.ready(seconds=5)


async def test_a_proxy_that_reconnects_receives_only_what_changed(
    control_plane: "ControlPlane",
    start_envoy: "Callable[..., Awaitable[Envoy]]",
    resources: "Resources",
    free_ports: Callable[[int], list[int]],
    http: aiohttp.ClientSession,
) -> None:
    (port,) = free_ports(1)
    control_plane.put(
        resources.cluster("c"),
        resources.endpoints("c", 9),
        resources.listener("l", port, "80"),
        resources.routes("80", resources.says("all", "catch-all"), vhds=True),
        resources.says("80/a", "a", "a.test"),
        resources.says("80/b", "b", "127.0.0.1"),
    )
    envoy = await start_envoy(control_plane.bootstrap())
    await envoy.ready()
    await control_plane.synced()

    await control_plane.stop()
    assert await text_of(http, port) == "b"
    await control_plane.start()
    await control_plane.synced()
    await asyncio.sleep(0.3)
    assert control_plane.pushes() == {}

    await control_plane.stop()
    control_plane.put(resources.says("80/b", "newer", "127.0.0.1"))
    control_plane.remove(resources.says("80/a", "a", "a.test"))
    await control_plane.start()
    await control_plane.synced()
    assert await text_of(http, port) == "newer"
    assert control_plane.pushes() == {"vhds": 1}


async def test_a_changed_cluster_takes_effect_at_once(
    control_plane: "ControlPlane",
    start_envoy: "Callable[..., Awaitable[Envoy]]",
    resources: "Resources",
    free_ports: Callable[[int], list[int]],
) -> None:
    """Envoy does not ask again for endpoints; without them it would go on with the old cluster for 15 seconds."""
    control_plane.put(resources.cluster("c"), resources.endpoints("c", 9))
    envoy = await start_envoy(control_plane.bootstrap())
    await envoy.ready()
    await control_plane.synced()

    control_plane.put(resources.cluster("c", alt_stat_name="renamed"))
    await control_plane.synced()
    assert (await envoy.stats("cluster.renamed.membership_total")) == {"cluster.renamed.membership_total": 1}

    await control_plane.stop()
    control_plane.put(resources.cluster("c", alt_stat_name="while-away"))
    await control_plane.start()
    await control_plane.synced()
    assert (await envoy.stats("cluster.while-away.membership_total")) == {"cluster.while-away.membership_total": 1}


async def test_the_readiness_listener_comes_last(
    control_plane: "ControlPlane",
    start_envoy: "Callable[..., Awaitable[Envoy]]",
    resources: "Resources",
    free_ports: Callable[[int], list[int]],
    http: aiohttp.ClientSession,
) -> None:
    app, readiness = free_ports(2)
    control_plane.put(resources.cluster("c"), resources.listener("l", app, "r"))
    control_plane.put(
        resources.listener("readiness", readiness, "ready"),
        resources.routes("ready", resources.says("all", "ready")),
        last=True,
    )
    envoy = await start_envoy(control_plane.bootstrap())
    await asyncio.sleep(0.5)
    assert not await envoy.live()
    assert await refused(http, readiness)

    control_plane.put(resources.endpoints("c", 9))
    control_plane.put(resources.routes("r", resources.says("all", "hello")))
    await envoy.ready()
    await control_plane.synced()
    assert await text_of(http, app) == "hello"
    assert await text_of(http, readiness) == "ready"
