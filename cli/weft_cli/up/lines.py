"""Output of processes as lines: any bytes in, printable text of bounded length out."""

import re

LONGEST = 8192
"""Bytes of a line; a longer one is cut into several, the cut ones ending in `…`."""

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if code != 0x09}


class LineSplitter:
    """Cuts a stream of chunks into lines. A chunk may end anywhere, even inside a character."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._rest = b""

    def feed(self, chunk: bytes) -> list[str]:
        """Take a chunk, return the lines that are complete now."""
        *complete, rest = (self._rest + chunk).split(b"\n")
        lines = [text for line in complete for text in self._pieces(line)]
        while len(rest) > self._longest:
            lines.append(printable(rest[: self._longest]) + "…")
            rest = rest[self._longest :]
        self._rest = rest
        return lines

    def finish(self) -> list[str]:
        """Return what came after the last newline."""
        rest, self._rest = self._rest, b""
        return self._pieces(rest) if rest else []

    def _pieces(self, line: bytes) -> list[str]:
        """Cut one complete line at the limit; all pieces but the last end in `…`."""
        starts = range(0, max(len(line), 1), self._longest)
        pieces = [printable(line[start : start + self._longest]) for start in starts]
        return [piece + "…" for piece in pieces[:-1]] + pieces[-1:]


def printable(line: bytes) -> str:
    r"""Make text that breaks neither a terminal nor a log file.

    Colours are dropped; control characters and broken UTF-8 become `\x..`.
    """
    text = line.removesuffix(b"\r").decode(errors="backslashreplace")
    return _ANSI.sub("", text).translate(_CONTROL)
