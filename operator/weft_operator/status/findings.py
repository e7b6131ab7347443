"""The findings about each object: those of reading it, and those that depend on other objects."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

import structlog

from weft_core.problems import ObjectRef, Problem, by_severity
from weft_core.registry import Registry
from weft_core.view.problems import all_problems, checks
from weft_operator.ingest.report import Observed

SLICE: Final = 0.005
"""Seconds at a stretch that the first look may take from everything else."""

Findings = Mapping[ObjectRef, tuple[Problem, ...]]

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class View:
    """The findings of the views, by object. Reading them costs what has changed, and nothing where nothing has.

    `commit` is called first: reading the graph between a write and its commit would take the change from proxies.
    """

    def __init__(self, registry: Registry, commit: Callable[[], None]) -> None:
        self._registry = registry
        self._commit = commit
        self._seen: tuple[Problem, ...] | None = None
        self._found: dict[ObjectRef, tuple[Problem, ...]] = {}
        self._failed = ""

    async def prepare(self) -> None:
        """Look at all objects for the first time, without holding the event loop up for long."""
        self._commit()
        loop = asyncio.get_running_loop()
        began = loop.time()
        for table, check in checks(self._registry):
            for key in table:
                with suppress(Exception):  # told below, and by whoever serves what comes of the object
                    check(self._registry, key)
                if loop.time() - began > SLICE:
                    await asyncio.sleep(0)
                    began = loop.time()

    def __call__(self) -> Findings:
        """All findings there are now. The same mapping as long as they are the same.

        Where looking for them fails, which is a fault of the program, they stay as they are: a status that is a little
        old beats none.
        """
        self._commit()
        try:
            problems = all_problems(self._registry)
        except Exception as error:
            if repr(error) != self._failed:
                self._failed = repr(error)
                _log.exception("findings_failed")
            return self._found
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

    What the views find is about the version in force, and says nothing of a newer one that is refused. Where none is in
    force, it is what follows from that.
    """
    viewed = () if observed.rejected and observed.in_force else findings.get(observed.ref, ())
    return by_severity((*observed.problems, *viewed))
