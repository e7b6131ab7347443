"""One running process with all its descendants: started, listened to, ended without a rest.

The process leads a session and so a process group of its own: Ctrl-C in the terminal reaches only the
supervisor, and one signal reaches the whole group. Descendants that leave the group are found by the marker
in their environment (see `guard`).
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from weft_cli.up.guard import MARKER, marked, signal_group, signal_process
from weft_cli.up.lines import LineSplitter

_DRAIN = 1.0
"""Seconds to wait for the last output after the end: more only helps a descendant that nobody can find."""

_STRAGGLERS = 0.5
"""Seconds that descendants get between the end of their leader and SIGKILL."""

_POLL = 0.02


class _Output(asyncio.Protocol):
    """Splits what arrives on the pipe into lines."""

    def __init__(self, on_lines: Callable[[Sequence[str]], None]) -> None:
        self._on_lines = on_lines
        self._splitter = LineSplitter()
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Pass on the lines that are complete."""
        if lines := self._splitter.feed(data):
            self._on_lines(lines)

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on what came without a newline: every writer has closed the pipe."""
        if lines := self._splitter.finish():
            self._on_lines(lines)
        self.ended.set()


class Child:
    """A started process. Create it with `spawn`; call `stop` in the end, even after it has ended by itself."""

    def __init__(
        self, process: asyncio.subprocess.Process, marker: str, pipe: asyncio.ReadTransport, output: _Output
    ) -> None:
        self._process = process
        self._marker = marker
        self._pipe = pipe
        self._output = output
        self._ended = asyncio.create_task(process.wait())

    @classmethod
    async def spawn(
        cls,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None,
        marker: str,
        on_lines: Callable[[Sequence[str]], None],
    ) -> Self:
        """Start `argv` with both output streams on one pipe, which keeps their order.

        `marker` is added to the environment, so that descendants can be found. Raises OSError when the
        command cannot be executed.
        """
        reading, writing = os.pipe()
        pipe, output = await asyncio.get_running_loop().connect_read_pipe(
            lambda: _Output(on_lines), os.fdopen(reading, "rb", buffering=0)
        )
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                env={**env, MARKER: marker},
                cwd=cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
            )
        except BaseException:
            pipe.close()
            raise
        finally:
            os.close(writing)
        return cls(process, marker, pipe, output)

    @property
    def pid(self) -> int:
        """The process's id, and its group's."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait for the end, by itself or not; return the exit code, or minus the number of the signal."""
        return await asyncio.shield(self._ended)

    async def stop(self, *, grace: float, hurry: asyncio.Event) -> bool:
        """End the process and its descendants; return whether the process itself had to be killed.

        SIGTERM, then SIGKILL after `grace` seconds or as soon as `hurry` is set. A process that has ended by
        itself only loses its descendants. Cancelling this kills at once.
        """
        killed = False
        try:
            if not self._ended.done():
                signal_group(self.pid, signal.SIGTERM)
                killed = not await _first(self._ended, hurry, grace)
            await self._wait_for_stragglers(hurry)
        finally:
            self.kill()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._output.ended.wait(), _DRAIN)
            self._pipe.close()
            await self._ended
        return killed

    async def _wait_for_stragglers(self, hurry: asyncio.Event) -> None:
        """Give the descendants, who got the same SIGTERM, a moment to end in good order."""
        for _ in range(round(_STRAGGLERS / _POLL)):
            if hurry.is_set() or not signal_group(self.pid, 0):
                return
            await asyncio.sleep(_POLL)

    def kill(self) -> None:
        """SIGKILL the group and every marked descendant, without waiting."""
        signal_group(self.pid, signal.SIGKILL)
        for pid in marked(self._marker):
            signal_process(pid, signal.SIGKILL)


async def _first(ended: asyncio.Task[int], hurry: asyncio.Event, seconds: float) -> bool:
    """Wait for the end, for the wish to hurry or for some seconds; tell whether it was the end."""
    hurried = asyncio.create_task(hurry.wait())
    try:
        await asyncio.wait({ended, hurried}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        hurried.cancel()
    return ended.done()
