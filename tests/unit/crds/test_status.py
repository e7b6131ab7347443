"""What the control plane writes into a status is in its schema: the API server drops everything else unseen."""

from collections.abc import Mapping
from typing import Any

import pytest

from weft_core.problems import Code, ObjectRef, Problem, Severity
from weft_operator.crds.status import status_schema
from weft_operator.status.conditions import LIMIT, TYPES, Condition, validation_messages


def check(value: Any, schema: Mapping[str, Any], path: str = "status") -> None:
    """Every field is known, and no required one is missing."""
    if isinstance(value, dict):
        assert value.keys() <= schema["properties"].keys(), path
        assert set(schema.get("required", ())) <= value.keys(), path
        for name, item in value.items():
            check(item, schema["properties"][name], f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check(item, schema["items"], f"{path}[{index}]")
    elif "x-kubernetes-int-or-string" not in schema:
        assert schema["type"] == ("integer" if isinstance(value, int) else "string"), path
        assert value in schema.get("enum", [value]), path
        assert len(str(value)) <= schema.get("maxLength", LIMIT), path


@pytest.mark.parametrize("severity", Severity)
def test_what_is_written_is_kept(severity: Severity) -> None:
    condition = Condition(
        type=TYPES[0],
        status="False",
        reason="Invalid",
        message="x" * LIMIT,
        observed_generation=2,
        last_transition_time="2026-01-01T00:00:00Z",
    )
    problem = Problem(
        code=Code.SCHEMA_WARNING,
        severity=severity,
        object=ObjectRef(kind="Gateway", namespace="a", name="b"),
        path="spec.servers[0]",
        message="wrong",
        fix="right",
    )
    messages = validation_messages([problem])
    check({"observedGeneration": 2, "conditions": [condition.json()], "validationMessages": messages}, status_schema())
    assert len(messages[0]) == 5


def test_conditions_are_told_apart_by_their_type() -> None:
    conditions = status_schema()["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    for name in TYPES:
        assert name in conditions["description"]
        assert name in conditions["items"]["properties"]["type"]["description"]


def test_what_istio_wrote_before_is_valid() -> None:
    """An object whose stored status were invalid could not be changed any more."""
    schema = status_schema()
    condition = schema["properties"]["conditions"]["items"]["properties"]
    assert schema["x-kubernetes-preserve-unknown-fields"] is True
    assert schema["properties"]["observedGeneration"]["x-kubernetes-int-or-string"] is True
    assert condition["observedGeneration"]["x-kubernetes-int-or-string"] is True
    assert "lastProbeTime" in condition
    message = schema["properties"]["validationMessages"]["items"]["properties"]
    assert set(message["level"]["enum"]) >= {"UNKNOWN", "ERROR", "WARNING", "INFO"}
