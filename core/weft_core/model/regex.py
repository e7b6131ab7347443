r"""Whether a text is a regular expression that Envoy takes.

Envoy compiles with RE2, which promises linear time and therefore has neither look-around nor back-references.
Python's `re` accepts those and refuses some of RE2's own syntax (`\pL`, `\z`, `[[:alpha:]]`), so the syntax is
checked here by hand.
https://github.com/google/re2/wiki/Syntax
"""

import re

_REPEAT = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_GROUP = re.compile(
    r"\?(?:P?<(?P<name>[A-Za-z_]\w*)>|(?P<flags>[imsU]*(?:-[imsU]+)?):|(?P<only>[imsU]*(?:-[imsU]+)?)\))"
)
_CLASS_NAME = re.compile(
    r"\[:\^?(?:alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit):\]"
)
_UNICODE_CLASS = re.compile(r"[pP](?:[A-Z]|\{\^?[A-Za-z_]+\})")
_HEX = re.compile(r"x(?:[0-9A-Fa-f]{2}|\{[0-9A-Fa-f]{1,6}\})")
_OCTAL = re.compile(r"0[0-7]{0,2}|[1-7][0-7]{2}")
_MAX_REPEAT = 1000


class _Refused(Exception):
    """The pattern is not RE2; the text says why."""


def regex_error(pattern: str) -> str | None:
    """Why RE2 refuses `pattern`, in words, or None where it takes it."""
    try:
        _Scan(pattern).run()
    except _Refused as refusal:
        return str(refusal)
    return None


class _Scan:
    """One pass over a pattern. `operand` tells whether a repetition sign has something to repeat."""

    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self.at = 0
        self.depth = 0
        self.operand = False

    def run(self) -> None:
        """Read the whole pattern."""
        while self.at < len(self.text):
            self._step(self.text[self.at])
        if self.depth:
            raise _Refused("a `(` is never closed")

    def _step(self, char: str) -> None:
        match char:
            case "\\":
                self._escape()
                self.operand = True
            case "[":
                self._char_class()
                self.operand = True
            case "(":
                self._group()
            case ")":
                if not self.depth:
                    raise _Refused("a `)` has no `(`")
                self.depth -= 1
                self.at += 1
                self.operand = True
            case "*" | "+" | "?":
                self._repeat(1, char)
            case "{" if found := _REPEAT.match(self.text, self.at):
                self._check_counts(found)
                self._repeat(len(found[0]), found[0])
            case "|":
                self.at += 1
                self.operand = False
            case _:
                self.at += 1
                self.operand = True

    def _repeat(self, length: int, sign: str) -> None:
        if not self.operand:
            raise _Refused(f"`{sign}` has nothing to repeat")
        self.at += length
        if self.text.startswith("?", self.at):  # the lazy form
            self.at += 1
        self.operand = False  # `a**` and the possessive `a++` are errors in RE2

    @staticmethod
    def _check_counts(found: re.Match[str]) -> None:
        low = int(found[1])
        high = int(found[3]) if found[3] else low
        if max(low, high) > _MAX_REPEAT:
            raise _Refused(f"`{found[0]}` repeats more than {_MAX_REPEAT} times")
        if high < low:
            raise _Refused(f"`{found[0]}` ends before it begins")

    def _group(self) -> None:
        self.at += 1
        self.operand = False
        if not self.text.startswith("?", self.at):
            self.depth += 1
            return
        if self.text.startswith(("?=", "?!", "?<=", "?<!"), self.at):
            raise _Refused("look-ahead and look-behind do not exist in RE2")
        found = _GROUP.match(self.text, self.at)
        if not found:
            raise _Refused(f"the group `({self.text[self.at : self.at + 3]}…` does not exist in RE2")
        self.at = found.end()
        if found["only"] is None:
            self.depth += 1

    def _escape(self) -> None:
        rest = self.at + 1
        if rest >= len(self.text):
            raise _Refused("it ends with a lone backslash")
        char = self.text[rest]
        for form in (_UNICODE_CLASS, _HEX, _OCTAL):
            if found := form.match(self.text, rest):
                self.at = found.end()
                return
        if char.isdigit() or char == "k":
            raise _Refused(f"the back-reference `\\{char}` does not exist in RE2")
        if char == "Q":
            end = self.text.find("\\E", rest)
            self.at = len(self.text) if end < 0 else end + 2
            return
        if char.isascii() and char.isalpha() and char not in "aAbBCdDfnrsStvwWz":
            raise _Refused(f"the escape `\\{char}` does not exist in RE2")
        self.at = rest + 1

    def _char_class(self) -> None:
        self.at += 1
        if self.text.startswith("^", self.at):
            self.at += 1
        first = True
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "]" and not first:
                self.at += 1
                return
            first = False
            if found := _CLASS_NAME.match(self.text, self.at):
                self.at = found.end()
            elif self.text.startswith("[:", self.at) and ":]" in self.text[self.at :]:
                raise _Refused("an unknown character class name stands in `[[:…:]]`")
            elif char == "\\":
                self._escape()
            else:
                self._range(char)
        raise _Refused("a `[` is never closed")

    def _range(self, low: str) -> None:
        self.at += 1
        if self.text.startswith("-", self.at) and self.at + 1 < len(self.text):
            high = self.text[self.at + 1]
            if high not in "]\\[":
                if high < low:
                    raise _Refused(f"the range `{low}-{high}` runs backwards")
                self.at += 2
