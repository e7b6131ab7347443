"""The renewer against a clock that the tests turn: days pass in milliseconds."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from blockbuster import blockbuster_ctx
from structlog.testing import capture_logs
from structlog.typing import EventDict

from weft_core.spiffe import SpiffeId
from weft_injector.ca.authority import Authority
from weft_injector.ca.bundle import TrustBundle
from weft_injector.ca.leaf import Leaf
from weft_injector.files import CredentialFolder
from weft_injector.renewal import RenewalPolicy
from weft_injector.renewer import LONGEST_NAP, Renewer, Workload
from weft_injector.sds import WORKLOAD_SECRETS

HOUR = timedelta(hours=1)


class TurnedClock:
    """Stands still until `pass_time`; whoever sleeps wakes when its time has come."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        waked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + timedelta(seconds=seconds), waked))
        await waked

    def jump(self, passed: timedelta) -> None:
        """The wall clock goes on and the timers do not: a laptop slept."""
        self._now += passed

    def wake(self) -> None:
        """Wake who is due."""
        for entry in [entry for entry in self._sleepers if entry[0] <= self._now or entry[1].done()]:
            self._sleepers.remove(entry)
            if not entry[1].done():
                entry[1].set_result(None)

    def wake_all(self) -> None:
        """Timers run out, each after its own full time, while the wall clock shows what it shows."""
        for _, waked in self._sleepers:
            if not waked.done():
                waked.set_result(None)
        self._sleepers.clear()


class Box:
    """A destination in memory that can be told to fail."""

    def __init__(self) -> None:
        self.delivered: list[tuple[Leaf, TrustBundle]] = []
        self.fault: Exception | None = None

    def deliver(self, leaf: Leaf, bundle: TrustBundle) -> None:
        if self.fault:
            raise self.fault
        self.delivered.append((leaf, bundle))


async def settle() -> None:
    """Let tasks, and the one thread they hand work to, come to rest."""
    for _ in range(4):
        await asyncio.to_thread(str)
        for _ in range(4):
            await asyncio.sleep(0)


async def pass_time(clock: TurnedClock, amount: timedelta) -> None:
    """Turn the clock in steps of the renewer's longest nap."""
    end = clock.now() + amount
    while clock.now() < end:
        clock.jump(min(LONGEST_NAP, end - clock.now()))
        clock.wake()
        await settle()


@pytest.fixture
def clock(now: datetime) -> TurnedClock:
    return TurnedClock(now)


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def workload(box: Box, reviews: SpiffeId) -> Workload:
    return Workload(name="reviews-v1", identity=reviews, destination=box)


@pytest.fixture
async def renewer(authority: Authority, clock: TurnedClock) -> AsyncIterator[Renewer]:
    # One thread works in order, so `settle` knows when it has nothing left to do.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    async with asyncio.TaskGroup() as tasks:
        policy = RenewalPolicy(lifetime=timedelta(hours=1))
        renewer = Renewer(tasks=tasks, authority=authority, policy=policy, clock=clock, chance=Random(1))
        yield renewer
        renewer.close()


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    with capture_logs() as entries:
        yield entries


async def test_the_first_leaf_is_there_when_register_returns(renewer: Renewer, workload: Workload, box: Box) -> None:
    leaf = await renewer.register(workload)
    assert [delivered for delivered, _ in box.delivered] == [leaf]
    assert renewer.expiries() == {"reviews-v1": leaf.not_after}


async def test_a_leaf_is_renewed_at_half_of_its_life(
    renewer: Renewer, workload: Workload, box: Box, clock: TurnedClock, logs: list[EventDict]
) -> None:
    first = await renewer.register(workload)
    await pass_time(clock, timedelta(minutes=25))
    assert len(box.delivered) == 1
    await pass_time(clock, timedelta(minutes=6))
    assert len(box.delivered) == 2
    second, _ = box.delivered[1]
    assert renewer.expiries() == {"reviews-v1": second.not_after}
    assert second.not_after > first.not_after
    assert [entry["event"] for entry in logs] == ["certificate_issued", "certificate_renewed"]
    assert logs[1]["serial"] == f"{second.serial:x}"
    assert logs[1]["identity"] == "spiffe://cluster.local/ns/bookshop/sa/reviews"


async def test_renewal_goes_on(renewer: Renewer, workload: Workload, box: Box, clock: TurnedClock) -> None:
    await renewer.register(workload)
    for _ in range(10):
        await pass_time(clock, timedelta(minutes=31))
    assert len(box.delivered) >= 10


