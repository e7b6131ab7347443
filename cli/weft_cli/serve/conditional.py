"""Work that is done while it is wanted, which may change under a running control plane."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

_LOOK = 1.0
"""Seconds between two looks at whether it is wanted."""


async def while_wanted(
    wanted: Callable[[], bool], work: Callable[[], Awaitable[None]], *, look: float = _LOOK
) -> NoReturn:
    """Begin `work` whenever it is wanted, and stop it when it is no longer. Raises what it raises.

    Cancelled, it waits for the work's end: a leader's must be over before another replica begins.
    """
    doing: asyncio.Future[None] | None = None
    try:
        while True:
            if doing is not None and doing.done():
                doing.result()
                doing = None
            elif doing is not None and not wanted():
                await _stop(doing)
                doing = None
            if doing is None and wanted():
                doing = asyncio.ensure_future(work())
            await asyncio.sleep(look)
    finally:
        if doing is not None:
            await _stop(doing)


async def _stop(doing: asyncio.Future[None]) -> None:
    doing.cancel()
    await asyncio.gather(doing, return_exceptions=True)
