"""Real processes for the supervisor's tests: tiny Python programs, a recorder of events, a sink that remembers."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from weft_cli.up.events import ProcessEvent
from weft_cli.up.processes import Process


class MemoryLogs:
    """A log sink that keeps lines by process."""

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {}
        self.closed = False

    def open(self, name: str, colour: str | None = None) -> None:
        self.lines.setdefault(name, [])

    def write(self, name: str, lines: Sequence[str]) -> None:
        self.lines[name].extend(lines)

    def close(self) -> None:
        self.closed = True


class Recorder:
    """A listener that keeps all events."""

    def __init__(self) -> None:
        self.events: list[ProcessEvent] = []

    def __call__(self, event: ProcessEvent) -> None:
        self.events.append(event)

    def kinds(self, name: str) -> list[str]:
        return [type(event).__name__ for event in self.events if event.name == name]


@pytest.fixture
def logs() -> MemoryLogs:
    return MemoryLogs()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def python() -> Callable[..., Process]:
    """Make a process that runs Python source, started without site packages to be quick."""

    def make(source: str, *, name: str = "app", **options: object) -> Process:
        return Process(name=name, argv=(sys.executable, "-I", "-S", "-u", "-c", source), **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def is_alive() -> Callable[[int], bool]:
    """Tell whether a process runs; a zombie that nobody reaps does not."""

    def alive(pid: int) -> bool:
        status = Path(f"/proc/{pid}/stat")
        if Path("/proc/self").exists():
            try:
                return status.read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
            except OSError:
                return False
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True

    return alive


@pytest.fixture
def gone(is_alive: Callable[[int], bool]) -> Callable[[int], bool]:
    """Wait for at most five seconds until a process is gone; tell whether it is."""

    def wait(pid: int) -> bool:
        deadline = time.monotonic() + 5
        while is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        return not is_alive(pid)

    return wait
