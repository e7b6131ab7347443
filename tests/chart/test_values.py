"""Values: what is misspelt or out of range is refused, by name, and nothing that the schema knows is undocumented."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

BOTH = pytest.mark.parametrize("chart", ["weft", "gateway"])


@BOTH
def test_helm_lints_the_chart(helm: Path, charts: Path, chart: str) -> None:
    done = subprocess.run([helm, "lint", "--strict", charts / chart], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("values", "place", "reason"),
    [
        ({"replica": 3}, "", "additional properties 'replica' not allowed"),
        ({"image": {"tags": "v1"}}, "/image", "additional properties 'tags' not allowed"),
        ({"image": {"digest": "abc"}}, "/image/digest", "does not match pattern"),
        ({"revision": "Canary_1"}, "/revision", "does not match pattern"),
        ({"revision": "a" * 41}, "/revision", "does not match pattern"),
        ({"roles": []}, "/roles", "minItems"),
        ({"roles": ["xds", "webhook"]}, "/roles/1", "must be one of 'operator', 'xds', 'injector'"),
        ({"injection": {"webhook": {"failurePolicy": "fail"}}}, "/injection/webhook/failurePolicy", "must be one of"),
        ({"injection": {"webhook": {"timeoutSeconds": 31}}}, "/injection/webhook/timeoutSeconds", "maximum"),
        ({"injection": {"nativeSidecars": "auto"}}, "/injection", "'nativeSidecars' not allowed"),
        ({"injection": {"logLevel": "verbose"}}, "/injection/logLevel", "must be one of"),
        ({"injection": {"traffic": {"excludeOutboundPorts": "http"}}}, "/injection/traffic", "does not match pattern"),
        ({"injection": {"resources": {"limits": {"cpu": "two"}}}}, "/injection/resources/limits/cpu", "pattern"),
        ({"certificates": {"delivery": "secret"}}, "/certificates/delivery", "must be one of"),
        ({"certificates": {"lifetime": "1d"}}, "/certificates/lifetime", "does not match pattern"),
        ({"validation": {"failurePolicy": "Warn"}}, "/validation/failurePolicy", "must be one of"),
        ({"credentials": {"namespaces": "ingress"}}, "/credentials/namespaces", "want array"),
        ({"compat": {"istioLabels": "yes"}}, "/compat/istioLabels", "want boolean"),
        ({"compat": {"istioLabel": True}}, "/compat", "'istioLabel' not allowed"),
        ({"replicas": "2"}, "/replicas", "want integer"),
        ({"podDisruptionBudget": {"maxUnavailable": "many"}}, "/podDisruptionBudget/maxUnavailable", "pattern"),
        ({"podDisruptionBudget": {"maxUnavailable": 0}}, "/podDisruptionBudget/maxUnavailable", "minimum"),
        ({"podDisruptionBudget": {"maxUnavailable": "0%"}}, "/podDisruptionBudget/maxUnavailable", "pattern"),
    ],
)
def test_the_control_plane_refuses(refusal: Callable[..., str], values: Any, place: str, reason: str) -> None:
    said = refusal(values)
    assert f"at '{place}" in said
    assert reason in said


@pytest.mark.parametrize(
    ("values", "place", "reason"),
    [
        ({"replicas": 3}, "", "additional properties 'replicas' not allowed"),
        ({"service": {"type": "Loadbalancer"}}, "/service/type", "must be one of"),
        ({"service": {"ports": [{"port": 80}]}}, "/service/ports/0", "missing property 'name'"),
        ({"service": {"ports": [{"name": "http", "port": 80_000}]}}, "/service/ports/0/port", "maximum"),
        ({"securityContext": "none"}, "/securityContext", "want null or object"),
    ],
)
def test_a_gateway_refuses(refusal: Callable[..., str], values: Any, place: str, reason: str) -> None:
    said = refusal(values, chart="gateway")
    assert f"at '{place}" in said
    assert reason in said


@pytest.mark.parametrize("chart", ["weft", "gateway"])
@pytest.mark.parametrize(
    ("autoscaling", "reason"),
    [
        ({"targetCPUUtilizationPercentage": None}, "autoscaling has nothing to scale by"),
        ({"minReplicas": 7, "maxReplicas": 3}, "autoscaling.minReplicas (7) is more than autoscaling.maxReplicas (3)"),
    ],
)
def test_autoscaling_that_could_not_work_is_refused(
    refusal: Callable[..., str], chart: str, autoscaling: Any, reason: str
) -> None:
    assert reason in refusal({"autoscaling": {"enabled": True} | autoscaling}, chart=chart)


def test_a_grace_period_that_leaves_no_time_to_end_is_refused(refusal: Callable[..., str]) -> None:
    assert "preStopSeconds (30) must be less than terminationGracePeriodSeconds (30)" in refusal({"preStopSeconds": 30})


@BOTH
def test_the_charts_may_be_part_of_another(template: Callable[..., Any], chart: str) -> None:
    """Helm gives parts `global`, and their condition is mostly `enabled`."""
    assert template({"global": {"team": "web"}, "enabled": True}, chart=chart).returncode == 0


@BOTH
def test_every_value_of_the_schema_is_in_values_yaml(charts: Path, chart: str) -> None:
    """And thus has a default and a comment. Free maps and lists are the user's."""
    schema = json.loads((charts / chart / "values.schema.json").read_text())
    values = yaml.safe_load((charts / chart / "values.yaml").read_text())
    assert set(_paths(schema, schema)) - {"global", "enabled"} == set(_leaves(schema, schema, values))


@BOTH
def test_every_object_of_the_schema_names_its_properties(charts: Path, chart: str) -> None:
    schema = json.loads((charts / chart / "values.schema.json").read_text())
    loose = [
        node for node in _nodes(schema) if "properties" in node and node.get("additionalProperties", True) is not False
    ]
    assert not loose


def _resolved(node: Any, schema: Any) -> Any:
    return schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node


def _paths(node: Any, schema: Any, prefix: str = "") -> Iterator[str]:
    node = _resolved(node, schema)
    if prefix.endswith("resources"):
        yield prefix
        return
    for name, child in node.get("properties", {}).items():
        path = f"{prefix}.{name}".lstrip(".")
        inner = list(_paths(child, schema, path))
        yield from inner or [path]


def _leaves(node: Any, schema: Any, values: Any, prefix: str = "") -> Iterator[str]:
    node = _resolved(node, schema)
    for name, value in values.items():
        path = f"{prefix}.{name}".lstrip(".")
        child = _resolved(node["properties"][name], schema)
        if isinstance(value, dict) and "properties" in child and name != "resources":
            yield from _leaves(child, schema, value, path)
        else:
            yield path


def _nodes(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from _nodes(child)
    elif isinstance(node, list):
        for child in node:
            yield from _nodes(child)
