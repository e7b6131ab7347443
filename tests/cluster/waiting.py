"""The control plane's coroutines in the background of a test, and the wait for what they do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def running(*work: Awaitable[object]) -> AsyncIterator[None]:
    """The control plane's coroutines, for as long as the block lasts."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(what: Callable[[], Awaitable[Any]]) -> Any:
    """What it gives, once that is something; ten seconds at most."""
    async with asyncio.timeout(10):
        while not (found := await what()):
            await asyncio.sleep(0.05)
    return found
