"""Values of headers that rules write: text in which Envoy replaces `%COMMAND%`."""

import re
from collections.abc import Iterator, Mapping

from weft_core.model.mistake import Mistake

_FORMAT = re.compile(r"(?>[^%]|%%|%[^%()]+%|%[^%()]*\(.*?\)\s*(?::\d+\s*)?%)*+", re.DOTALL)
"""Text, `%%` for a per cent sign, and commands with or without arguments and a length.

Nothing is tried twice, so that no value takes longer than its length demands.
"""


def header_value_mistakes(headers: Mapping[str, str], field: str) -> Iterator[Mistake]:
    """A mistake for each value with a `%` that begins no command: Envoy would refuse the whole virtual host."""
    for name, value in headers.items():
        if not _FORMAT.fullmatch(value):
            yield Mistake(
                path=(field, name),
                message=f"in `{value}` a % begins no command of Envoy's",
                fix="write %% for a per cent sign, and commands as %REQ(x-user)%",
            )
