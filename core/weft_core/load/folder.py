"""A set of files → objects. Reading and watching the files is the caller's affair."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from weft_core.load.salvage import salvaged
from weft_core.load.yaml import Loaded, load
from weft_core.model.decode import DEFAULT_NAMESPACE, decode
from weft_core.model.guard import Guard
from weft_core.model.kubernetes import KubernetesObject
from weft_core.model.meta import Config
from weft_core.problems import Code, ObjectRef, Problem, Severity, Source

LoadedObject = Config[Any] | KubernetesObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """The guard of a security policy that can't be read, and where that stands.

    `salvaged`: its text is no YAML, so that even its address is no more than likely.
    """

    guard: Guard
    source: Source
    salvaged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """The objects that are good, where each was read, and all problems.

    `rejected` objects are there and refused; of `unreadable` files some part is not YAML, so that an object that was
    read from one before and is missing now may still be meant. The last good version of both should stay in force, and
    `guarded` tells what should be where there is none.
    """

    objects: tuple[LoadedObject, ...] = ()
    problems: tuple[Problem, ...] = ()
    sources: Mapping[ObjectRef, Source] = field(default_factory=dict)
    rejected: frozenset[ObjectRef] = frozenset()
    unreadable: frozenset[str] = frozenset()
    guarded: Mapping[ObjectRef, Guarded] = field(default_factory=dict)


def load_files(files: Iterable[tuple[str, str]], *, default_namespace: str = DEFAULT_NAMESPACE) -> LoadResult:
    """Read (path, text) pairs, in their order. Of two objects with the same address the first one is kept."""
    return merge(load_file(path, text, default_namespace=default_namespace) for path, text in files)


def load_file(path: str, text: str, *, default_namespace: str = DEFAULT_NAMESPACE) -> LoadResult:
    """Read one file by itself: for callers that keep the results of files that did not change."""
    loaded = load(text, path)
    objects: dict[ObjectRef, LoadedObject] = {}
    sources: dict[ObjectRef, Source] = {}
    problems = list(loaded.problems)
    rejected: set[ObjectRef] = set()
    guarded = [
        Guarded(guard=guard, source=source, salvaged=True) for guard, source in _salvaged(loaded, default_namespace)
    ]
    for document in loaded.documents:
        decoded = decode(document.value, document.source, document.line_of, default_namespace=default_namespace)
        problems.extend(decoded.problems)
        if decoded.rejected:
            rejected.add(decoded.ref)
        if decoded.guard is not None:
            guarded.append(Guarded(guard=decoded.guard, source=document.source))
        if decoded.object is None:
            continue
        if decoded.ref in objects:
            problems.append(_duplicate(decoded.ref, document.source, sources[decoded.ref]))
            continue
        objects[decoded.ref] = decoded.object
        sources[decoded.ref] = document.source
    return LoadResult(
        objects=tuple(objects.values()),
        problems=tuple(problems),
        sources=sources,
        rejected=frozenset(rejected - objects.keys()),
        unreadable=frozenset({path} if loaded.problems else ()),
        guarded=_by_address(guarded),
    )


def merge(results: Iterable[LoadResult]) -> LoadResult:
    """The results of several files as one, in their order: of objects with the same address the first one is kept."""
    objects: list[LoadedObject] = []
    sources: dict[ObjectRef, Source] = {}
    problems: list[Problem] = []
    rejected: set[ObjectRef] = set()
    unreadable: set[str] = set()
    guarded: list[Guarded] = []
    for result in results:
        problems.extend(result.problems)
        rejected |= result.rejected
        unreadable |= result.unreadable
        guarded.extend(result.guarded.values())
        for item, (ref, source) in zip(result.objects, result.sources.items(), strict=True):
            if ref in sources:
                problems.append(_duplicate(ref, source, sources[ref]))
            else:
                sources[ref] = source
                objects.append(item)
    return LoadResult(
        objects=tuple(objects),
        problems=tuple(problems),
        sources=sources,
        rejected=frozenset(rejected - sources.keys()),
        unreadable=frozenset(unreadable),
        guarded=_by_address(guarded),
    )


def _salvaged(loaded: Loaded, default_namespace: str) -> Iterator[tuple[Guard, Source]]:
    for text, source in loaded.unread:
        for guard in salvaged(text, default_namespace):
            yield guard, source


def _by_address(found: Iterable[Guarded]) -> dict[ObjectRef, Guarded]:
    """One for each address. Two policies of one address are guarded together."""
    guarded: dict[ObjectRef, Guarded] = {}
    for each in found:
        first = guarded.setdefault(each.guard.ref, each)
        guarded[each.guard.ref] = replace(first, guard=first.guard.joined(each.guard))
    return guarded


def _duplicate(ref: ObjectRef, source: Source, first: Source) -> Problem:
    return Problem(
        code=Code.DUPLICATE_OBJECT,
        severity=Severity.ERROR,
        object=ref,
        path="metadata.name",
        message=f"{ref} is already defined at {first.file}:{first.line}, which is kept; this one is not read",
        fix="rename or remove one of them",
        source=source,
    )
