"""Logs: prefixed and coloured on a terminal, plain in files."""

import io
from pathlib import Path

from rich.console import Console

from weft_cli.up.logs import FileLogs, TerminalLogs, choose_logs


def terminal(*, no_color: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=40, no_color=no_color, color_system="standard")


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_shows_each_line_behind_its_coloured_name() -> None:
    console = terminal()
    logs = TerminalLogs(console)
    logs.open("ratings")
    logs.open("reviews-v1", "blue")
    logs.write("ratings", ["one", "[bold]two[/bold] " + "x" * 60])
    logs.write("reviews-v1", ["three"])
    assert written(console) == (
        "\x1b[36mratings    │ \x1b[0mone\n"
        f"\x1b[36mratings    │ \x1b[0m[bold]two[/bold] {'x' * 60}\n"
        "\x1b[34mreviews-v1 │ \x1b[0mthree\n"
    )


def test_without_colours_the_prefix_remains() -> None:
    console = terminal(no_color=True)
    logs = TerminalLogs(console)
    logs.open("ratings")
    logs.write("ratings", ["one"])
    assert written(console) == "ratings │ one\n"


def test_files_are_plain_and_survive_a_restart(tmp_path: Path) -> None:
    for line in ("one", "two"):
        logs = FileLogs(tmp_path / "logs")
        logs.open("default/ratings")
        logs.write("default/ratings", [line])
        assert logs.path("default/ratings").read_text().endswith(f"{line}\n")
        logs.close()
    assert (tmp_path / "logs" / "default_ratings.log").read_text() == "one\ntwo\n"


def test_the_console_decides(tmp_path: Path) -> None:
    assert isinstance(choose_logs(terminal(), tmp_path), TerminalLogs)
    assert isinstance(choose_logs(Console(file=io.StringIO()), tmp_path), FileLogs)
