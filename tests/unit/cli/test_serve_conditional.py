"""Work of a replica that is wanted at one time and not at another."""

import asyncio
from collections.abc import Callable

import pytest

from weft_cli.serve.conditional import while_wanted

LOOK = 0.005


class Work:
    def __init__(self) -> None:
        self.wanted = False
        self.running = False
        self.begun = 0
        self.fault: Exception | None = None

    async def do(self) -> None:
        self.begun += 1
        self.running = True
        try:
            while self.fault is None:
                await asyncio.sleep(LOOK)
            raise self.fault
        finally:
            await asyncio.sleep(3 * LOOK)  # an end takes its time
            self.running = False

    def start(self) -> asyncio.Task[None]:
        return asyncio.create_task(while_wanted(lambda: self.wanted, self.do, look=LOOK))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(LOOK)


async def test_is_done_while_it_is_wanted_and_over_when_its_keeper_is() -> None:
    work = Work()
    task = work.start()
    await asyncio.sleep(3 * LOOK)
    begun = [work.begun]
    work.wanted = True
    await until(lambda: work.running)
    work.wanted = False
    await until(lambda: not work.running)
    work.wanted = True
    await until(lambda: work.running)
    assert [*begun, work.begun] == [0, 2]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not work.running, "nothing goes on behind its back"


async def test_a_fault_of_the_work_is_not_lost() -> None:
    work = Work()
    work.wanted, work.fault = True, ValueError("broken")
    with pytest.raises(ValueError, match="broken"):
        await asyncio.wait_for(work.start(), 5)
