"""How findings look in each output format."""

import json

import pytest
import yaml

from weft_cli.findings import EXIT_FINDINGS, Format, exit_code, render
from weft_core.problems import Code, ObjectRef, Problem, Severity, Source

PROBLEM = Problem(
    code=Code.SCHEMA_VALIDATION_ERROR,
    severity=Severity.ERROR,
    object=ObjectRef(kind="VirtualService", namespace="default", name="reviews"),
    path="spec.timeout",
    message="unknown field `timeout`",
    fix="move it beside `route`, into spec.http[0]",
    source=Source(file="a.yaml", line=12),
)


def test_json_and_yaml_hold_every_documented_key() -> None:
    for parsed in (json.loads(render([PROBLEM], Format.JSON)), yaml.safe_load(render([PROBLEM], Format.YAML))):
        assert parsed == [
            {
                "code": "IST0106",
                "severity": "error",
                "kind": "VirtualService",
                "namespace": "default",
                "name": "reviews",
                "file": "a.yaml",
                "line": 12,
                "path": "spec.timeout",
                "message": "unknown field `timeout`",
                "fix": "move it beside `route`, into spec.http[0]",
            }
        ]


def test_no_finding_is_an_empty_list_for_scripts() -> None:
    assert json.loads(render([], Format.JSON)) == []


def test_the_piped_table_has_one_line_a_finding() -> None:
    text = render([PROBLEM], Format.TABLE)
    assert text.count("\n") == 1
    assert text.startswith("a.yaml:12: error IST0106 VirtualService default/reviews spec.timeout: unknown field")


def test_the_terminal_table_folds_to_its_width_and_counts() -> None:
    text = render([PROBLEM], Format.TABLE, width=60)
    assert max(map(len, text.splitlines())) <= 60
    assert text.rstrip().endswith("1 error")


def test_sarif_points_at_the_line() -> None:
    log = json.loads(render([PROBLEM], Format.SARIF))
    assert log["version"] == "2.1.0"
    result = log["runs"][0]["results"][0]
    assert result["level"] == "error"
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 12}


@pytest.mark.parametrize(
    ("severity", "code"), [(Severity.ERROR, EXIT_FINDINGS), (Severity.WARNING, EXIT_FINDINGS), (Severity.INFO, 0)]
)
def test_the_exit_code_is_79_for_a_warning_or_worse(severity: Severity, code: int) -> None:
    problem = Problem(code="X", severity=severity, object=ObjectRef(), message="m")
    assert exit_code([problem]) == code
