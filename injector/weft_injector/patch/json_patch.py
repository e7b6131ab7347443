"""RFC 6902: the operations that make one JSON document of another.

They are as small as what changed. Lists of objects with names (containers, volumes, variables) are compared by name, so
that a container put in front does not rewrite those behind it, and a reader of the audit log sees what was done.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Operation = dict[str, Any]


def difference(before: Any, after: Any, path: str = "") -> Iterator[Operation]:
    """Operations that, applied in this order, turn `before` into `after`. `path` is the JSON pointer of both."""
    if before is after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _objects(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _lists(before, after, path)
    elif not _same(before, after):
        yield {"op": "replace", "path": path, "value": after}


def _objects(before: Mapping[str, Any], after: Mapping[str, Any], path: str) -> Iterator[Operation]:
    for name, value in before.items():
        if name not in after:
            yield {"op": "remove", "path": f"{path}/{_escaped(name)}"}
        else:
            yield from difference(value, after[name], f"{path}/{_escaped(name)}")
    for name, value in after.items():
        if name not in before:
            yield {"op": "add", "path": f"{path}/{_escaped(name)}", "value": value}


def _lists(before: list[Any], after: list[Any], path: str) -> Iterator[Operation]:
    old, new = _names(before), _names(after)
    if old is None or new is None:
        yield from _unnamed(before, after, path)
        return
    kept = set(old) & set(new)
    if [name for name in old if name in kept] != [name for name in new if name in kept]:
        yield {"op": "replace", "path": path, "value": after}
        return
    for index in reversed(range(len(old))):
        if old[index] not in kept:
            yield {"op": "remove", "path": f"{path}/{index}"}
    members = dict(zip(old, before, strict=True))
    for index, (name, value) in enumerate(zip(new, after, strict=True)):
        if name in kept:
            yield from difference(members[name], value, f"{path}/{index}")
        else:
            yield {"op": "add", "path": f"{path}/{index}", "value": value}


def _unnamed(before: list[Any], after: list[Any], path: str) -> Iterator[Operation]:
    """Members of the same length are compared one by one, additions at the end are added; all else is replaced."""
    if len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from difference(old, new, f"{path}/{index}")
    elif before and _same(before, after[: len(before)]):
        for value in after[len(before) :]:
            yield {"op": "add", "path": f"{path}/-", "value": value}
    else:
        yield {"op": "replace", "path": path, "value": after}


def _names(members: Sequence[Any]) -> list[str] | None:
    """The members' names, if each has one of its own."""
    names = [member.get("name") if isinstance(member, Mapping) else None for member in members]
    found = [name for name in names if isinstance(name, str)]
    return found if len(found) == len(members) == len(set(found)) else None


def _same(one: Any, other: Any) -> bool:
    """Equality as JSON has it: Python alone takes true for 1."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _escaped(name: str) -> str:
    """A step of a JSON pointer (RFC 6901, section 3)."""
    return name.replace("~", "~0").replace("/", "~1")
