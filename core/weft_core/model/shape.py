"""The shape of the models: which type stands at a path, and at which levels a field name is known.

Read from pydantic's own description of the models, so that hints about misplaced fields never lag behind them.
"""

from collections import deque
from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from weft_core.model.base import Model
from weft_core.model.mistake import Path

LIST = "[]"
"""Stands for any position of a list in a generic path."""
_ANY_KEY = "{}"
"""Stands for any key of a map in a generic path."""
_DEEPEST = 12


def type_at(model: type[Model], path: Path) -> Any:
    """The type that the value at `path` below `model` should have, without Annotated and None; None if unknown."""
    found: Any = model
    for step in path:
        found = _child(found, step)
        if found is None:
            return None
    return found


def model_at(model: type[Model], path: Path) -> type[Model] | None:
    """The message at `path` below `model`, or None where something else stands there."""
    found = type_at(model, path)
    return found if isinstance(found, type) and issubclass(found, Model) else None


def item_of(kind: Any) -> Any:
    """The type of the entries of a list, or None where `kind` is no list."""
    return _bare(get_args(kind)[0]) if get_origin(kind) is tuple else None


def fields_of(model: type[Model]) -> Mapping[str, Any]:
    """The types of a message's fields by their names in YAML."""
    return _fields(model)


def levels_of(model: type[Model], name: str) -> tuple[tuple[str, ...], ...]:
    """The generic paths (`http`, `[]`, `timeout`) below `model` at which a field `name` is known, nearest first.

    A missing plural is forgiven: `path` finds `paths`.
    """
    index = _index(model)
    plain = _plain(name)
    return index.get(plain) or index.get(plain + "s") or index.get(plain.removesuffix("s")) or ()


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


@cache
def _fields(model: type[Model]) -> Mapping[str, Any]:
    return {field.alias or name: _bare(field.annotation) for name, field in model.model_fields.items()}


@cache
def _index(model: type[Model]) -> Mapping[str, tuple[tuple[str, ...], ...]]:
    """Field names without case and underscores → generic paths, shallow ones first (breadth-first)."""
    found: dict[str, list[tuple[str, ...]]] = {}
    queue: deque[tuple[Any, tuple[str, ...]]] = deque([(model, ())])
    while queue:
        kind, path = queue.popleft()
        if len(path) > _DEEPEST:
            continue
        if get_origin(kind) is tuple:
            queue.append((item_of(kind), (*path, LIST)))
        elif _is_mapping(kind):
            queue.append((_bare(get_args(kind)[1]), (*path, _ANY_KEY)))
        elif isinstance(kind, type) and issubclass(kind, Model):
            for name, child in _fields(kind).items():
                found.setdefault(_plain(name), []).append((*path, name))
                queue.append((child, (*path, name)))
    return {name: tuple(paths) for name, paths in found.items()}


def _child(kind: Any, step: str | int) -> Any:
    if get_origin(kind) is tuple:
        # A map stands where a list belongs: read its fields as those of an entry.
        return item_of(kind) if isinstance(step, int) else _child(item_of(kind), step)
    if _is_mapping(kind):
        return _bare(get_args(kind)[1])
    if isinstance(kind, type) and issubclass(kind, Model):
        return _fields(kind).get(str(step))
    return None


def _is_mapping(kind: Any) -> bool:
    origin = get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _bare(kind: Any) -> Any:
    """A type without `Annotated[…]` and `| None`."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _bare(get_args(kind)[0])
    if origin in {Union, UnionType}:
        rest = [k for k in get_args(kind) if k is not NoneType]
        return _bare(rest[0]) if len(rest) == 1 else kind
    return kind
