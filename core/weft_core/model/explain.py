"""pydantic's errors in plain words, each with the field's path and what to write instead."""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from weft_core.model.base import Model, StringMatch, nearest
from weft_core.model.hints import unknown
from weft_core.model.mistake import Mistake, Path, describe
from weft_core.model.shape import fields_of, item_of, model_at, type_at

_KEY_MARK = "[key]"
"""pydantic's last step of a path to a map's key."""
_WORDS = {bool: "a boolean", str: "text", int: "a number", float: "a number", list: "a list", dict: "a map"}


def parse(root: type[Model], document: Any, prefix: Path) -> tuple[Model | None, tuple[Mistake, ...]]:
    """A document as a `root` message, and all its mistakes. The message is None where it could not be built."""
    try:
        if nulls := tuple(_nulls(document, prefix)):
            return None, nulls
        model = root.model_validate(document, by_name=False)
    except ValidationError as error:
        return None, tuple(_explain(root, error, (), prefix))
    except RecursionError:
        return None, (Mistake(path=prefix, message="it is nested too deeply", fix="flatten it"),)
    return model, tuple(model.mistakes(prefix))


def _nulls(value: Any, path: Path) -> Iterator[Mistake]:
    """A field without value would be read as if it were absent, which may widen what a rule matches: refused."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if item is None:
                yield Mistake(path=(*path, key), message="the field has no value", fix="write a value, or remove it")
            elif isinstance(item, (Mapping, list)):
                yield from _nulls(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if item is None:
                yield Mistake(path=(*path, index), message="the entry is empty", fix="fill it, or remove the `-`")
            elif isinstance(item, (Mapping, list)):
                yield from _nulls(item, (*path, index))


def _explain(root: type[Model], error: ValidationError, above: Path, prefix: Path) -> Iterator[Mistake]:
    """Mistakes for all errors below `above`. A wrapper's missing field is not told beside its unknown one."""
    errors = error.errors(include_url=False)
    strangers = {tuple(e["loc"][:-1]) for e in errors if e["type"] == "extra_forbidden"}
    for detail in errors:
        loc = tuple(detail["loc"])
        path = (*above, *(loc[:-1] if loc and loc[-1] == _KEY_MARK else loc))
        if detail["type"] == "missing" and loc[:-1] in strangers:
            parent = model_at(root, path[:-1])
            if parent is not None and len(fields_of(parent)) == 1:
                continue
        if detail["type"] == "too_short" and detail["input"]:
            continue  # pydantic counts only the good entries, and the bad ones are told by themselves
        yield from _one(root, detail, path, prefix)


def _one(root: type[Model], detail: ErrorDetails, path: Path, prefix: Path) -> Iterator[Mistake]:
    value = detail["input"]
    name = str(path[-1]) if path else "spec"
    full = (*prefix, *path)
    match detail["type"]:
        case "extra_forbidden":
            yield unknown(root, path[:-1], name, prefix)
        case "missing":
            yield Mistake(path=full, message=f"`{name}` is missing", fix=f"add `{name}`")
        case "tuple_type":
            yield from _not_a_list(root, path, value, prefix)
        case "model_type" | "model_attributes_type" | "mapping_type" | "dict_type":
            yield _not_a_map(root, path, value, prefix)
        case "enum":
            yield _not_a_word(root, path, value, prefix)
        case _:
            ctx = detail.get("ctx", {})
            message, fix = _plain_words(detail["type"], value, ctx) or (detail["msg"], "")
            yield Mistake(path=full, message=message, fix=fix or ctx.get("fix", ""))


def _plain_words(kind: str, value: Any, ctx: Mapping[str, Any]) -> tuple[str, str] | None:
    """Message and fix for the error types that need no look at the models."""
    shown = describe(value)
    match kind:
        case "weft":
            return ctx["message"], ctx["fix"]
        case "string_type":
            return _not_a_text(value)
        case "int_type" | "int_parsing" | "float_type" | "int_from_float":
            return _not_a_number(value)
        case "bool_type" | "bool_parsing":
            fix = (
                f"write {value.lower()} without quotes"
                if str(value).lower() in {"true", "false"}
                else "write true or false"
            )
            return f"{shown} is {_kind(value)}, and a boolean is meant", fix
        case "greater_than_equal":
            return f"{shown} is below {ctx['ge']}", f"write {ctx['ge']} or more"
        case "less_than_equal":
            return f"{shown} is above {ctx['le']}", f"write {ctx['le']} or less"
        case "finite_number":
            return f"{shown} is not a finite number", "write a number"
        case "too_short":
            return "it is empty", "add an entry"
        case "too_long":
            return f"it has {ctx['actual_length']} entries", f"keep {ctx['max_length']} at most"
        case "string_too_short":
            return "it is empty", "write a value, or remove it"
        case _:
            return None


