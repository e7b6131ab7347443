"""Where the output of supervised processes goes: coloured on a terminal, plain files in a folder otherwise."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TextIO

from rich.console import Console
from rich.text import Text

COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green", "bright_magenta", "bright_blue")
"""Given out in turn to processes that do not choose one; red is left for what goes wrong."""


class LogSink(Protocol):
    """Takes lines of output, in the event loop."""

    def open(self, name: str, colour: str | None = None) -> None:
        """Make ready for a process; harmless when it is known already."""

    def write(self, name: str, lines: Sequence[str]) -> None:
        """Keep some lines of a process that has been opened."""

    def close(self) -> None:
        """Write out what is still buffered; nothing is written afterwards."""


class TerminalLogs:
    """One stream on a terminal, each line behind its process's name in its colour.

    Lines go through rich's console, so that they appear above a live line of progress instead of inside it.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._colours: dict[str, str] = {}
        self._width = 0

    def open(self, name: str, colour: str | None = None) -> None:
        """Give the process a colour and its name a place in the column of names."""
        self._colours.setdefault(name, colour or COLOURS[len(self._colours) % len(COLOURS)])
        self._width = max(self._width, len(name))

    def write(self, name: str, lines: Sequence[str]) -> None:
        """Print the lines of one chunk together: rich costs more per call than per line."""
        text = Text(no_wrap=True, overflow="ignore", end="")
        for line in lines:
            text.append(f"{name:<{self._width}} │ ", style=self._colours[name])
            text.append(f"{line}\n")
        self._console.print(text, soft_wrap=True, highlight=False, markup=False, end="")

    def close(self) -> None:
        """Nothing is buffered."""


class FileLogs:
    """A file `NAME.log` per process, appended to when the process is restarted, without colour codes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, TextIO] = {}

    def path(self, name: str) -> Path:
        """Tell where the output of a process is kept."""
        return self.folder / f"{name.replace('/', '_')}.log"

    def open(self, name: str, colour: str | None = None) -> None:
        """Create the folder and the file."""
        del colour
        if name not in self._files:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._files[name] = self.path(name).open("a", encoding="utf-8")

    def write(self, name: str, lines: Sequence[str]) -> None:
        """Append and flush, so that `tail -f` and a crash lose nothing."""
        file = self._files[name]
        file.writelines(f"{line}\n" for line in lines)
        file.flush()

    def close(self) -> None:
        """Close all files; they stay where they are."""
        for file in self._files.values():
            file.close()
        self._files.clear()


def choose_logs(console: Console, folder: Path) -> LogSink:
    """Choose the terminal when there is one, else files below `folder`."""
    return TerminalLogs(console) if console.is_terminal else FileLogs(folder)
