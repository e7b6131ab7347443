"""How findings are printed: a table for people, JSON and YAML for scripts, SARIF for code review."""

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

import yaml

from weft_core.problems import Problem, Severity

EXIT_FINDINGS: Final = 79
"""What `istioctl analyze` ends with when it has found something: scripts know it."""


class Format(StrEnum):
    """The values of `-o`."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    SARIF = "sarif"


_SARIF_LEVELS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def record(problem: Problem) -> dict[str, str | int]:
    """A finding as the documented JSON object, every key always present."""
    return {
        "code": problem.code,
        "severity": problem.severity.value,
        "kind": problem.object.kind,
        "namespace": problem.object.namespace,
        "name": problem.object.name,
        "file": problem.source.file,
        "line": problem.source.line,
        "path": problem.path,
        "message": problem.message,
        "fix": problem.fix,
    }


def render(problems: Sequence[Problem], form: Format, *, color: bool = False, width: int | None = None) -> str:
    """The findings as text that ends with a newline."""
    if form is Format.JSON:
        return json.dumps([record(p) for p in problems], indent=2, ensure_ascii=False) + "\n"
    if form is Format.YAML:
        return yaml.safe_dump([record(p) for p in problems], sort_keys=False, allow_unicode=True)
    if form is Format.SARIF:
        return json.dumps(_sarif(problems), indent=2, ensure_ascii=False) + "\n"
    from weft_cli.findings_table import table  # noqa: PLC0415 - rich, which no other form and no server needs

    return table(problems, color=color, width=width)


def exit_code(problems: Iterable[Problem], threshold: Severity = Severity.WARNING) -> int:
    """79 where a finding is as bad as the threshold or worse, else 0."""
    return EXIT_FINDINGS if any(p.severity.rank <= threshold.rank for p in problems) else 0


def _sarif(problems: Sequence[Problem]) -> Mapping[str, object]:
    """SARIF 2.1.0 (OASIS): one run, one rule a code, one result a finding."""
    codes = sorted({p.code for p in problems})
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "weft", "rules": [{"id": code} for code in codes]}},
                "results": [_sarif_result(p) for p in problems],
            }
        ],
    }


def _sarif_result(problem: Problem) -> Mapping[str, object]:
    text = f"{problem.object} {problem.path}: {problem.message}".replace(" :", ":")
    result: dict[str, object] = {
        "ruleId": problem.code,
        "level": _SARIF_LEVELS[problem.severity],
        "message": {"text": f"{text} {problem.fix}".strip()},
    }
    if problem.source.file:
        region = {"startLine": max(problem.source.line, 1)}
        result["locations"] = [
            {"physicalLocation": {"artifactLocation": {"uri": problem.source.file}, "region": region}}
        ]
    return result
