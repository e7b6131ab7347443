"""Keeps one process running: start, probe, watch, restart with back-off, until it is told to stop."""

import asyncio
import signal
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from weft_cli.up.child import Child
from weft_cli.up.events import Blocked, Exited, Late, Listener, Ready, Restarting, Started, Stopped
from weft_cli.up.logs import LogSink
from weft_cli.up.ports import taken_reason
from weft_cli.up.processes import Backoff, Process

_TAIL = 5
"""Lines of output that are kept to explain a crash."""

_PROBE_INTERVAL = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the keepers of one supervisor share.

    `run` begins the marker of every process. `announce` passes a line to the guard. `hurry` is set when
    nobody wants to wait any more: SIGKILL instead of `grace` seconds of patience.
    """

    run: str
    logs: LogSink
    emit: Listener
    announce: Callable[[str], None]
    backoff: Backoff
    grace: float
    hurry: asyncio.Event


class Keeper:
    """The life of one `Process`, restarts included. `run` does not return; cancelling it ends the process."""

    def __init__(self, process: Process, context: Context) -> None:
        self.ready = asyncio.Event()
        self._process = process
        self._context = context
        self._tail: deque[str] = deque(maxlen=_TAIL)

    async def run(self) -> None:
        """Start the process again and again, waiting longer each time unless it had been running well."""
        attempt = 0
        while True:
            seconds = await self._run_once()
            attempt = 1 if seconds >= self._context.backoff.stable else attempt + 1
            delay = self._context.backoff.delay(attempt)
            self._context.emit(Restarting(name=self._process.name, seconds=delay, attempt=attempt))
            await asyncio.sleep(delay)

    async def _run_once(self) -> float:
        """Run the process to its end; return for how many seconds it ran, 0 if it could not be started."""
        name = self._process.name
        self._tail.clear()
        if reason := await self._taken():
            self._context.emit(Blocked(name=name, reason=reason))
            return 0.0
        clock = asyncio.get_running_loop().time
        begin = clock()
        try:
            child = await self._spawn()
        except OSError as error:
            self._context.emit(Blocked(name=name, reason=_cannot_start(self._process, error)))
            return 0.0
        status = await self._watch(child)
        seconds = clock() - begin
        self._context.emit(
            Exited(
                name=name,
                pid=child.pid,
                code=status if status >= 0 else None,
                signal=signal.Signals(-status).name if status < 0 else None,
                seconds=seconds,
                tail=tuple(self._tail),
            )
        )
        return seconds

    async def _taken(self) -> str | None:
        """Say which of the ports that the process will listen on is taken, and by whom."""
        for host, port in self._process.listens:
            # In a thread: finding the holder walks through all of /proc.
            if reason := await asyncio.to_thread(taken_reason, port, host):
                return reason
        return None

    async def _spawn(self) -> Child:
        process = self._process
        return await Child.spawn(
            process.argv,
            env=process.env,
            cwd=process.cwd,
            # The slash at the end keeps `v1` from beginning the marker of `v10`.
            marker=f"{self._context.run}{process.name}/",
            on_lines=self._take,
        )

    async def _watch(self, child: Child) -> int:
        """Probe and wait for the end; whatever comes, end the descendants as well."""
        self._context.announce(f"+{child.pid}")
        probing = asyncio.create_task(self._become_ready())
        told = True
        try:
            self._context.emit(Started(name=self._process.name, pid=child.pid))
            status = await child.wait()
            told = False
            return status
        finally:
            self.ready.clear()
            probing.cancel()
            killed = await child.stop(grace=self._context.grace, hurry=self._context.hurry)
            self._context.announce(f"-{child.pid}")
            if told:
                self._context.emit(Stopped(name=self._process.name, killed=killed))

    async def _become_ready(self) -> None:
        """Probe until the answer is yes, complaining once when that takes too long."""
        process, clock = self._process, asyncio.get_running_loop().time
        begin, complained = clock(), False
        while process.probe and not await process.probe():
            await asyncio.sleep(_PROBE_INTERVAL)
            if not complained and clock() - begin > process.ready_within:
                complained = True
                reason = f"still no answer to {process.probe}"
                self._context.emit(Late(name=process.name, seconds=clock() - begin, reason=reason))
        self.ready.set()
        self._context.emit(Ready(name=process.name, seconds=clock() - begin))

    def _take(self, lines: Sequence[str]) -> None:
        """Log lines of output, and remember the last ones that say something."""
        self._tail.extend(line for line in lines if line.strip())
        self._context.logs.write(self._process.name, lines)


def _cannot_start(process: Process, error: OSError) -> str:
    """Say why a command could not be executed; a missing folder and a missing command give the same errno."""
    if process.cwd and not process.cwd.is_dir():
        return f"its working folder {process.cwd} does not exist"
    if isinstance(error, FileNotFoundError):
        return f"its command {process.argv[0]} was not found: install it, or correct the command"
    if isinstance(error, PermissionError):
        return f"its command {process.argv[0]} may not be executed: is it a program, with its x bit set?"
    return f"it cannot be started: {error.strerror or error}"
