"""The gateway chart: an injected pod, and what Gateways select it by."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture
def gateway(render: Callable[..., Any]) -> Callable[..., Any]:
    """The objects of a gateway, by kind."""

    def objects(values: Any = None, release: str = "istio-ingressgateway") -> dict[str, Any]:
        found = render(values, chart="gateway", release=release, namespace="ingress")
        return {kind: document for (kind, _), document in found.items()}

    return objects


def test_its_pod_asks_for_the_gateway_template(gateway: Callable[..., Any]) -> None:
    pod = gateway()["Deployment"]["spec"]["template"]
    assert pod["metadata"]["labels"]["weft.dev/inject"] == "true"
    assert "weft.dev/rev" not in pod["metadata"]["labels"]
    assert pod["metadata"]["annotations"]["inject.istio.io/templates"] == "gateway"
    (container,) = pod["spec"]["containers"]
    assert (container["name"], container["image"]) == ("istio-proxy", "auto")


def test_a_new_version_of_the_chart_replaces_no_pod(gateway: Callable[..., Any], charts: Path) -> None:
    version = yaml.safe_load((charts / "gateway/Chart.yaml").read_text())["version"]
    assert version not in json.dumps(gateway()["Deployment"]["spec"])


def test_labels_and_annotations_of_the_users_replace_none_that_it_needs(gateway: Callable[..., Any]) -> None:
    values = {
        "podLabels": {"app": "mine", "weft.dev/inject": "false", "team": "edge"},
        "podAnnotations": {"inject.istio.io/templates": "sidecar", "a": "b"},
    }
    meta = gateway(values)["Deployment"]["spec"]["template"]["metadata"]
    assert meta["labels"]["app"] == "istio-ingressgateway"
    assert (meta["labels"]["weft.dev/inject"], meta["labels"]["team"]) == ("true", "edge")
    assert (meta["annotations"]["inject.istio.io/templates"], meta["annotations"]["a"]) == ("gateway", "b")


def test_it_chooses_a_revision_by_its_label(gateway: Callable[..., Any]) -> None:
    pod = gateway({"revision": "canary"})["Deployment"]["spec"]["template"]
    assert pod["metadata"]["labels"]["weft.dev/rev"] == "canary"


@pytest.mark.parametrize(
    ("release", "values", "app", "istio"),
    [
        ("istio-ingressgateway", {}, "istio-ingressgateway", "ingressgateway"),
        ("edge", {}, "edge", "edge"),
        ("edge", {"name": "istio-egressgateway"}, "istio-egressgateway", "egressgateway"),
        ("edge", {"labels": {"app": "front", "istio": "ingress", "team": "net"}}, "front", "ingress"),
    ],
)
def test_gateways_select_it_by_app_and_istio(
    gateway: Callable[..., Any], release: str, values: Any, app: str, istio: str
) -> None:
    objects = gateway(values, release)
    selector = {"app": app, "istio": istio}
    deployment = objects["Deployment"]["spec"]
    assert deployment["selector"]["matchLabels"] == selector
    assert selector.items() <= deployment["template"]["metadata"]["labels"].items()
    assert objects["Service"]["spec"]["selector"] == selector
    assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == selector
    assert objects["Service"]["metadata"]["labels"].get("team") == values.get("labels", {}).get("team")


def test_it_listens_on_low_ports_without_privilege(gateway: Callable[..., Any]) -> None:
    spec = gateway()["Deployment"]["spec"]["template"]["spec"]
    assert spec["securityContext"]["sysctls"] == [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    (container,) = spec["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["runAsNonRoot"] is True
    own = gateway({"securityContext": {"fsGroup": 5}, "containerSecurityContext": {}})["Deployment"]["spec"]
    assert own["template"]["spec"]["securityContext"] == {"fsGroup": 5}
    assert own["template"]["spec"]["containers"][0]["securityContext"] == {}


def test_it_has_no_rights_and_no_token(gateway: Callable[..., Any]) -> None:
    """The control plane reads what credentialName names."""
    objects = gateway()
    assert not {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"} & set(objects)
    assert objects["Deployment"]["spec"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_ingress_is_the_default_and_egress_a_matter_of_values(gateway: Callable[..., Any]) -> None:
    ingress = gateway()["Service"]["spec"]
    assert ingress["type"] == "LoadBalancer"
    assert [port["port"] for port in ingress["ports"]] == [15021, 80, 443]
    egress = gateway({"service": {"type": "ClusterIP", "ports": [{"name": "tls", "port": 443}]}})["Service"]["spec"]
    assert egress["type"] == "ClusterIP"
    assert egress["ports"] == [{"name": "tls", "port": 443}]
    assert "Service" not in gateway({"service": {"type": "None"}})


def test_an_autoscaler_takes_the_replicas_over(gateway: Callable[..., Any]) -> None:
    objects = gateway()
    assert "replicas" not in objects["Deployment"]["spec"]
    assert objects["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "istio-ingressgateway"
    fixed = gateway({"autoscaling": {"enabled": False}, "replicaCount": 3})
    assert fixed["Deployment"]["spec"]["replicas"] == 3
    assert "HorizontalPodAutoscaler" not in fixed


@pytest.mark.parametrize(
    ("values", "spec"),
    [
        ({}, {"maxUnavailable": 1}),
        ({"minAvailable": "50%"}, {"minAvailable": "50%"}),
        ({"minAvailable": 0}, {"minAvailable": 0}),
        ({"maxUnavailable": None}, None),
    ],
)
def test_a_disruption_budget_has_one_bound(gateway: Callable[..., Any], values: Any, spec: Any) -> None:
    budget = gateway({"podDisruptionBudget": values}).get("PodDisruptionBudget")
    assert (budget and {key: value for key, value in budget["spec"].items() if key.endswith("vailable")}) == spec
