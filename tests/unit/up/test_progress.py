"""What the user sees of the start."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from weft_cli.up.events import Blocked, Exited, Late, ProcessEvent, Ready, Restarting, Started, Stopped
from weft_cli.up.progress import Progress, make_console

START: tuple[ProcessEvent, ...] = (
    Started(name="gateway", pid=1),
    Started(name="reviews", pid=2),
    Ready(name="gateway", seconds=0.25),
)
CRASH = Exited(name="reviews", pid=2, code=1, signal=None, seconds=0.5, tail=("no such table",))


@pytest.fixture
def show() -> Callable[..., str]:
    """Play events to a progress display and return everything that it wrote."""

    def run(*events: ProcessEvent, terminal: bool = False, **options: bool) -> str:
        file = io.StringIO()
        console = Console(file=file, force_terminal=terminal, width=100, soft_wrap=True, **options)  # type: ignore[arg-type]
        ticks = iter(range(1000))
        with Progress(console, clock=lambda: float(next(ticks))) as progress:
            progress(Started(name="gateway", pid=1))
            progress(Started(name="reviews", pid=2))
            for event in events:
                progress(event)
            progress.done({"product page": "http://localhost:8080/productpage"}, hints={"stop": "Ctrl-C"})
        return file.getvalue()

    return run


def test_plain_output_has_a_line_per_process_and_no_codes(show: Callable[..., str]) -> None:
    output = show(*START, Ready(name="reviews", seconds=1))
    assert "gateway is ready after 0.2 s (1 of 2)\nreviews is ready after 1.0 s (2 of 2)\n" in output
    assert "http://localhost:8080/productpage" in output
    assert "Ctrl-C" in output
    assert "\x1b" not in output


def test_a_terminal_shows_one_live_line_with_who_is_missing(show: Callable[..., str]) -> None:
    output = show(*START, terminal=True)
    assert "1 of 2 ready, waiting for reviews ·" in output
    assert "gateway is ready" not in output


def test_no_colour_on_a_terminal_means_no_live_line(show: Callable[..., str]) -> None:
    output = show(*START, terminal=True, no_color=True)
    assert "waiting for" not in output
    assert "gateway is ready" in output


def test_trouble_is_told_with_reason_and_only_once(show: Callable[..., str]) -> None:
    taken = Blocked(name="gateway", reason="port 8080 is taken by pid 7 (nginx)")
    output = show(taken, Restarting(name="gateway", seconds=0.25, attempt=1), taken, CRASH)
    assert output.count("gateway: port 8080 is taken by pid 7 (nginx)") == 1
    assert "gateway is started again in 0.25 s" in output
    assert "reviews: ended with exit code 1 after 0.5 s; it said last: no such table" in output


def test_late_and_deaf_processes_are_named(show: Callable[..., str]) -> None:
    late = Late(name="reviews", seconds=20.0, reason="still no answer to GET http://127.0.0.1:9080/")
    output = show(late, Stopped(name="gateway", killed=True))
    assert "reviews: is not ready after 20 s: still no answer to GET" in output
    assert "gateway did not end on SIGTERM and was killed" in output


def test_no_color_is_taken_from_option_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert make_console(no_color=True).no_color
    assert not make_console().no_color
    monkeypatch.setenv("NO_COLOR", "1")
    assert make_console().no_color
