"""Which findings are new: each is told once, for as long as it lasts."""

from collections.abc import Iterable

from weft_core.problems import Problem, Source


class News:
    """Remembers what was told. A finding that moved to another line, because something above it grew, is the same."""

    def __init__(self) -> None:
        self._told: frozenset[Problem] = frozenset()

    def of(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """Those of the present findings that were not among the last ones, each once."""
        present = {problem.at(Source()): problem for problem in problems}
        fresh = tuple(problem for same, problem in present.items() if same not in self._told)
        self._told = frozenset(present)
        return fresh
