"""What the supervisor is asked to run: a process, and how to go about its restarts."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from weft_cli.up.probes import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What to run, and how to tell that it works.

    `env` is the whole environment, not an addition. `listens` names the addresses that must be free before it
    starts: a taken one is reported with its holder. Without a `probe` the process is ready as soon as it
    runs; with one it is reported late after `ready_within` seconds, and probed on. `colour` is one of rich's,
    for its name in the log.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    cwd: Path | None = None
    probe: Probe | None = None
    ready_within: float = 20.0
    listens: tuple[tuple[str, int], ...] = ()
    colour: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before a restart: doubling up to a limit, anew after a stable run. All in seconds."""

    first: float = 0.25
    limit: float = 10.0
    stable: float = 10.0

    def delay(self, attempt: int) -> float:
        """Return the wait before restart number `attempt`, counted from 1."""
        # The exponent is bounded, or the float would overflow after a thousand restarts.
        return min(self.first * 2.0 ** min(attempt - 1, 32), self.limit)
