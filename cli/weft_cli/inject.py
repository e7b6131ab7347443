"""`weft inject`: YAML with sidecars, without a cluster."""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from weft_cli.findings import EXIT_FINDINGS
from weft_cli.sources import read_sources
from weft_cli.workloads import ASSUMED_FEATURES
from weft_core.errors import EnvironmentFault
from weft_core.load.mesh import load_mesh_config
from weft_core.load.nodes import Builder
from weft_core.load.yaml import load
from weft_core.model.mesh_config import MeshConfig
from weft_core.problems import ObjectRef, Problem, Severity, Source, by_severity
from weft_injector.patch.workloads import WorkloadInjector, namespace_labels
from weft_injector.settings import InjectionSettings, load_settings

_START = re.compile(r"---(?:\s|$)")
_NUMBER_TO_KUBECTL = re.compile(r"[-+]?(?:0o[0-7]+|[\d_]*\.?[\d_]*[eE][-+]?\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A document as it stands in its file. `value` is None where it can't be read, or is empty."""

    text: str
    source: Source
    value: Any = None


def run_inject(
    paths: Sequence[Path],
    *,
    settings: Path | None = None,
    mesh_config: Path | None = None,
    namespace: str = "default",
) -> int:
    """Print the files with sidecars in their workloads; returns the exit code.

    What is no workload is printed as it was written, to the letter. A workload that is refused is left out: piped into
    kubectl, it would run unprotected. Raises EnvironmentFault for what can't be read.
    """
    problems: list[Problem] = []
    parts = [part for file, text in read_sources(paths) for part in _parts(text, file, problems)]
    injector = WorkloadInjector(
        settings=_settings(settings),
        features=ASSUMED_FEATURES,
        mesh=_mesh(mesh_config),
        default_namespace=namespace,
        namespaces=dict(namespace_labels(part.value for part in parts)),
    )
    printed: list[str] = []
    for part in parts:
        result = injector.rewrite(part.value)
        problems += [replace(problem, source=part.source) for problem in (*result.problems, *result.skipped)]
        if result.document is part.value:
            printed.append(part.text)
        elif result.document is not None:
            printed.append(_dump(result.document))
    for problem in by_severity(problems):
        sys.stderr.write(f"{problem}\n")
    sys.stdout.write(_joined(printed))
    return EXIT_FINDINGS if any(problem.severity is Severity.ERROR for problem in problems) else 0


def _parts(text: str, file: str, problems: list[Problem]) -> Iterator[_Part]:
    """The documents of a text, with what is wrong with them."""
    for first_line, lines in _split(text):
        part = "\n".join(lines)
        # The lines above, empty, so that problems have the file's line numbers.
        loaded = load("\n" * first_line + part, file)
        problems += loaded.problems
        source = Source(file=file, line=first_line + 1)
        if loaded.problems or not loaded.documents:
            yield _Part(text=part, source=source)
            continue
        values = [Builder().build(node) for node in yaml.compose_all(part, Loader=yaml.CSafeLoader)]
        if len(values) == 1:
            yield _Part(text=part, source=replace(source, line=loaded.documents[0].source.line), value=values[0])
        else:
            yield from (_Part(text=_dump(value), source=source, value=value) for value in values)


def _split(text: str) -> Iterator[tuple[int, list[str]]]:
    """The lines between `---` lines, with the number (from 0) of the first."""
    start, part = 0, list[str]()
    for number, line in enumerate(text.removeprefix("\ufeff").rstrip("\n").split("\n")):
        if _START.match(line):
            if any(map(str.strip, part)):
                yield start, part
            start, part = number, [" " * 3 + line.removeprefix("---")] if line.removeprefix("---").strip() else []
            start += 0 if part else 1
        else:
            part.append(line)
    if any(map(str.strip, part)):
        yield start, part


def _joined(documents: Sequence[str]) -> str:
    return "---\n".join(document if document.endswith("\n") else f"{document}\n" for document in documents)


def _settings(path: Path | None) -> InjectionSettings:
    if path is None:
        return InjectionSettings()
    ((file, text),) = read_sources([path])
    loaded = load_settings(text, ObjectRef(kind="InjectionSettings"), file=file)
    if loaded.settings is None:
        raise EnvironmentFault("\n".join(str(problem) for problem in loaded.problems))
    return loaded.settings


def _mesh(path: Path | None) -> MeshConfig:
    if path is None:
        return MeshConfig()
    ((file, text),) = read_sources([path])
    loaded = load_mesh_config(text, file)
    if loaded.config is None:
        raise EnvironmentFault("\n".join(str(problem) for problem in loaded.problems))
    return loaded.config


def _dump(value: Any) -> str:
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 20))


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """The fast dumper without anchors: the same text in two places is written twice."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: Any, text: str) -> Any:
    """Text in quotes where kubectl's parser would read a number, which PyYAML does not take for one: `1e3`, `0o17`."""
    quoted = "'" if _NUMBER_TO_KUBECTL.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=quoted)


_Dumper.add_representer(str, _text)
