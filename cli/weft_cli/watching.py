"""Watching a folder, from a known moment on: what is saved after that moment is never missed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from watchfiles import awatch

_DEBOUNCE_MS: Final = 40
"""How long a burst of file events is gathered: an editor writes a file in several steps."""
_STEP_MS: Final = 10


@contextlib.asynccontextmanager
async def watching(folder: Path, stop: asyncio.Event | None = None) -> AsyncIterator[AsyncIterator[None]]:
    """An iterator with one item for each burst of changes since the block began; it ends with `stop`.

    Read the folder inside the block: what changes between the reading and the iteration is told, too.
    """
    bursts = awatch(folder, debounce=_DEBOUNCE_MS, step=_STEP_MS, rust_timeout=1000, stop_event=stop)
    awaited = asyncio.ensure_future(anext(bursts))
    await asyncio.sleep(0)  # lets it begin to watch

    async def iterate() -> AsyncIterator[None]:
        nonlocal awaited
        with contextlib.suppress(StopAsyncIteration):
            while True:
                await awaited
                awaited = asyncio.ensure_future(anext(bursts))
                yield

    try:
        yield iterate()
    finally:
        awaited.cancel()
        with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
            await awaited
