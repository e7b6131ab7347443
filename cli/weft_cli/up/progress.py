"""What the user of `weft up` sees of the start: a live line on a terminal, plain lines elsewhere, then the addresses.

Afterwards the same object goes on telling of crashes and restarts.
"""

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from weft_cli.up.events import Blocked, Exited, Late, ProcessEvent, Ready, Restarting, Started, Stopped

_SHOWN = 4
"""Names of waiting processes on the live line; the rest is counted."""


def make_console(*, no_color: bool = False) -> Console:
    """Make the console for what `weft up` prints; rich itself heeds NO_COLOR and whether this is a terminal."""
    return Console(no_color=True if no_color else None, highlight=False, soft_wrap=True)


class Progress:
    """Listens to a supervisor. As a context manager it shows the start; call `done` when all is up.

    Plain lines instead of the live one when the console is no terminal, or shows no colours: who asked for
    those reads with a screen reader or into a file, where a line that changes is a nuisance.
    """

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._begin = clock()
        self._ready: dict[str, bool] = {}
        self._trouble: dict[str, str] = {}
        self._spinner = Spinner("dots")
        self._live: Live | None = None

    def __enter__(self) -> Self:
        self._begin = self._clock()
        if self._console.is_terminal and not self._console.no_color:
            self._live = Live(get_renderable=self._line, console=self._console, refresh_per_second=12.5, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_live()

    def note(self, message: str, *, style: str = "") -> None:
        """Print a line, above the live one."""
        self._console.print(Text(message, style=style))

    def done(self, urls: Mapping[str, str], *, hints: Mapping[str, str] | None = None) -> None:
        """End the live line and print `urls` by what they show, and `hints` (log folder, how to stop) below."""
        self._end_live()
        self._console.print(self._summary(urls, hints or {}))

    def __call__(self, event: ProcessEvent) -> None:
        """Take an event of the supervisor."""
        name = event.name
        match event:
            case Started():
                self._ready[name] = False
            case Ready():
                self._ready[name] = True
                self._trouble.pop(name, None)
                if self._live is None:
                    self.note(f"{name} is ready after {event.seconds:.1f} s ({self._count()})")
            case Exited() | Blocked():
                self._ready[name] = False
                self._complain(name, event.reason)
            case Late():
                self._complain(name, f"is not ready after {event.seconds:.0f} s: {event.reason}")
            case Restarting():
                self.note(f"{name} is started again in {event.seconds:g} s", style="dim")
            case Stopped():
                self._ready.pop(name, None)
                if event.killed:
                    self.note(f"{name} did not end on SIGTERM and was killed", style="yellow")

    def _complain(self, name: str, reason: str) -> None:
        """Tell of trouble, once for as long as it stays the same: a port that is taken is asked for again and again."""
        if self._trouble.get(name) != reason:
            self._trouble[name] = reason
            self.note(f"{name}: {reason}", style="red")

    def _count(self) -> str:
        return f"{sum(self._ready.values())} of {len(self._ready)}"

    def _line(self) -> RenderableType:
        """Draw the live line: how many are ready, for whom we wait, for how long already."""
        waiting = [name for name, ready in self._ready.items() if not ready]
        names = ", ".join(waiting[:_SHOWN])
        rest = f" and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
        text = f"{self._count()} ready"
        if waiting:
            text += f", waiting for {names}{rest}"
        self._spinner.update(
            text=Text(f"{text} · {self._clock() - self._begin:.1f} s", overflow="ellipsis", no_wrap=True)
        )
        return self._spinner

    def _summary(self, urls: Mapping[str, str], hints: Mapping[str, str]) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_row(Text("up", style="bold green"), f"{self._count()} ready in {self._clock() - self._begin:.1f} s")
        for label, url in urls.items():
            table.add_row(label, Text(url, style="bold underline"))
        for label, hint in hints.items():
            table.add_row(Text(label, style="dim"), Text(hint, style="dim"))
        return table

    def _end_live(self) -> None:
        if self._live:
            self._live.stop()
            self._live = None
