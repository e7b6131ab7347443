"""The barrier before the first push: nobody is served from a registry that is only partly filled.

A proxy that connects meanwhile keeps what it has. Served too early, it would be told that most services are gone.
"""

import asyncio
from collections.abc import Callable, Collection

import structlog

_PATIENCE = 10.0
"""Seconds after which it is told what is still missing."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Barrier:
    """Opens when every one of `parts` has arrived, and never closes again. `passed` is told of each, once."""

    def __init__(self, parts: Collection[str], passed: Callable[[str], None] = lambda _part: None) -> None:
        self._missing = dict.fromkeys(parts)
        self._passed = passed
        self._open = asyncio.Event()
        if not self._missing:
            self._open.set()

    @property
    def missing(self) -> tuple[str, ...]:
        """What has not arrived yet, in the order of `parts`."""
        return tuple(self._missing)

    @property
    def is_open(self) -> bool:
        """Whether everything has arrived."""
        return self._open.is_set()

    def arrive(self, part: str) -> None:
        """A part has its first full list."""
        if part in self._missing:
            del self._missing[part]
            self._passed(part)
            if not self._missing:
                self._open.set()

    async def wait(self) -> None:
        """Wait until it is open, and say in the log what is missing while that takes long."""
        while True:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._open.wait()
                return
            except TimeoutError:
                _log.warning("ingest_waits", missing=list(self.missing))
