"""What a stock Envoy refuses is held back, everything else goes on."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import aiohttp
import pytest

if TYPE_CHECKING:
    from tests.envoy.conftest import ControlPlane, Envoy, Resources

pytestmark = pytest.mark.envoy


async def clusters(envoy: "Envoy") -> set[str]:
    text = await envoy.get("/clusters")
    return {line.split("::")[0] for line in text.splitlines()} - {"xds"}


async def test_a_refused_cluster_keeps_its_last_good_version_here_and_at_new_proxies(
    control_plane: "ControlPlane",
    start_envoy: "Callable[..., Awaitable[Envoy]]",
    resources: "Resources",
) -> None:
    names = [f"c{number}" for number in range(6)]
    control_plane.put(*(resources.cluster(name) for name in names), *(resources.endpoints(name, 9) for name in names))
    first = await start_envoy(control_plane.bootstrap())
    await first.ready()
    await control_plane.synced()

    bad = resources.cluster("c3", alt_stat_name="bad")
    bad.circuit_breakers.thresholds.add(priority=7)  # validation fails: nothing is applied
    control_plane.put(bad, *(resources.cluster(name, alt_stat_name=f"{name}-new") for name in names if name != "c3"))
    await control_plane.synced()
    assert await first.stats("^cluster.c3.membership_total") == {"cluster.c3.membership_total": 1}
    assert await first.stats("^cluster.c5-new.membership_total") == {"cluster.c5-new.membership_total": 1}
    (rejection,) = control_plane.rejections
    assert rejection.name == "c3"
    assert rejection.message

    second = await start_envoy(control_plane.bootstrap())
    await second.ready()
    await control_plane.synced()
    assert await clusters(second) == set(names)
    assert len(control_plane.rejections) == 1

    control_plane.put(resources.cluster("c3", alt_stat_name="healed"))
    await control_plane.synced()
    assert await first.stats("^cluster.healed.membership_total") == {"cluster.healed.membership_total": 1}
    assert await second.stats("^cluster.healed.membership_total") == {"cluster.healed.membership_total": 1}
    assert list(control_plane.fanout.rejections()) == []


async def test_a_resource_that_was_never_good_is_left_out(
    control_plane: "ControlPlane",
    start_envoy: "Callable[..., Awaitable[Envoy]]",
    resources: "Resources",
    free_ports: Callable[[int], list[int]],
    http: aiohttp.ClientSession,
) -> None:
    """A listener with an extension that Envoy does not have; the good one of the same response serves."""
    good, bad = free_ports(2)
    broken = resources.listener("bad", bad, "r")
    broken.filter_chains[0].filters[0].name = "no.such.filter"
    broken.filter_chains[0].filters[0].typed_config.type_url = "type.googleapis.com/no.such.Type"
    control_plane.put(broken, resources.listener("good", good, "r"), resources.routes("r", resources.says("a", "hi")))
    envoy = await start_envoy(control_plane.bootstrap())
    await envoy.ready()
    await control_plane.synced()
    async with http.get(f"http://127.0.0.1:{good}/") as response:
        assert await response.text() == "hi"
    assert [rejection.name for rejection in control_plane.rejections] == ["bad"]
    assert [rejection.name for rejection in control_plane.fanout.rejections()] == ["bad"]
