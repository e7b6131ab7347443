"""A listener whose pod turns out to have other addresses: Envoy moves it, without losing the ones that stay."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from envoy.config.listener.v3.listener_pb2 import AdditionalAddress, Listener

if TYPE_CHECKING:
    from tests.envoy.conftest import ControlPlane, Envoy, Resources

pytestmark = pytest.mark.envoy

V4, V6 = "127.0.0.1", "::1"


def at(listener: Listener, *hosts: str) -> Listener:
    """The same listener at these addresses."""
    moved = Listener()
    moved.CopyFrom(listener)
    del moved.additional_addresses[:]
    moved.address.socket_address.address = hosts[0]
    for host in hosts[1:]:
        further = AdditionalAddress(address=listener.address)
        further.address.socket_address.address = host
        moved.additional_addresses.append(further)
    return moved


async def answers(http: aiohttp.ClientSession, port: int) -> list[str]:
    """The addresses at which it answers."""
    found = []
    for host in (V4, V6):
        try:
            async with http.get(f"http://{f'[{host}]' if ':' in host else host}:{port}/") as response:
                if response.status == 200:
                    found.append(host)
        except aiohttp.ClientConnectorError:
            continue
    return found


async def test_a_listener_follows_the_addresses_of_its_pod(
    control_plane: "ControlPlane",
    resources: "Resources",
    start_envoy: Callable[[dict[str, Any]], Awaitable["Envoy"]],
    http: aiohttp.ClientSession,
    free_ports: Callable[[int], list[int]],
) -> None:
    """A pod's address may be known after its proxy has connected: until then it counts as IPv4."""
    (port,) = free_ports(1)
    listener = resources.listener("web", port, "routes")
    control_plane.put(listener, resources.routes("routes", resources.says("all", "hello")))
    envoy = await start_envoy(control_plane.bootstrap())
    await envoy.ready()
    await control_plane.synced()
    assert await answers(http, port) == [V4]
    for hosts in ((V4, V6), (V6,), (V4, V6), (V4,)):
        control_plane.put(at(listener, *hosts))
        await control_plane.synced()
        assert await answers(http, port) == list(hosts)
