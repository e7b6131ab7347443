"""Findings as people read them: a table with colours, drawn by rich."""

from collections.abc import Sequence
from io import StringIO
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from weft_core.problems import Problem, Severity

_COLOURS: Final = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


def table(problems: Sequence[Problem], *, color: bool, width: int | None) -> str:
    """A row for each finding and their counts; without a `width` one plain line for each."""
    out = StringIO()
    console = Console(
        file=out, force_terminal=color, no_color=not color, width=width, highlight=False, soft_wrap=not width
    )
    if not problems:
        console.print(Text("No problems found."))
        return out.getvalue()
    if width is None:
        for problem in problems:
            console.print(Text(str(problem)))
        return out.getvalue()
    rows = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    rows.add_column(no_wrap=True)
    rows.add_column(ratio=1, overflow="fold")
    for problem in problems:
        head = Text(f"{problem.severity.value} {problem.code}", style=_COLOURS[problem.severity])
        body = Text()
        body.append(str(problem.object), style="bold")
        if problem.path:
            body.append(f"  {problem.path}", style="magenta")
        if problem.source.file:
            body.append(f"  {problem.source.file}:{problem.source.line}", style="dim")
        body.append(f"\n{problem.message}")
        if problem.fix:
            body.append(f"\n→ {problem.fix}", style="green")
        rows.add_row(head, body)
    console.print(rows)
    counts = [(s, sum(p.severity is s for p in problems)) for s in Severity]
    console.print(Text(", ".join(f"{n} {s.value}{'s' if n != 1 else ''}" for s, n in counts if n)))
    return out.getvalue()
