"""Mistakes: findings of a model about itself, before it is known which object and file they belong to."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from weft_core.problems import Code, ObjectRef, Problem, Severity, Source

Path = tuple[str | int, ...]
"""Steps from the document's root: field names and map keys as text, list positions as numbers."""

_PLAIN_STEP = re.compile(r"[A-Za-z0-9_-]+")
_STEP = re.compile(r"([A-Za-z0-9_-]+)|\[([^\]]*)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """What is wrong at `path` (relative to the model that reports it), and what to write instead."""

    path: Path = ()
    message: str
    fix: str = ""
    severity: Severity = Severity.ERROR
    code: str = Code.SCHEMA_VALIDATION_ERROR

    def below(self, prefix: Sequence[str | int]) -> Self:
        """The same mistake, seen from further up."""
        return replace(self, path=(*prefix, *self.path))

    def problem(self, ref: ObjectRef, source: Source) -> Problem:
        """The mistake as the finding about object `ref` that every surface shows."""
        return Problem(
            code=self.code,
            severity=self.severity,
            object=ref,
            path=one_line(format_path(self.path)),
            message=one_line(self.message),
            fix=one_line(self.fix),
            source=source,
        )


def format_path(path: Sequence[str | int]) -> str:
    """`("spec", "http", 0, "match")` as kubectl writes it: `spec.http[0].match`.

    Map keys that hold dots or slashes stand in brackets, as in Kubernetes' own messages.
    """
    text = ""
    for step in path:
        if isinstance(step, int) or not _PLAIN_STEP.fullmatch(step):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def parse_path(text: str) -> Path:
    """The steps of a path that `format_path` wrote. What it wrote in brackets is a position where it is a number."""
    return tuple(
        int(bracketed) if bracketed.isdigit() else bracketed or plain for plain, bracketed in _STEP.findall(text)
    )


def one_line(text: str) -> str:
    """Text that quotes users, fit for a terminal: line ends and control characters are written as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def describe(value: object) -> str:
    """A value as its author may recognise it, short enough for a message."""
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
