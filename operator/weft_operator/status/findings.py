"""The findings about each object: those of reading it, and those that depend on other objects."""

from collections.abc import Callable, Mapping

from weft_core.problems import ObjectRef, Problem, by_severity
from weft_core.registry import Registry
from weft_core.view.problems import all_problems
from weft_operator.ingest.report import Observed

Findings = Mapping[ObjectRef, tuple[Problem, ...]]


class View:
    """The findings of the views, by object. Reading them costs what has changed, and nothing where nothing has.

    `commit` is called first: reading the graph between a write and its commit would take the change from proxies.
    """

    def __init__(self, registry: Registry, commit: Callable[[], None]) -> None:
        self._registry = registry
        self._commit = commit
        self._seen: tuple[Problem, ...] | None = None
        self._found: dict[ObjectRef, tuple[Problem, ...]] = {}

    def __call__(self) -> Findings:
        """All findings there are now. The same mapping as long as they are the same."""
        self._commit()
        problems = all_problems(self._registry)
        if problems is not self._seen:
            self._seen = problems
            found: dict[ObjectRef, list[Problem]] = {}
            for problem in problems:
                found.setdefault(problem.object, []).append(problem)
            self._found = {ref: tuple(mine) for ref, mine in found.items()}
        return self._found


def changed(before: Findings, after: Findings) -> set[ObjectRef]:
    """The objects about which something else is found than before."""
    if before is after:
        return set()
    return {ref for ref in before.keys() | after.keys() if before.get(ref) != after.get(ref)}


def about(observed: Observed, findings: Findings) -> tuple[Problem, ...]:
    """All that is to be said about an object's newest version, worst first.

    What the views find is about the version in force, and says nothing of one that is refused.
    """
    viewed = () if observed.rejected else findings.get(observed.ref, ())
    return by_severity((*observed.problems, *viewed))
