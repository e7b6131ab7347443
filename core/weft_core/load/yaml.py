"""YAML text → documents, each with its source and the line of every field. Malformed parts are problems."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from weft_core.load.nodes import MAX_DEPTH, Builder, DuplicateKey, TooLarge, line_at
from weft_core.model.mistake import Path, format_path, one_line
from weft_core.problems import Code, ObjectRef, Problem, Severity, Source

_START = re.compile(r"---(?:\s|$)")
_EMPTY_LINE = re.compile(r"\s*(?:#.*)?$|%.*$|\.\.\.\s*$")
_TAB = re.compile(r" *\t")
_LIST_KIND = "List"
_SAFE_DEPTH = 1000
"""Nesting that composing certainly survives, on the small stacks of threads too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document: its value in plain Python types, where it starts, and the line of each of its fields."""

    value: Any
    source: Source
    line_of: Callable[[Path], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The readable documents of a text, and what is wrong with the others."""

    documents: tuple[Document, ...] = ()
    problems: tuple[Problem, ...] = ()
    unread: tuple[tuple[str, Source], ...] = ()
    """The texts of the others, and where they start."""


def load(text: str, file: str) -> Loaded:
    """Read all documents of a text. A malformed one does not keep those before and behind it from being read."""
    documents: list[Document] = []
    problems: list[Problem] = []
    unread: list[tuple[str, Source]] = []
    for first_line, part in _split(text):
        told = len(problems)
        try:
            _check_depth(part)
            for node in yaml.compose_all(part, Loader=yaml.CSafeLoader):
                found = _document(node, file, first_line, problems)
                if found is not None:
                    documents.extend(_flattened(found))
        except yaml.YAMLError as error:
            problems.append(_malformed(error, part, file, first_line))
        except TooLarge as error:
            problems.append(_problem(file, first_line + 1, f"the document is refused: {error}", "flatten it"))
        if len(problems) > told:
            unread.append((part, Source(file=file, line=first_line + 1)))
    return Loaded(documents=tuple(documents), problems=tuple(problems), unread=tuple(unread))


def _check_depth(part: str) -> None:
    """Raise TooLarge where composing would overflow the C stack: libyaml's binding recurses without a limit.

    Each level of nesting takes a bracket or a column, so that ordinary texts need no closer look.
    """
    if part.count("[") + part.count("{") + max(map(len, part.split("\n"))) < _SAFE_DEPTH:
        return
    depth = 0
    try:
        for event in yaml.parse(part, Loader=yaml.CSafeLoader):
            if isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
                depth += 1
            elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
                depth -= 1
            if depth > MAX_DEPTH:
                raise TooLarge(f"it is nested more than {MAX_DEPTH} levels deep")
    except yaml.YAMLError:
        return  # composing stops at the same place, and says so


def _split(text: str) -> Iterator[tuple[int, str]]:
    """The texts between `---` lines, each with the number (from 0) of its first line. Empty ones are left out.

    At the start of a line `---` always ends a document, also inside of quotes: YAML 1.2, 9.1.2.
    """
    part: list[str] = []
    start = 0
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n")):
        if _START.match(line):
            yield from _part(start, part)
            start, part = number, [line]
        else:
            part.append(line)
    yield from _part(start, part)


def _part(start: int, lines: list[str]) -> Iterator[tuple[int, str]]:
    first = lines[0].removeprefix("---") if lines and _START.match(lines[0]) else "".join(lines[:1])
    if all(_EMPTY_LINE.fullmatch(line.rstrip("\r")) for line in (first, *lines[1:])):
        return
    yield start, "\n".join(lines)


def _document(node: yaml.Node, file: str, offset: int, problems: list[Problem]) -> Document | None:
    """The document of a node, or None where it is empty or ambiguous. Its problems are appended."""
    builder = Builder()
    start = offset + int(node.start_mark.line) + 1
    try:
        value = builder.build(node)
    except (TooLarge, RecursionError) as error:
        problems.append(_problem(file, start, f"the document is refused: {error}", "write it without nested aliases"))
        return None
    problems.extend(_duplicate(d, _reference(value), file, offset) for d in builder.duplicates)
    if value is None or builder.duplicates:
        return None
    return Document(
        value=value, source=Source(file=file, line=start), line_of=lambda path: offset + line_at(node, path)
    )


