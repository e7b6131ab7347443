"""Virtual hosts as resources of their own (VHDS), pushed to a stock Envoy."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import aiohttp
import pytest

if TYPE_CHECKING:
    from tests.envoy.conftest import ControlPlane, Envoy, Resources

pytestmark = pytest.mark.envoy


async def text_of(http: aiohttp.ClientSession, port: int, host: str) -> str:
    async with http.get(f"http://127.0.0.1:{port}/", headers={"host": host}) as response:
        return await response.text()


async def test_virtual_hosts_reach_their_route_configurations(
    control_plane: "ControlPlane",
    start_envoy: "Callable[..., Awaitable[Envoy]]",
    resources: "Resources",
    free_ports: Callable[[int], list[int]],
    http: aiohttp.ClientSession,
) -> None:
    first, second, third = free_ports(3)
    catch_all = resources.says("all", "catch-all")
    control_plane.put(
        resources.listener("a", first, "80"),
        resources.routes("80", catch_all, vhds=True),
        resources.says("80/reviews", "80", "reviews"),
        resources.listener("b", second, "8080"),
        resources.routes("8080", catch_all, vhds=True),
        resources.says("8080/reviews", "8080", "reviews"),
    )
    envoy = await start_envoy(control_plane.bootstrap())
    await envoy.ready()
    await control_plane.synced()
    assert [await text_of(http, port, "reviews") for port in (first, second)] == ["80", "8080"]

    # One changes, and only one is sent.
    before = control_plane.pushes()
    control_plane.put(resources.says("80/reviews", "80 changed", "reviews"))
    await control_plane.synced()
    assert [await text_of(http, port, "reviews") for port in (first, second)] == ["80 changed", "8080"]
    assert control_plane.pushes() == before | {"vhds": before["vhds"] + 1}

    # A port that is added later has its virtual hosts at once.
    control_plane.put(
        resources.listener("c", third, "9090"),
        resources.routes("9090", catch_all, vhds=True),
        resources.says("9090/reviews", "9090", "reviews"),
    )
    await control_plane.synced()
    assert await text_of(http, third, "reviews") == "9090"

    # A changed route configuration keeps the virtual hosts that came by themselves.
    control_plane.put(resources.routes("80", resources.says("all", "other"), vhds=True))
    await control_plane.synced()
    assert await text_of(http, first, "reviews") == "80 changed"
    assert await text_of(http, first, "unknown") == "other"

    # A port that goes and comes back has them again.
    control_plane.remove(resources.listener("c", third, "9090"))
    await control_plane.synced()
    control_plane.put(resources.listener("c", third, "9090"))
    await control_plane.synced()
    assert await text_of(http, third, "reviews") == "9090"

    # What is removed is gone; the rest stays.
    control_plane.remove(resources.says("80/reviews", "", "reviews"))
    await control_plane.synced()
    assert [await text_of(http, port, "reviews") for port in (first, second, third)] == ["other", "8080", "9090"]


async def test_a_refused_virtual_host_spares_its_neighbours(
    control_plane: "ControlPlane",
    start_envoy: "Callable[..., Awaitable[Envoy]]",
    resources: "Resources",
    free_ports: Callable[[int], list[int]],
    http: aiohttp.ClientSession,
) -> None:
    """After a NACK of VHDS Envoy has applied nothing of the response."""
    (port,) = free_ports(1)
    control_plane.put(
        resources.listener("a", port, "80"),
        resources.routes("80", resources.says("all", "catch-all"), vhds=True),
        *(resources.says(f"80/{name}", name, name) for name in "abcdef"),
    )
    envoy = await start_envoy(control_plane.bootstrap())
    await envoy.ready()
    await control_plane.synced()

    bad = resources.says("80/c", "bad", "c")
    bad.routes[0].match.safe_regex.regex = "(("
    control_plane.put(bad, *(resources.says(f"80/{name}", f"{name}2", name) for name in "abdef"))
    await control_plane.synced()
    assert [await text_of(http, port, name) for name in "abcdef"] == ["a2", "b2", "c", "d2", "e2", "f2"]
    assert [(r.name, r.proxy.name) for r in control_plane.rejections] == [("80/c", "web-0")]

    control_plane.put(resources.says("80/c", "c3", "c"))
    await control_plane.synced()
    assert await text_of(http, port, "c") == "c3"
