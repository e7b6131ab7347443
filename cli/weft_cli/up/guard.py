"""The guard: ends the processes of `weft up` when the supervisor itself is gone, however it went.

One guard runs per supervisor, in a session of its own. It holds the reading end of a pipe whose only writing
end is the supervisor's, so the kernel tells it of the supervisor's death even after SIGKILL. Unlike
PR_SET_PDEATHSIG this works on macOS, survives `exec`, and reaches grandchildren.

It knows its processes in two ways: by process groups, which the supervisor announces as lines (`+PGID`,
`-PGID`), and on Linux by a marker in their environment, which also finds what has left its group with setsid.
The file runs as a script under `python -I -S` and so imports nothing but the standard library.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

MARKER = "WEFT_UP_PROCESS"
"""Environment variable that every supervised process carries: `RUN/NAME`, inherited by all its descendants."""

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL once the supervisor is gone."""

_POLL = 0.02


def marked(prefix: str) -> list[int]:
    """Find the living processes whose marker begins with `prefix`; always empty where there is no /proc."""
    wanted = f"{MARKER}={prefix}".encode()
    found = []
    for entry in os.scandir("/proc") if sys.platform == "linux" else ():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        # A process that ends meanwhile, or that belongs to somebody else, is none of ours.
        with contextlib.suppress(OSError):
            environment = Path(entry.path, "environ").read_bytes().split(b"\0")
            if any(variable.startswith(wanted) for variable in environment):
                found.append(int(entry.name))
    return found


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group (0 only asks); tell whether it still has a member that we may signal."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        return False
    return True


def signal_process(pid: int, number: int) -> None:
    """Send a signal to one process, which may have ended already."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def end_all(groups: Iterable[int], prefix: str, *, grace: float = GRACE) -> None:
    """SIGTERM the groups and everything marked, wait for at most `grace` seconds, SIGKILL the rest."""
    living = _signal_all(set(groups), prefix, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while living() and time.monotonic() < deadline:
        time.sleep(_POLL)
    _signal_all(set(groups), prefix, signal.SIGKILL)


def _signal_all(groups: set[int], prefix: str, number: int) -> Callable[[], bool]:
    """Signal everything once; return a function that tells whether any of it is still alive."""
    for group in groups:
        signal_group(group, number)
    for pid in marked(prefix):
        signal_process(pid, number)
    return lambda: any(signal_group(group, 0) for group in groups) or bool(marked(prefix))


def main(prefix: str) -> None:
    """Follow the announcements on standard input until its end, which is the supervisor's end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        change, group = line[0], int(line[1:])
        (groups.add if change == "+" else groups.discard)(group)
    end_all(groups, prefix)


if __name__ == "__main__":
    main(sys.argv[1])
