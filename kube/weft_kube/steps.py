"""What follows a list or a watch: a pure state machine over what became of it.

A list gives all objects and the version at which they were so; a watch from there gives what happened after. A watch
ends after some minutes as asked, or is cut off, and goes on from the last version that was seen, for as long as the
server remembers it. When it does not (410 Gone), all is listed anew.
https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from weft_kube.errors import ApiError, Gone, Unavailable

_FIRST_DELAY: Final = 0.1
_SILENT_LIMIT: Final = 1.0
"""Seconds at most between tries to reach a server that does not answer at all. A refused connection costs it nothing,
and its return is noticed within a second."""
_ASKED_LIMIT: Final = 10.0
"""Seconds at most between tries where the server answers, and its answer is no help."""
_LONGEST: Final = 60.0
"""Seconds at most that a server may ask us to wait."""
_PATIENCE: Final = 3
"""Watches in a row that the server answers with a fault of its own, until a list is tried instead."""
_HEALTHY: Final = 1.0
"""Seconds after which a watch counts as one that worked, even if nothing happened in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class List:
    """List everything, after `delay` seconds."""

    delay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Watch from `version` on, after `delay` seconds."""

    version: str
    delay: float = 0.0


class Steps:
    """The next step for one resource. `jitter` gives numbers from 0 to 1, so that replicas don't come all at once."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._version = ""
        """From where a watch would go on; empty where a list is due."""
        self._failures = 0
        """In a row: steps that came to nothing."""
        self._delay = 0.0

    @property
    def next(self) -> List | Watch:
        """What to do now."""
        if not self._version:
            return List(delay=self._delay)
        return Watch(version=self._version, delay=self._delay)

    def listed(self, version: str) -> None:
        """A list is complete. It proves little: a watch from there may still be refused, again and again."""
        self._version = version
        self._delay = 0.0

    def advanced(self, version: str) -> None:
        """An event or a bookmark came: a later watch need not begin before it."""
        self._version = version
        self._failures = 0
        self._delay = 0.0

    def ended(self, lasted: float) -> None:
        """A watch ended without fault after so many seconds. Where that was at once, the next one waits a little."""
        if lasted >= _HEALTHY:
            self._failures = 0
            self._delay = 0.0
        else:
            self._back_off(_ASKED_LIMIT)

    def failed(self, error: ApiError, lasted: float = 0.0) -> None:
        """A list, or a watch after so many seconds, failed. It is repeated, except where only a new list can help."""
        if lasted >= _HEALTHY:
            self._failures = 0
        if isinstance(error, Gone):
            self._version = ""
            self._back_off(_ASKED_LIMIT, free=1)
        elif isinstance(error, Unavailable):
            if error.status and self._failures >= _PATIENCE:
                self._version = ""
            self._back_off(_SILENT_LIMIT if error.status == 0 else _ASKED_LIMIT)
            if error.retry_after is not None:
                self._delay = max(self._delay, min(error.retry_after, _LONGEST))
        else:
            self._back_off(_ASKED_LIMIT)

    def _back_off(self, limit: float, *, free: int = 0) -> None:
        """Wait longer each time, up to `limit` seconds; the first `free` times not at all."""
        self._failures += 1
        exponent = min(self._failures - free, 16) - 1
        longest = min(_FIRST_DELAY * 2**exponent, limit) if exponent >= 0 else 0.0
        self._delay = longest * (0.5 + 0.5 * self._jitter())
