"""Decoding: one parsed document (YAML or JSON) into a mesh resource or a Kubernetes object, and its problems.

Nothing here raises on users' input. An object with an error is refused as a whole, never in part: half a policy is
another policy. The caller keeps the last good version in force, and where a security policy has none its `Guard`, which
fails closed. Warnings leave the object in force.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from weft_core.model import kubernetes as k8s
from weft_core.model.base import Model
from weft_core.model.dry_run import dry_run_mistakes
from weft_core.model.explain import parse
from weft_core.model.frozen import EMPTY, FrozenDict
from weft_core.model.guard import Guard, guard_of
from weft_core.model.kinds import BY_API, Kind
from weft_core.model.meta import Config, Meta
from weft_core.model.mistake import Mistake, Path, describe, one_line
from weft_core.model.shape import levels_of
from weft_core.model.unknown_kind import unknown_kind
from weft_core.problems import Code, ObjectRef, Problem, Severity, Source

LineOf = Callable[[Path], int]
"""The line on which the field at a path stands (1-based)."""

DEFAULT_NAMESPACE = "default"
NOWHERE = Source()
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
_ENVELOPE = ("apiVersion", "kind", "metadata", "spec", "status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What became of a document. `object` is None where it has an error, or is of a kind that Weft does not read."""

    ref: ObjectRef
    object: Config[Any] | k8s.KubernetesObject | None = None
    problems: tuple[Problem, ...] = ()
    guard: Guard | None = None
    """What stands in for a security policy that is refused and has no earlier version."""

    @property
    def rejected(self) -> bool:
        """Whether the document is an object that is refused, so that its last good version stays in force."""
        return self.object is None and any(p.severity is Severity.ERROR for p in self.problems)


def decode(
    document: object,
    source: Source = NOWHERE,
    line_of: LineOf | None = None,
    *,
    default_namespace: str = DEFAULT_NAMESPACE,
) -> Decoded:
    """Decode one document; `line_of` refines the line of each problem from the document's to the field's."""
    decoded = _decode(document, source, line_of, default_namespace)
    if decoded.rejected and isinstance(document, Mapping):
        return replace(decoded, guard=guard_of(document, decoded.ref))
    return decoded


def _decode(document: object, source: Source, line_of: LineOf | None, default_namespace: str) -> Decoded:
    if not isinstance(document, Mapping):
        mistake = Mistake(
            message=f"an object is meant, and this is `{describe(document)}`", fix="write apiVersion, kind …"
        )
        return _refused(ObjectRef(), (mistake,), source, line_of)
    api, kind_name = document.get("apiVersion"), document.get("kind")
    ref = _ref(document, default_namespace)
    if not isinstance(api, str) or not isinstance(kind_name, str) or not api or not kind_name:
        return _refused(ref, tuple(_without_kind(document)), source, line_of)
    kind = BY_API.get((api, kind_name))
    if kind is None:
        return _refused(ref, (unknown_kind(api, kind_name),), source, line_of)
    if not kind.namespaced:
        ref = ObjectRef(kind=ref.kind, name=ref.name)
    meta, mistakes = _meta(document, kind, ref, source)
    if issubclass(kind.model, Model):
        return _mesh(document, kind.model, ref, meta, mistakes, source, line_of)
    return _kubernetes(document, kind.model, ref, mistakes, source, line_of)


def _mesh(
    document: Mapping[Any, Any],
    model: type[Model],
    ref: ObjectRef,
    meta: Meta | None,
    mistakes: list[Mistake],
    source: Source,
    line_of: LineOf | None,
) -> Decoded:
    mistakes.extend(_strangers(document, model))
    spec = document.get("spec")
    parsed, found = parse(model, {} if spec is None else spec, ("spec",))
    mistakes.extend(found)
    if parsed is not None and meta is not None:
        mistakes.extend(dry_run_mistakes(parsed, meta.annotations))
    if parsed is None or meta is None or any(m.severity is Severity.ERROR for m in mistakes):
        return _refused(ref, tuple(mistakes), source, line_of)
    return Decoded(
        ref=ref, object=Config(meta=meta, spec=parsed), problems=_problems(ref, tuple(mistakes), source, line_of)
    )


def _kubernetes(
    document: Mapping[Any, Any],
    model: type[k8s.KubernetesObject],
    ref: ObjectRef,
    mistakes: list[Mistake],
    source: Source,
    line_of: LineOf | None,
) -> Decoded:
    if mistakes:
        return _refused(ref, tuple(mistakes), source, line_of)
    try:
        found = k8s.convert(_without_nulls(document), model)
    except (msgspec.ValidationError, RecursionError) as error:
        return _refused(ref, (_conversion_mistake(error),), source, line_of)
    if found.metadata.namespace != ref.namespace:
        metadata = msgspec.structs.replace(found.metadata, namespace=ref.namespace)
        found = msgspec.structs.replace(found, metadata=metadata)
    return Decoded(ref=ref, object=found)