def _not_a_text(value: Any) -> tuple[str, str]:
    if isinstance(value, bool):
        return (
            "YAML reads this as a boolean, and text is meant (on, off, yes and no are booleans too)",
            f'put it in quotes: "{str(value).lower()}"',
        )
    if isinstance(value, (int, float)):
        return f"{value} is a number, and text is meant", f'put it in quotes: "{value}"'
    return f"text is meant, and this is {_kind(value)}", "write a single value"


def _not_a_number(value: Any) -> tuple[str, str]:
    if isinstance(value, str) and value.strip().lstrip("-").isdigit():
        return f"`{value}` is text, and a number is meant", f"write {value.strip()} without quotes"
    if isinstance(value, str) and value.strip().endswith("%") and value.strip()[:-1].isdigit():
        return f"`{value}` is text, and a number is meant", f"write {value.strip()[:-1]}"
    return f"{describe(value)} is {_kind(value)}, and a whole number is meant", "write a number, without quotes"


def _not_a_list(root: type[Model], path: Path, value: Any, prefix: Path) -> Iterator[Mistake]:
    """A map or a single value where a list belongs. What is inside is explained as well, as if it were one entry."""
    name = str(path[-1]) if path else "spec"
    full = (*prefix, *path)
    item = item_of(type_at(root, path))
    if not isinstance(value, Mapping):
        shown = describe(value)
        yield Mistake(path=full, message=f"`{name}` is a list, and this is {_kind(value)}", fix=f"write [{shown}]")
        return
    first = next(iter(value), "")
    yield Mistake(
        path=full,
        message=f"`{name}` is a list, and this is a map",
        fix=f"begin each entry with a hyphen: `- {first}: …`" if first else "begin each entry with a hyphen",
    )
    if isinstance(item, type) and issubclass(item, Model):
        try:
            item.model_validate(value, by_name=False)
        except ValidationError as error:
            yield from _explain(root, error, path, prefix)


def _not_a_map(root: type[Model], path: Path, value: Any, prefix: Path) -> Mistake:
    """Text or a list where a message belongs."""
    name = str(path[-1]) if path else "spec"
    full = (*prefix, *path)
    expected = model_at(root, path)
    if expected is not None and issubclass(expected, StringMatch) and isinstance(value, (str, int, float, bool)):
        text = value if isinstance(value, str) else f'"{str(value).lower()}"'
        if name in {"exact", "prefix", "regex"}:
            return Mistake(
                path=full,
                message="the name of what is matched is missing",
                fix=f"write the name first: `NAME: {{{name}: {text}}}`",
            )
        return Mistake(
            path=full,
            message=f"`{name}` has a value and no matcher",
            fix=f"write `{name}: {{exact: {text}}}` (or prefix, regex)",
        )
    if isinstance(value, list):
        return Mistake(path=full, message=f"`{name}` is a map, and this is a list", fix="remove the hyphens below it")
    fields = f" with {', '.join(list(fields_of(expected))[:6])}" if expected else ""
    return Mistake(
        path=full, message=f"`{name}` is a map, and this is {_kind(value)}", fix=f"write fields below it{fields}"
    )


def _not_a_word(root: type[Model], path: Path, value: Any, prefix: Path) -> Mistake:
    expected = type_at(root, path)
    words = [str(m.value) for m in expected] if isinstance(expected, type) and issubclass(expected, Enum) else []
    guess = nearest(str(value), words)
    same = next((w for w in words if w.replace("_", "") == str(value).upper().replace("-", "").replace("_", "")), guess)
    return Mistake(
        path=(*prefix, *path),
        message=f"`{describe(value)}` is not one of {', '.join(words)}",
        fix=f"write {same}" if same else f"write one of {', '.join(words)}",
    )


def _kind(value: Any) -> str:
    return next((words for kind, words in _WORDS.items() if isinstance(value, kind)), "something else")
