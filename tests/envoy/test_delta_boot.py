"""A stock Envoy against the delta server: boot, changes, reconnects."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import aiohttp
import pytest

if TYPE_CHECKING:
    from tests.envoy.conftest import ControlPlane, Envoy, Resources

pytestmark = pytest.mark.envoy

StartEnvoy = "Callable[..., Awaitable[Envoy]]"


async def text_of(http: aiohttp.ClientSession, port: int, host: str = "any") -> str:
    async with http.get(f"http://127.0.0.1:{port}/", headers={"host": host}) as response:
        return await response.text()


async def test_boots_to_everything_acknowledged(
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
    assert {t.type: t.resources for s in control_plane.server.snapshot() for t in s.types} == {
        "cds": 1,
        "eds": 1,
        "sds": 0,
        "lds": 1,
        "rds": 1,
        "vhds": 0,
    }