def _meta(document: Mapping[Any, Any], kind: Kind, ref: ObjectRef, source: Source) -> tuple[Meta | None, list[Mistake]]:
    raw = document.get("metadata")
    if not isinstance(raw, Mapping):
        mistake = Mistake(path=("metadata",), message="the object has no metadata", fix="add metadata.name")
        return None, [mistake]
    mistakes: list[Mistake] = []
    if not ref.name and not raw.get("generateName"):
        mistakes.append(Mistake(path=("metadata", "name"), message="the object has no name", fix="add metadata.name"))
    mistakes.extend(
        _not_text(("metadata", field), raw[field])
        for field in ("name", "namespace")
        if raw.get(field) is not None and not isinstance(raw[field], str)
    )
    if ref.name and not _NAME.fullmatch(ref.name):
        mistakes.append(
            Mistake(
                path=("metadata", "name"),
                message=f"`{describe(ref.name)}` is not a name that Kubernetes takes",
                fix="write lower-case letters, digits, hyphens and dots only",
            )
        )
    texts = {field: _texts(raw.get(field), ("metadata", field), mistakes) for field in ("labels", "annotations")}
    if mistakes:
        return None, mistakes
    generation = raw.get("generation")
    meta = Meta(
        kind=kind.kind,
        namespace=ref.namespace,
        name=ref.name,
        uid=_text(raw.get("uid")),
        labels=texts["labels"],
        annotations=texts["annotations"],
        created=_text(raw.get("creationTimestamp")),
        generation=generation if isinstance(generation, int) else 0,
        resource_version=_text(raw.get("resourceVersion")),
        source=source,
    )
    return meta, mistakes


def _ref(document: Mapping[Any, Any], default_namespace: str) -> ObjectRef:
    """The document's address, as far as it can be read, in characters that a terminal may show."""
    raw = document.get("metadata")
    metadata: Mapping[Any, Any] = raw if isinstance(raw, Mapping) else {}
    return ObjectRef(
        kind=one_line(_text(document.get("kind"))),
        namespace=one_line(_name(metadata.get("namespace"))) or default_namespace,
        name=one_line(_name(metadata.get("name"))),
    )


def _without_kind(document: Mapping[Any, Any]) -> list[Mistake]:
    return [
        Mistake(path=(name,), code=Code.UNKNOWN_KIND, message=f"the object has no {name}", fix=f"add {name}")
        for name in ("apiVersion", "kind")
        if not isinstance(document.get(name), str) or not document[name]
    ]


def _strangers(document: Mapping[Any, Any], model: type[Model]) -> list[Mistake]:
    """Fields beside `spec` that an object does not have: most were meant to stand below it."""
    return [_stranger(str(name), model) for name in document if name not in _ENVELOPE]


def _stranger(name: str, model: type[Model]) -> Mistake:
    levels = levels_of(model, name)
    fix = f"move it to {'.'.join(('spec', *levels[0])).replace('.[]', '[]')}" if levels else "remove it"
    return Mistake(path=(name,), message=f"unknown field `{name}` beside spec", fix=fix)


def _texts(value: object, path: Path, mistakes: list[Mistake]) -> Mapping[str, str]:
    if value is None:
        return EMPTY
    if not isinstance(value, Mapping):
        mistakes.append(Mistake(path=path, message=f"`{path[-1]}` is a map", fix="write `name: value` below it"))
        return EMPTY
    for key, text in value.items():
        if not isinstance(text, str) or not isinstance(key, str):
            mistakes.append(_not_text((*path, str(key)), text if isinstance(key, str) else key))
    return FrozenDict(value)


def _not_text(path: Path, value: object) -> Mistake:
    if value is None:
        return Mistake(path=path, message="the field has no value", fix="write a value, or remove it")
    shown = str(value).lower() if isinstance(value, bool) else describe(value)
    return Mistake(path=path, message=f"{shown} is not text to YAML", fix=f'put it in quotes: "{shown}"')


def _conversion_mistake(error: Exception) -> Mistake:
    """Msgspec's `Expected `int`, got `str` - at `$.spec.ports[0].port`` as a mistake."""
    message, _, where = str(error).partition(" - at ")
    path = where.strip("`").removeprefix("$").removeprefix(".")
    steps = tuple(int(s) if s.isdigit() else s for s in path.replace("[", ".").replace("]", "").split(".") if s)
    words = message[:1].lower() + message[1:] or "it is nested too deeply"
    return Mistake(path=steps, message=words, fix="write what Kubernetes expects here")


def _without_nulls(value: Any) -> Any:
    """A copy in which fields without value are absent, as the API server stores them."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value if item is not None]
    return value


def _name(value: object) -> str:
    """A name that is only digits is a number to YAML: a mistake, of which it is plain what was meant."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _refused(ref: ObjectRef, mistakes: tuple[Mistake, ...], source: Source, line_of: LineOf | None) -> Decoded:
    return Decoded(ref=ref, problems=_problems(ref, mistakes, source, line_of))


def _problems(
    ref: ObjectRef, mistakes: tuple[Mistake, ...], source: Source, line_of: LineOf | None
) -> tuple[Problem, ...]:
    return tuple(
        m.problem(ref, Source(file=source.file, line=line_of(m.path)) if line_of else source) for m in mistakes
    )