def _duplicate(key: DuplicateKey, ref: ObjectRef, file: str, offset: int) -> Problem:
    return Problem(
        code=Code.DUPLICATE_KEY,
        severity=Severity.ERROR,
        object=ref,
        path=one_line(format_path(key.path)),
        message=f"`{one_line(str(key.path[-1]))}` is already set in line {offset + key.first_line}",
        fix="remove one of them, or merge them",
        source=Source(file=file, line=offset + key.line),
    )


def _flattened(document: Document) -> Iterator[Document]:
    """The items of a `List` (kubectl's output), or the document itself."""
    value = document.value
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or not kind.endswith(_LIST_KIND) or not isinstance(value.get("items"), list):
        yield document
        return
    for index, item in enumerate(value["items"]):
        prefix: Path = ("items", index)
        yield Document(
            value=_item(value, kind, item),
            source=Source(file=document.source.file, line=document.line_of(prefix)),
            line_of=_below(document.line_of, prefix),
        )


def _item(value: dict[str, Any], kind: str, item: Any) -> Any:
    """An item of a list. Those of a typed one (`ServiceList`) need not repeat their kind."""
    if kind == _LIST_KIND or not isinstance(item, dict):
        return item
    return {"apiVersion": value.get("apiVersion"), "kind": kind.removesuffix(_LIST_KIND), **item}


def _below(line_of: Callable[[Path], int], prefix: Path) -> Callable[[Path], int]:
    return lambda path: line_of((*prefix, *path))


def _reference(value: Any) -> ObjectRef:
    """The address of an ambiguous document, as far as it can be read."""
    metadata = value.get("metadata") if isinstance(value, dict) else None
    metadata = metadata if isinstance(metadata, dict) else {}
    kind = value.get("kind") if isinstance(value, dict) else ""
    found = (kind, metadata.get("namespace"), metadata.get("name"))
    texts = [one_line(v) if isinstance(v, str) else "" for v in found]
    return ObjectRef(kind=texts[0], namespace=texts[1] or "default", name=texts[2])


def _malformed(error: yaml.YAMLError, part: str, file: str, offset: int) -> Problem:
    """The parser's complaint in plain words, with what most likely helps."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        index = int(mark.line)
    else:  # a character that YAML does not allow: only its place in bytes is known
        index = part.encode(errors="surrogatepass")[: getattr(error, "position", 0)].count(b"\n")
    lines = part.split("\n")
    text = lines[index] if index < len(lines) else ""
    words = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error).splitlines()[0]
    return _problem(file, offset + index + 1, f"malformed YAML: {words}", _advice(str(words), text))


def _advice(words: str, line: str) -> str:
    if _TAB.match(line) or "\\t" in words:
        return "indent with spaces, not with tabs"
    if "mapping values are not allowed" in words:
        return "put the value in quotes, or check the indentation of this line and the one before"
    if "undefined alias" in words:
        return "put a value that begins with * in quotes"
    if "did not find expected key" in words or "block mapping" in words or "'-' indicator" in words:
        return "align this line with its neighbours: the fields of one object have the same indentation"
    if "quoted scalar" in words or "end of stream" in words:
        return "close the quotes or brackets"
    if "expected ',' or" in words:
        return "close the brackets, and separate entries with commas"
    if "cannot start any token" in words:
        return "put the value in quotes"
    return "check indentation, quotes and colons around this line"


def _problem(file: str, line: int, message: str, fix: str) -> Problem:
    return Problem(
        code=Code.MALFORMED_YAML,
        severity=Severity.ERROR,
        object=ObjectRef(),
        message=message,
        fix=fix,
        source=Source(file=file, line=line),
    )
