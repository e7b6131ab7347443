"""Many callers, one piece of work: a Deployment's pods are admitted all at once, and need the same objects."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class SingleFlight(Generic[K]):
    """Runs work once for each key at a time; who asks meanwhile waits for the same outcome."""

    def __init__(self) -> None:
        self._running: dict[K, asyncio.Task[None]] = {}

    async def run(self, key: K, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do `work`, or wait for what is under way. A caller that is cancelled leaves the others theirs."""
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(work(), name=f"once for {key}")
            self._running[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        await asyncio.shield(task)

    def _forget(self, key: K, task: asyncio.Task[None]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # seen, also where every caller has given up
