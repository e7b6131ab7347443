"""After any series of edits, connected proxies have what a control plane would say that has just started."""

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from weft_core.proxy import ProxyId
from weft_xds.fanout import Fanout, Marks
from weft_xds.frames import Frame
from weft_xds.quarantine import Quarantine
from weft_xds.render import KEYS, frames
from weft_xds.resources import CATALOG
from weft_xds.view import ALL

if TYPE_CHECKING:
    from tests.property.conftest import Edit, Mesh, Strategies

    NewMesh = Callable[[Iterable[Edit]], Mesh]


class Follower:
    """A proxy that looks at nothing but what it is told has changed."""

    def __init__(self, fanout: Fanout, proxy: ProxyId) -> None:
        self.proxy = proxy
        self.view = fanout.join(proxy, self)
        self.taken: dict[str, dict[str, Frame]] = {type_url: {} for type_url in KEYS.values()}
        self.mark({type_url: {ALL} for type_url in self.taken})

    def mark(self, marks: Marks) -> None:
        for type_url, names in marks.items():
            everything = [name for full in self.view.full(type_url) for name in full.versions]
            wanted = [*everything, *self.view.last(type_url), *self.taken[type_url]] if ALL in names else names
            for name in wanted:
                frame = self.view.frame(type_url, name)
                if isinstance(frame, Frame):
                    self.taken[type_url][name] = frame
                else:
                    self.taken[type_url].pop(name, None)

    def acknowledged(self, type_url: str, name: str, version: str) -> bool:
        del type_url, name, version
        return False

    def has(self, type_url: str, name: str, version: str) -> bool:
        return self.acknowledged(type_url, name, version)

    def settled(self) -> bool:
        return False


@given(data=st.data())
def test_incremental_equals_from_scratch_byte_for_byte(
    data: st.DataObject, strategies: "Strategies", new_mesh: "NewMesh", proxies: Collection[ProxyId]
) -> None:
    mesh = new_mesh(data.draw(strategies.meshes, label="mesh"))
    failures: list[Any] = []
    fanout = Fanout(
        mesh.registry, CATALOG, Quarantine(failures.append), failed=lambda key, error: failures.append((key, error))
    )
    followers = [Follower(fanout, proxy) for proxy in proxies]
    for edits in [[], *data.draw(st.lists(strategies.edits, min_size=1, max_size=6), label="edits")]:
        for edit in edits:
            mesh.put(edit)
        fanout.commit()
        assert failures == []
        fresh = mesh.from_scratch()
        for follower in followers:
            expected = frames(fresh, follower.proxy)
            for type_url in KEYS.values():
                assert follower.taken[type_url] == {frame.name: frame for frame in expected[type_url]}
    for follower in followers:
        fanout.leave(follower.proxy, follower)
    assert len(mesh.registry) == 0


@given(data=st.data())
def test_the_order_in_which_objects_come_decides_nothing(
    data: st.DataObject, strategies: "Strategies", new_mesh: "NewMesh", proxies: Collection[ProxyId]
) -> None:
    objects = list({edit.address: edit for edit in data.draw(strategies.meshes)}.values())
    one, other = new_mesh(objects), new_mesh(data.draw(st.permutations(objects)))
    for proxy in proxies:
        assert frames(one.registry, proxy) == frames(other.registry, proxy)
