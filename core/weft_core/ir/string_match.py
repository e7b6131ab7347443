"""Comparisons of texts, in routes, access control and TLS alike."""

from dataclasses import dataclass
from enum import StrEnum


class MatchKind(StrEnum):
    """How a text is compared."""

    EXACT = "exact"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    REGEX = "regex"
    """RE2, and it must match the whole text."""
    PRESENT = "present"
    """It only has to be there."""


@dataclass(frozen=True, slots=True)
class StringMatch:
    """A comparison with one text. A regular expression knows case by itself (`(?i)`)."""

    kind: MatchKind
    value: str = ""
    ignore_case: bool = False
