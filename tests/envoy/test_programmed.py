"""What a stock Envoy has taken is known at once, and what it refuses is told in its words."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from weft_core.problems import ObjectRef
from weft_core.progress import Progress

if TYPE_CHECKING:
    from tests.envoy.conftest import ControlPlane, Envoy, Resources

pytestmark = pytest.mark.envoy

DONE = Progress(acknowledged=1, total=1)


async def test_every_type_is_counted_as_taken_once_envoy_has_answered(
    control_plane: "ControlPlane",
    start_envoy: "Callable[..., Awaitable[Envoy]]",
    resources: "Resources",
    free_ports: Callable[[int], list[int]],
) -> None:
    (port,) = free_ports(1)

    def progress(kind: str, name: str) -> Progress:
        return control_plane.fanout.progress(ObjectRef(kind=kind, name=name))

    told: list[None] = []
    control_plane.fanout.answered = lambda: told.append(None)
    control_plane.put(
        resources.cluster("c"),
        resources.endpoints("c", 9),
        resources.listener("l", port, "r"),
        resources.routes("r", resources.says("a", "hi")),
        resources.routes("nobody-asks", resources.says("a", "hi")),
    )
    assert progress("Cluster", "c") == Progress(), "nobody is connected"
    envoy = await start_envoy(control_plane.bootstrap())
    await envoy.ready()
    await control_plane.synced()
    everything = (
        ("Cluster", "c"),
        ("ClusterLoadAssignment", "c"),
        ("Listener", "l"),
        ("RouteConfiguration", "r"),
        ("RouteConfiguration", "nobody-asks"),
    )
    assert {progress(*each) for each in everything} == {DONE}
    assert told

    control_plane.put(resources.routes("r", resources.says("a", "else")))
    assert progress("RouteConfiguration", "r") == Progress(total=1)
    await control_plane.synced()
    assert progress("RouteConfiguration", "r") == DONE

    bad = resources.cluster("c", alt_stat_name="bad")
    bad.circuit_breakers.thresholds.add(priority=7)
    control_plane.put(bad)
    await control_plane.synced()
    found = progress("Cluster", "c")
    assert (found.acknowledged, found.total) == (0, 1)
    ((name, words),) = found.rejected
    assert name == "c"
    assert "riority" in words
    assert progress("Listener", "l") == DONE
