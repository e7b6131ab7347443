"""JSON that is nested deeper than Python's parsers go: cut down, so that one object cannot hide all others of its page.

The API server takes 10,000 levels wherever a definition keeps unknown fields, in a status above all. msgspec refuses a
whole page for about 1,000, even in what it only skips.
"""

import re
from typing import Final

DEEPEST: Final = 100
"""Levels that are kept; no object of Kubernetes or of the mesh has half of them."""
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


def shallow(text: bytes) -> bytes:
    """The same JSON, with `null` for every object and array below the deepest level. What is no JSON stays none."""
    kept: list[bytes] = []
    depth = copied = 0
    for token in _TOKEN.finditer(text):
        sign = token.group()
        if sign in b"[{":
            depth += 1
            if depth == DEEPEST + 1:
                kept += (text[copied : token.start()], b"null")
        elif sign in b"]}":
            if depth == DEEPEST + 1:
                copied = token.end()
            depth -= 1
    return b"".join((*kept, text[copied:]))
