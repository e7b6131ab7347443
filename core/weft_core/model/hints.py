"""Fixes for fields that a message does not know: slips of the pen, a level too high or too low, made-up names."""

from collections.abc import Mapping

from weft_core.model.authorization_policy import Condition, From, Operation, Rule, Source, To
from weft_core.model.base import Model, PolicySelector, WorkloadSelector, field_names, nearest, unknown_field
from weft_core.model.destination_rule import OutlierDetection
from weft_core.model.mistake import Mistake, Path, format_path
from weft_core.model.shape import LIST, levels_of, model_at

SYNONYMS: Mapping[type[Model], Mapping[str, str]] = {
    From: {
        "source_ns": "source.namespaces",
        "source_namespace": "source.namespaces",
        "sourceNamespace": "source.namespaces",
        "sourceNamespaces": "source.namespaces",
        "ns": "source.namespaces",
        "serviceAccount": "source.serviceAccounts",
        "source_principals": "source.principals",
        "ip": "source.ipBlocks",
    },
    Source: {"source_ns": "namespaces", "ns": "namespaces", "ips": "ipBlocks", "user": "principals"},
    To: {"url": "operation.paths", "uri": "operation.paths"},
    Operation: {"url": "paths", "uri": "paths", "urls": "paths", "uris": "paths", "verbs": "methods"},
    Condition: {"value": "values", "notValue": "notValues", "name": "key"},
    Rule: {"sources": "from", "source": "from[].source", "operation": "to[].operation", "conditions": "when"},
    OutlierDetection: {
        "consecutiveGatewayFailure": "consecutiveGatewayErrors",
        "consecutive_5xx": "consecutive5xxErrors",
    },
}
"""Names seen in the wild that are no slips of a known name, by message: what to write, relative to that message."""


def unknown(root: type[Model], parent: Path, name: str, prefix: Path) -> Mistake:
    """The mistake for field `name` of the message at `parent` below `root`; `prefix` leads to `root`."""
    model = model_at(root, parent) or root
    fix = _fix(root, model, parent, name, prefix)
    if not fix:
        return unknown_field(model, name).below((*prefix, *parent))
    return Mistake(path=(*prefix, *parent, name), message=f"unknown field `{name}`", fix=fix)


def _fix(root: type[Model], model: type[Model], parent: Path, name: str, prefix: Path) -> str:
    if model is PolicySelector or model is WorkloadSelector:
        [labels] = field_names(model)
        inside = "" if name in {"labels", "matchLabels"} else f" and put `{name}` below it"
        return f"write `{labels}`{inside}"
    known = field_names(model)
    plain = name.replace("_", "").replace("-", "").lower()
    if same := next((k for k in known if k.lower() == plain), None):
        return f"write `{same}`"
    if synonym := SYNONYMS.get(model, {}).get(name):
        return f"write {_concrete((*prefix, *parent))}.{synonym}"
    if (plural := nearest(name, known)) and plural.lower() in {plain + "s", plain.removesuffix("s")}:
        return f"write `{plural}`"
    if level := _nearest_level(levels_of(root, name), parent):
        return _move(level, parent, prefix)
    if guess := nearest(name, known):
        return f"write `{guess}`"
    return ""


def _move(level: tuple[str, ...], parent: Path, prefix: Path) -> str:
    target = _with_positions(level, parent)
    beside = ", beside `route`" if level[:-1] == ("http", LIST) else ""
    return f"move it to {_concrete((*prefix, *target))}{beside}"


def _nearest_level(levels: tuple[tuple[str, ...], ...], parent: Path) -> tuple[str, ...] | None:
    """The level that shares most of the way with `parent`, and of those the shallowest."""
    if not levels:
        return None
    here = _generic(parent)

    def distance(level: tuple[str, ...]) -> tuple[int, int]:
        shared = _shared(level, here)
        return (len(here) - shared) + (len(level) - shared), len(level)

    return min(levels, key=distance)


def _generic(path: Path) -> tuple[str, ...]:
    return tuple(LIST if isinstance(step, int) else step for step in path)


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def _with_positions(level: tuple[str, ...], parent: Path) -> Path:
    """The generic path with the list positions of `parent` as far as both go the same way."""
    shared = _shared(level, _generic(parent))
    return (*parent[:shared], *level[shared:])


def _concrete(path: Path) -> str:
    return format_path(path).replace("[[]]", "[]").replace("[{}]", ".NAME")
