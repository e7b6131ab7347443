"""Long-running processes: started with a log, watched while they come up, ended for certain.

Each one dies with this process, however this process ends: the kernel sends SIGKILL when the thread that started it is
gone (prctl(2), PR_SET_PDEATHSIG, set by setpriv(1)). That thread must outlive them, so one thread starts them all.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bringup.errors import Failed

_STARTER = ThreadPoolExecutor(1, thread_name_prefix="bringup")
_GRACE_SECONDS = 5.0


class Daemon:
    """One process at a time of the given command; its output goes to `log`, which is kept over restarts."""

    def __init__(
        self, command: Sequence[str | Path], log: Path, *, prefix: Sequence[str | Path] = (), forks: bool = False
    ) -> None:
        """`prefix` is put before the command; `forks` says that it starts the command as its child, as nsenter does."""
        self.name = Path(command[0]).name
        self.log = log
        self._command = [*prefix, *command]
        self._forks = forks
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process of the command itself, as this machine numbers it."""
        if self._process is None:
            raise Failed(f"{self.name} has not been started")
        return children(self._process.pid)[0] if self._forks else self._process.pid

    def start(self) -> None:
        """Start it, with nothing to read from."""
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = _STARTER.submit(
                subprocess.Popen,
                [*guard, *self._command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the one who stops it in order
            ).result()

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait for `ready`; raises `Failed` with the end of the log if it ends or takes longer."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise Failed(f"{self.name} ended at once:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} was not ready within {seconds:.0f} s:\n{self.tail()}")
            time.sleep(0.05)

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait until it is gone; SIGKILL follows if the first signal does not end it in time."""
        if self._process is None or self._process.poll() is not None:
            return
        for attempt in (sign, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(self.pid, attempt)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_SECONDS)
                return
        self._process.kill()
        self._process.wait()

    def tail(self, lines: int = 25) -> str:
        """The last lines that it wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


def children(pid: int) -> list[int]:
    """The direct children of a process; none if it is gone."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
