"""What happens to supervised processes, as values: one stream for the progress line, the log and the tests."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEvent:
    """Something that happened to the process called `name`."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(ProcessEvent):
    """The process runs; it need not answer yet."""

    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(ProcessEvent):
    """The readiness probe has succeeded, `seconds` after the start."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Late(ProcessEvent):
    """The process runs and is not ready after `seconds`; it is left alone and probed on."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked(ProcessEvent):
    """The process could not be started at all: a port is taken, the command is missing."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exited(ProcessEvent):
    """The process ended without being told to.

    Exactly one of `code` (0 to 255) and `signal` (`SIGSEGV`) is set. `tail` holds its last lines of output.
    """

    pid: int
    code: int | None
    signal: str | None
    seconds: float
    tail: tuple[str, ...]

    @property
    def reason(self) -> str:
        """How it ended and what it said last, in one line."""
        how = f"was killed by {self.signal}" if self.signal else f"ended with exit code {self.code}"
        said = f"; it said last: {self.tail[-1].strip()}" if self.tail else ", having said nothing"
        return f"{how} after {self.seconds:.1f} s{said}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarting(ProcessEvent):
    """The process is started again in `seconds`; `attempt` counts from 1 and anew after a stable run."""

    seconds: float
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(ProcessEvent):
    """The process was told to end and has ended; `killed` if SIGTERM was not enough."""

    killed: bool


Listener: TypeAlias = Callable[[ProcessEvent], None]
"""Receives each event in the event loop, at once; must not block."""
