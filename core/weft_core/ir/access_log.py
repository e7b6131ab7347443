"""Access logs: where a line goes, what is in it, and which requests get one."""

from dataclasses import dataclass

JsonFormat = tuple[tuple[str, str], ...]
"""(key, value with command operators), sorted by key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAccessLog:
    """Lines into a file of the proxy (`/dev/stdout`): a text format or JSON fields."""

    path: str
    format: str | JsonFormat
    response_flags: tuple[str, ...] = ()
    """Log only what ended with one of these flags; empty logs everything."""
