"""However roots are replaced, nobody is refused: every leaf that lives is trusted, by whoever is up to date."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_injector.ca.authority import Authority
from weft_injector.delivery.rollout import InForce, Timing, finished, in_force, replacement
from weft_injector.delivery.root_secret import Previous, fingerprint

NOW = datetime(2026, 3, 1, tzinfo=UTC)
STEP = timedelta(minutes=5)
TIMING = Timing(spread=2 * STEP, leaf_lifetime=12 * STEP)
ROOTS = [Authority.self_made(trust_domain="cluster.local", now=NOW) for _ in range(3)]


class Mesh:
    """One replica, without its API server: the root's Secret, and what was kept of the one before."""

    def __init__(self) -> None:
        self.now = NOW
        self.source = ROOTS[0]
        self.previous: Previous | None = None

    @property
    def in_force(self) -> InForce:
        return in_force(self.source, self.previous, now=self.now, timing=TIMING)

    def replace(self, source: Authority) -> None:
        """Somebody writes the Secret."""
        kept = replacement(self.in_force.authority, self.source, source, now=self.now)
        if kept is not None:
            self.previous = kept
        self.source = source

    def step(self) -> None:
        """Time passes, and the leader clears up."""
        self.now += STEP
        if self.previous is not None and finished(self.previous, now=self.now, timing=TIMING):
            self.previous = None


@given(st.lists(st.one_of(st.none(), st.sampled_from(range(len(ROOTS)))), max_size=60))
def test_every_leaf_is_trusted_while_it_lives_also_by_bundles_that_are_late(events: list[int | None]) -> None:
    mesh = Mesh()
    signed: list[tuple[datetime, Authority]] = []
    bundles: list[tuple[datetime, set[object]]] = []
    for event in events:
        if event is not None:
            mesh.replace(ROOTS[event])
        now, found = mesh.now, mesh.in_force.authority
        signed.append((now, found))
        bundles.append((now, set(found.bundle.roots)))
        alive = {leaf.certificate for at, leaf in signed if now < at + TIMING.leaf_lifetime}
        # A pod may be up to date and meet old leafs, or have the bundle of `spread` ago and meet those of now.
        assert alive <= bundles[-1][1]
        late = [roots for at, roots in bundles if at <= now - TIMING.spread][-1:] or [bundles[0][1]]
        assert found.certificate in late[0]
        mesh.step()


@given(st.sampled_from(range(1, len(ROOTS))))
def test_a_replacement_ends_with_the_new_root_alone(index: int) -> None:
    mesh = Mesh()
    mesh.replace(ROOTS[index])
    for _ in range(20):
        mesh.step()
    assert mesh.previous is None
    assert mesh.in_force.authority is ROOTS[index]


@pytest.mark.parametrize("index", range(len(ROOTS)))
def test_the_same_root_written_again_replaces_nothing(index: int) -> None:
    assert replacement(ROOTS[index], ROOTS[index], ROOTS[index], now=NOW) is None
    assert len({fingerprint(each.bundle) for each in ROOTS}) == len(ROOTS)
