"""YAML nodes as plain values, read as Kubernetes reads them, with duplicate keys found and bombs defused.

Kubernetes turns YAML 1.1 into JSON: `on` and `yes` are booleans, keys are always text, and there are no dates. Values
are built from nodes rather than by PyYAML's constructors, because nodes know their lines.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from weft_core.model.mistake import Path

MAX_DEPTH = 100
"""Deeper documents are refused: no object comes near it, and every later walk may recurse."""
MAX_VALUES = 200_000
"""Values of one document, aliases expanded. A few lines of nested aliases could make billions."""

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"


class TooLarge(Exception):
    """The document is nested too deeply, or its aliases expand too far; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateKey:
    """A key that occurs twice in a mapping. `line` is that of the second one, 1-based within the parsed text."""

    path: Path
    line: int
    first_line: int


class Builder:
    """Builds the value of one document and collects its duplicate keys."""

    def __init__(self) -> None:
        self.duplicates: list[DuplicateKey] = []
        self._count = 0

    def build(self, node: yaml.Node, path: Path = ()) -> Any:
        """The value of a node. Raises TooLarge."""
        self._count += 1
        if self._count > MAX_VALUES:
            raise TooLarge(f"its aliases expand to more than {MAX_VALUES} values")
        if len(path) > MAX_DEPTH:
            raise TooLarge(f"it is nested more than {MAX_DEPTH} levels deep")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        return scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                continue
            key = key_text(key_node)
            line = key_node.start_mark.line + 1
            if key in lines:
                self.duplicates.append(DuplicateKey(path=(*path, key), line=line, first_line=lines[key]))
            lines.setdefault(key, line)
            found[key] = self.build(value_node, (*path, key))
        for base in self._merged(node, path):
            for key, value in base.items():
                found.setdefault(key, value)
        return found

    def _merged(self, node: yaml.MappingNode, path: Path) -> Iterator[dict[str, Any]]:
        """The mappings that `<<` brings in, those that win first."""
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged = self.build(value_node, (*path, "<<"))
                yield from (m for m in (merged if isinstance(merged, list) else [merged]) if isinstance(m, dict))


def key_text(node: yaml.Node) -> str:
    """A mapping's key, as text whatever it looks like; other keys than scalars have no meaning and become empty."""
    return node.value if isinstance(node, yaml.ScalarNode) else ""


def scalar(node: yaml.Node) -> Any:
    """The value of a scalar by the type that YAML 1.1 gives it; dates and unknown tags stay text."""
    text = str(node.value)
    match node.tag.removeprefix(_TAG):
        case "null":
            return None
        case "bool":
            return text.lower() in {"true", "yes", "on"}
        case "int":
            return _integer(text)
        case "float":
            return _float(text)
        case _:
            return text


def _integer(text: str) -> int | str:
    digits = text.replace("_", "").lower()
    try:
        if digits.lstrip("+-").startswith("0") and digits.lstrip("+-").isdigit() and len(digits.lstrip("+-")) > 1:
            return int(digits, 8)
        return int(digits, 0)
    except ValueError:  # 12:30:00, which YAML 1.1 alone takes for a number
        return text


def _float(text: str) -> float | str:
    plain = text.replace("_", "").lower()
    if plain.lstrip("+-") in {".inf", ".nan"}:
        plain = plain.replace(".", "")
    try:
        value = float(plain)
    except ValueError:
        return text
    return text if math.isnan(value) or math.isinf(value) else value


def line_at(node: yaml.Node, path: Path) -> int:
    """The line (1-based within the parsed text) of the field at `path`, or of the nearest field above it."""
    line = node.start_mark.line
    for step in path:
        found = _child(node, step)
        if found is None:
            break
        line, node = found
    return int(line) + 1


def _child(node: yaml.Node, step: str | int) -> tuple[int, yaml.Node] | None:
    """The line and the node of one field or list entry."""
    if isinstance(node, yaml.MappingNode):
        # The last one wins, as in the value.
        for key_node, value_node in reversed(node.value):
            if key_text(key_node) == str(step):
                return key_node.start_mark.line, value_node
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE and (found := _child(value_node, step)):
                return found
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line, node.value[step]
    return None
