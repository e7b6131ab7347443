"""The barrier: open when everything has arrived, and not before."""

import asyncio

import pytest

from weft_operator.ingest.barrier import Barrier


async def test_opens_when_the_last_part_has_arrived() -> None:
    passed: list[str] = []
    barrier = Barrier(("Pod", "Service"), passed.append)
    barrier.arrive("Service")
    barrier.arrive("Service")
    barrier.arrive("Unheard")
    assert not barrier.is_open
    assert barrier.missing == ("Pod",)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await barrier.wait()
    barrier.arrive("Pod")
    await barrier.wait()
    assert barrier.is_open
    assert passed == ["Service", "Pod"]


async def test_is_open_where_nothing_is_expected() -> None:
    await Barrier(()).wait()