async def test_a_failure_keeps_the_old_leaf_and_is_tried_again(
    renewer: Renewer, workload: Workload, box: Box, clock: TurnedClock, logs: list[EventDict]
) -> None:
    first = await renewer.register(workload)
    box.fault = OSError("disk full")
    await pass_time(clock, timedelta(minutes=31))
    failure = next(entry for entry in logs if entry["event"] == "certificate_renewal_failed")
    assert failure["log_level"] == "warning"
    assert failure["error"] == "disk full"
    assert failure["retry_in_seconds"] == 1
    assert renewer.expiries() == {"reviews-v1": first.not_after}

    box.fault = None
    await pass_time(clock, timedelta(minutes=6))
    assert len(box.delivered) == 2
    assert logs[-1]["event"] == "certificate_renewed"
    assert logs[-1]["failures"] >= 1


async def test_an_expired_leaf_is_an_error_and_is_still_tried_for(
    renewer: Renewer, workload: Workload, box: Box, clock: TurnedClock, logs: list[EventDict]
) -> None:
    await renewer.register(workload)
    box.fault = OSError("disk full")
    await pass_time(clock, timedelta(minutes=90))
    assert logs[-1]["log_level"] == "error"
    assert logs[-1]["expired"] is True
    box.fault = None
    await pass_time(clock, timedelta(minutes=6))
    assert logs[-1]["event"] == "certificate_renewed"


async def test_a_machine_that_slept_renews_when_it_wakes(
    renewer: Renewer, workload: Workload, box: Box, clock: TurnedClock
) -> None:
    """Timers did not run meanwhile: the wall clock decides after the nap that was going on."""
    await renewer.register(workload)
    await settle()
    clock.jump(timedelta(hours=8))
    assert len(box.delivered) == 1
    clock.wake_all()
    await settle()
    assert len(box.delivered) == 2


async def test_replacing_the_root_renews_everything_at_once(
    renewer: Renewer, workload: Workload, box: Box, authority: Authority, now: datetime
) -> None:
    await renewer.register(workload)
    successor = Authority.self_made(trust_domain="cluster.local", now=now)
    both = authority.bundle.joined(successor.bundle)
    for step, (signer, bundle) in enumerate(((authority, both), (successor, both), (successor, successor.bundle)), 2):
        renewer.replace(signer, bundle)
        await settle()
        assert len(box.delivered) == step
        assert box.delivered[-1][1] == bundle


async def test_a_root_replaced_during_registration_is_not_missed(
    renewer: Renewer, workload: Workload, box: Box, authority: Authority, now: datetime
) -> None:
    successor = Authority.self_made(trust_domain="cluster.local", now=now)
    registering = asyncio.ensure_future(renewer.register(workload))
    await asyncio.sleep(0)
    both = authority.bundle.joined(successor.bundle)
    renewer.replace(authority, both)
    await registering
    await settle()
    assert [bundle for _, bundle in box.delivered] == [authority.bundle, both]


async def test_an_unregistered_workload_is_left_alone(
    renewer: Renewer, workload: Workload, box: Box, clock: TurnedClock
) -> None:
    await renewer.register(workload)
    renewer.unregister(workload.name)
    renewer.unregister("never seen")
    await pass_time(clock, HOUR)
    assert len(box.delivered) == 1
    assert renewer.expiries() == {}


async def test_one_workloads_failure_does_not_hold_up_another(
    renewer: Renewer, workload: Workload, box: Box, clock: TurnedClock
) -> None:
    other = Box()
    await renewer.register(workload)
    await renewer.register(Workload(name="ratings-v1", identity=workload.identity, destination=other))
    box.fault = OSError("disk full")
    await pass_time(clock, timedelta(minutes=31))
    assert len(other.delivered) == 2


async def test_a_first_leaf_that_cannot_be_delivered_is_raised(renewer: Renewer, workload: Workload, box: Box) -> None:
    box.fault = OSError("disk full")
    with pytest.raises(OSError, match="disk full"):
        await renewer.register(workload)
    assert renewer.expiries() == {}


async def test_a_name_is_registered_once(renewer: Renewer, workload: Workload) -> None:
    await renewer.register(workload)
    with pytest.raises(ValueError, match="registered already"):
        await renewer.register(workload)


async def test_of_two_registrations_at_once_one_is_refused(renewer: Renewer, workload: Workload) -> None:
    results = await asyncio.gather(*(renewer.register(workload) for _ in range(2)), return_exceptions=True)
    assert [type(result) for result in results].count(ValueError) == 1
    assert set(renewer.expiries()) == {workload.name}


async def test_the_event_loop_is_never_blocked(
    renewer: Renewer, reviews: SpiffeId, clock: TurnedClock, tmp_path: Path
) -> None:
    """Key generation, signing and file writing all happen in threads."""
    folder = CredentialFolder(tmp_path / "certs", seen_as=WORKLOAD_SECRETS)
    with blockbuster_ctx():
        await renewer.register(Workload(name="files", identity=reviews, destination=folder))
        await pass_time(clock, timedelta(minutes=31))
    assert (tmp_path / "certs" / "credentials.pem").exists()
