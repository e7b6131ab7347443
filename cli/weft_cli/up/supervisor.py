"""The supervisor of `weft up`: starts processes in parallel, keeps them running, and leaves none of them behind.

    async with Supervisor(logs=FileLogs(folder), listeners=[progress], handle_signals=True) as supervisor:
        supervisor.add(Process(name="reviews-v1", argv=("python", "reviews.py"), probe=TcpProbe(port=9080)))
        await supervisor.wait_ready()
        await supervisor.interrupted.wait()

Leaving the block ends everything: SIGTERM to the process groups, a bounded wait, SIGKILL. A second interrupt
meanwhile skips the wait. If the supervisor itself is killed, its guard process does the same (see `guard`).
"""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from weft_cli.up import guard
from weft_cli.up.events import Listener, ProcessEvent
from weft_cli.up.keeper import Context, Keeper
from weft_cli.up.logs import LogSink
from weft_cli.up.processes import Backoff, Process

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Runs processes until its block is left. All methods belong to one event loop.

    `grace` is the number of seconds between SIGTERM and SIGKILL. With `handle_signals`, SIGINT, SIGTERM and
    SIGHUP call `interrupt` for as long as the block lasts, its end included. `interrupted` is set by the
    first interrupt; acting on it is the caller's part. An exception in a listener is a fault: it ends the
    block like a failed task ends its TaskGroup.
    """

    def __init__(
        self,
        *,
        logs: LogSink,
        listeners: Sequence[Listener] = (),
        backoff: Backoff | None = None,
        grace: float = 5.0,
        handle_signals: bool = False,
    ) -> None:
        self.interrupted = asyncio.Event()
        self._hurry = asyncio.Event()
        self._logs = logs
        self._listeners = listeners
        self._handle_signals = handle_signals
        self._context = Context(
            run=f"{os.getpid()}-{secrets.token_hex(4)}/",
            logs=logs,
            emit=self._emit,
            announce=self._announce,
            backoff=backoff or Backoff(),
            grace=grace,
            hurry=self._hurry,
        )
        self._keepers: dict[str, tuple[Keeper, asyncio.Task[None]]] = {}
        self._tasks = asyncio.TaskGroup()
        self._guard: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        self._guard = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(Path(guard.__file__)), self._context.run),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        if self._handle_signals:
            for number in _SIGNALS:
                asyncio.get_running_loop().add_signal_handler(number, self.interrupt)
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._stop()
            # The task group has to see its own cancellation of the block; other exceptions it would only wrap.
            cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
            await self._tasks.__aexit__(*((kind, error, trace) if cancelled else (None, None, None)))
        finally:
            if self._handle_signals:
                for number in _SIGNALS:
                    asyncio.get_running_loop().remove_signal_handler(number)
            self._logs.close()
            await self._dismiss_guard()

    def add(self, process: Process) -> None:
        """Start a process and keep it running. Its name must not be in use."""
        if process.name in self._keepers:
            raise ValueError(f"a process called {process.name} runs already")
        self._logs.open(process.name, process.colour)
        keeper = Keeper(process, self._context)
        self._keepers[process.name] = keeper, self._tasks.create_task(keeper.run(), name=process.name)

    async def remove(self, name: str) -> None:
        """End a process and forget it; its name may be used again."""
        _, task = self._keepers[name]
        task.cancel()
        await asyncio.wait({task})
        del self._keepers[name]

    async def wait_ready(self, *names: str) -> None:
        """Wait until the named processes, or all that were added so far, are ready. A restart counts anew."""
        for name in names or tuple(self._keepers):
            keeper, _ = self._keepers[name]
            await keeper.ready.wait()

    def interrupt(self) -> None:
        """Ask for the end, as Ctrl-C does: sets `interrupted`; the second time, kill without waiting."""
        if self.interrupted.is_set():
            self._hurry.set()
        self.interrupted.set()

    async def _stop(self) -> None:
        """End all processes at the same time; if that is cancelled, kill them at once."""
        tasks = {task for _, task in self._keepers.values()}
        for task in tasks:
            task.cancel()
        try:
            if tasks:
                await asyncio.wait(tasks)
        except asyncio.CancelledError:
            self._hurry.set()
            await asyncio.wait(tasks)
            raise

    async def _dismiss_guard(self) -> None:
        """Close the guard's input: it looks for anything left over, ends it, and goes."""
        if self._guard.stdin:
            self._guard.stdin.close()
        await self._guard.wait()

    def _announce(self, line: str) -> None:
        """Tell the guard of a process group. A guard that somebody has killed misses it, and is not replaced."""
        if self._guard.stdin:
            self._guard.stdin.write(f"{line}\n".encode())

    def _emit(self, event: ProcessEvent) -> None:
        for listener in self._listeners:
            listener(event)
