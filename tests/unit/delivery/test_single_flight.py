"""Many callers, one piece of work."""

import asyncio

import pytest

from weft_injector.delivery.single_flight import SingleFlight


async def test_who_asks_meanwhile_shares_the_outcome_and_who_asks_later_does_not() -> None:
    flights: SingleFlight[str] = SingleFlight()
    done: list[int] = []

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.append(1)

    await asyncio.gather(*(flights.run("a", work) for _ in range(5)), flights.run("b", work))
    assert len(done) == 2
    await flights.run("a", work)
    assert len(done) == 3


async def test_a_failure_is_everybodys_and_the_next_tries_anew() -> None:
    flights: SingleFlight[str] = SingleFlight()

    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise LookupError("no")

    async def work() -> None:
        return None

    outcomes = await asyncio.gather(*(flights.run("a", fail) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [LookupError] * 3
    await flights.run("a", work)


async def test_callers_that_give_up_leave_no_unseen_failure(caplog: pytest.LogCaptureFixture) -> None:
    flights: SingleFlight[str] = SingleFlight()

    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise LookupError("no")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(flights.run("a", fail), 0.001)
    await asyncio.sleep(0.05)
    assert not caplog.records
