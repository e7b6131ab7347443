"""What the chart of the control plane makes: names, pods, Service, budget, autoscaler, network policy, CRDs."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from weft_cli.main import app
from weft_cli.serve.address import split_address

VALUE_SETS: dict[str, Any] = {
    "defaults": {},
    "revision": {"revision": "1-2-3"},
    "old cluster": {"certificates": {"delivery": "secrets"}, "injection": {"nativeSidecar": "disabled"}},
    "istio labels": {"compat": {"istioLabels": True}},
    "few rights": {"credentials": {"namespaces": ["ingress"]}},
    "no credentials": {"credentials": {"namespaces": []}},
    "only xds": {"roles": ["xds"]},
    "only injector": {"roles": ["injector"]},
    "autoscaled": {"autoscaling": {"enabled": True, "metrics": [{"type": "Pods", "pods": {}}], "behavior": {"a": {}}}},
    "bare": {
        "podDisruptionBudget": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "validation": {"enabled": False},
        "crds": {"install": False},
        "topologySpreadConstraints": [],
        "priorityClassName": "",
        "podAnnotations": None,
        "resources": None,
        "labels": None,
        "podLabels": None,
    },
    "full": {
        "image": {"tag": "v9", "pullSecrets": ["a", "b"]},
        "nodeSelector": {"pool": "mesh"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "podLabels": {"team": "mesh", "app": "mine", "weft.dev/inject": "true"},
        "labels": {"cost-center": "17", "app": "mine"},
        "service": {"annotations": {"a": "b"}, "ipFamilyPolicy": "PreferDualStack"},
        "serviceAccount": {"annotations": {"a": "b"}},
        "networkPolicy": {
            "metricsFrom": [{"namespaceSelector": {}}],
            "webhooksFrom": [{"ipBlock": {"cidr": "10.0.0.0/28"}}],
            "egress": [{}],
        },
        "listenAddress": "::",
    },
}
WITH_CRDS: Any = {"crds": {"install": True}}
CLUSTER_SCOPED = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
}
each = pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)


@each
def test_names_follow_the_revision_and_the_namespace(render: Callable[..., Any], values: Any) -> None:
    """So that releases side by side never share an object but the CRDs, which have one owner."""
    name = f"weft-{values['revision']}" if "revision" in values else "weft"
    for (kind, found), document in render(values, release="any", namespace="mesh").items():
        if kind == "CustomResourceDefinition":
            continue
        if kind in CLUSTER_SCOPED:
            assert found == f"{name}-mesh"
            assert "namespace" not in document["metadata"]
        elif found.endswith("-credentials"):
            assert found == f"{name}-mesh-credentials"
            assert document["metadata"]["namespace"] in values["credentials"]["namespaces"]
        else:
            assert found in {name, f"{name}-test"}
            assert document["metadata"]["namespace"] == "mesh"


@each
def test_pods_run_with_no_privilege_at_all(render: Callable[..., Any], values: Any) -> None:
    """What the Pod Security Standard `restricted` asks for, and a read-only root file system."""
    objects = render(values)
    name = f"weft-{values['revision']}" if "revision" in values else "weft"
    pods = [objects["Deployment", name]["spec"]["template"]["spec"], objects["Pod", f"{name}-test"]["spec"]]
    for spec in pods:
        assert spec["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 1337,
            "runAsGroup": 1337,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not spec.get("hostNetwork")
        assert all("hostPath" not in volume for volume in spec.get("volumes", ()))


@each
def test_the_control_planes_own_pods_are_no_part_of_the_mesh(render: Callable[..., Any], values: Any) -> None:
    for (kind, _), document in render(values).items():
        if kind in {"Deployment", "Pod"}:
            labels = document["spec"]["template"]["metadata"]["labels"] if kind == "Deployment" else _labels(document)
            assert labels["weft.dev/inject"] == labels["sidecar.istio.io/inject"] == "false"


@each
def test_selectors_find_the_pods(render: Callable[..., Any], values: Any) -> None:
    objects = render(values)
    for (kind, name), document in objects.items():
        if kind == "Deployment":
            pod = document["spec"]["template"]
            selector = document["spec"]["selector"]["matchLabels"]
            assert selector.items() <= pod["metadata"]["labels"].items()
            spread = pod["spec"].get("topologySpreadConstraints", ())
            assert all(constraint["labelSelector"]["matchLabels"] == selector for constraint in spread)
            assert objects["Service", name]["spec"]["selector"] == selector
            if ("PodDisruptionBudget", name) in objects:
                assert objects["PodDisruptionBudget", name]["spec"]["selector"]["matchLabels"] == selector
            if ("NetworkPolicy", name) in objects:
                assert objects["NetworkPolicy", name]["spec"]["podSelector"]["matchLabels"] == selector
    test_pod = next(document for (kind, _), document in objects.items() if kind == "Pod")
    assert not selector.items() <= _labels(test_pod).items()


def test_the_command_line(render: Callable[..., Any]) -> None:
    (container,) = render({"revision": "v2"})["Deployment", "weft-v2"]["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["/usr/local/bin/weft"]
    assert container["args"] == [
        "serve",
        "--kubernetes",
        "--namespace=$(POD_NAMESPACE)",
        "--revision=v2",
        "--roles=operator,xds,injector",
        "--cluster-domain=cluster.local",
        "--xds=0.0.0.0:15012",
        "--http=0.0.0.0:15014",
        "--webhooks=0.0.0.0:15017",
    ]
    assert {entry["name"] for entry in container["env"]} >= {"POD_NAME", "POD_NAMESPACE", "POD_IP"}


def test_ipv6_addresses_are_written_in_brackets(render: Callable[..., Any]) -> None:
    (container,) = render({"listenAddress": "::"})["Deployment", "weft"]["spec"]["template"]["spec"]["containers"]
    assert "--xds=[::]:15012" in container["args"]


def test_the_service_leads_to_the_container_ports(render: Callable[..., Any]) -> None:
    objects = render()
    (container,) = objects["Deployment", "weft"]["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    service = {port["port"]: ports[port["targetPort"]] for port in objects["Service", "weft"]["spec"]["ports"]}
    assert service == {15012: 15012, 443: 15017, 15014: 15014}


def test_a_rollout_never_has_fewer_ready_pods_than_before(render: Callable[..., Any]) -> None:
    spec = render()["Deployment", "weft"]["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    sleep = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert 0 < sleep < pod["terminationGracePeriodSeconds"]


def test_an_autoscaler_takes_the_replicas_over(render: Callable[..., Any]) -> None:
    metric = {"type": "Pods", "pods": {"metric": {"name": "streams"}, "target": {"type": "AverageValue"}}}
    objects = render({"autoscaling": {"enabled": True, "metrics": [metric]}})
    assert "replicas" not in objects["Deployment", "weft"]["spec"]
    spec = objects["HorizontalPodAutoscaler", "weft"]["spec"]
    assert spec["scaleTargetRef"]["name"] == "weft"
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 10)
    assert spec["metrics"][0]["resource"]["name"] == "cpu"
    assert spec["metrics"][1:] == [metric]


def test_the_network_policy_lets_in_proxies_and_the_api_server(render: Callable[..., Any]) -> None:
    rules = render()["NetworkPolicy", "weft"]["spec"]["ingress"]
    ports = [port["port"] for rule in rules for port in rule["ports"]]
    assert ports == ["grpc-xds", "https-webhooks", "http-monitoring"]
    assert all("from" not in rule for rule in rules)
    narrowed = render({"networkPolicy": {"metricsFrom": [{"namespaceSelector": {}}]}})["NetworkPolicy", "weft"]
    monitoring, replicas, test = narrowed["spec"]["ingress"][2]["from"]
    assert monitoring == {"namespaceSelector": {}}
    assert replicas == {"podSelector": {"matchLabels": {"app": "weft"}}}
    assert test == {"podSelector": {"matchLabels": {"app": "weft-test"}}}
    assert narrowed["spec"]["policyTypes"] == ["Ingress"]


def test_webhooks_can_be_kept_to_the_api_servers_addresses(render: Callable[..., Any]) -> None:
    """Any pod could send them reviews of its own otherwise: an API server authenticates itself to no webhook."""
    api_server = {"ipBlock": {"cidr": "10.0.0.0/28"}}
    policy = render({"networkPolicy": {"webhooksFrom": [api_server]}})["NetworkPolicy", "weft"]
    xds, webhooks, _ = policy["spec"]["ingress"]
    assert "from" not in xds, "proxies are everywhere"
    assert webhooks["from"] == [api_server, {"podSelector": {"matchLabels": {"app": "weft-test"}}}]


@each
def test_labels_of_the_users_are_on_everything_and_replace_none_of_the_charts(
    render: Callable[..., Any], values: Any
) -> None:
    """`app` selects the pods, and `weft.dev/inject` keeps them out of the mesh."""
    mine = {key: text for key, text in (values.get("labels") or {}).items() if key != "app"}
    for (kind, name), document in render(values).items():
        assert mine.items() <= document["metadata"]["labels"].items(), name
        if kind == "Deployment":
            labels = document["spec"]["template"]["metadata"]["labels"]
            assert (mine | {"weft.dev/inject": "false", "app": name}).items() <= labels.items()


@pytest.mark.parametrize("chart", ["weft", "gateway"])
def test_versions_fit_into_labels_and_tags(helm: Path, charts: Path, tmp_path: Path, chart: str) -> None:
    """Build metadata begins with a +, which neither may have, and a pipeline's versions are long."""
    copy = shutil.copytree(charts / chart, tmp_path / chart)
    described = yaml.safe_load((copy / "Chart.yaml").read_text())
    described |= {"version": f"0.1.0-alpha.{'9' * 60}", "appVersion": "0.1.0+g1234567"}
    (copy / "Chart.yaml").write_text(yaml.safe_dump(described))
    command = [str(helm), "template", "weft", str(copy), *(["--set=crds.install=false"] if chart == "weft" else [])]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for document in filter(None, yaml.safe_load_all(made)):
        labels = document["metadata"]["labels"]
        assert all(re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", text) for text in labels.values())
        assert labels.get("app.kubernetes.io/version", "0.1.0_g1234567") == "0.1.0_g1234567"
    assert chart == "gateway" or "image: weft:0.1.0_g1234567" in made.replace('"', "")


@pytest.mark.parametrize("chart", ["weft", "gateway"])
def test_pods_that_are_not_ready_do_not_stop_a_drain(documents: Callable[..., list[Any]], chart: str) -> None:
    """A control plane that never gets ready, for lack of a root say, would keep its nodes from being drained."""

    def budget(values: Any = None, **more: Any) -> Any:
        found = documents(values, chart=chart, **more)
        return next(each["spec"] for each in found if each["kind"] == "PodDisruptionBudget")

    assert budget()["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert budget()["maxUnavailable"] == 1
    assert "unhealthyPodEvictionPolicy" not in budget(kube_version="1.26.9-eks-1"), "unknown there"
    assert "unhealthyPodEvictionPolicy" not in budget({"podDisruptionBudget": {"unhealthyPodEvictionPolicy": ""}})


def test_roles_that_are_left_out_take_their_webhooks_along(render: Callable[..., Any]) -> None:
    def kinds(*roles: str) -> set[str]:
        found = {kind for kind, _ in render({"roles": list(roles)})}
        return found & {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}

    assert kinds("xds") == set()
    assert kinds("operator", "xds") == {"ValidatingWebhookConfiguration"}
    assert kinds("xds", "injector") == {"MutatingWebhookConfiguration"}


def test_validation_does_not_stand_in_the_way_of_a_repair(render: Callable[..., Any]) -> None:
    (webhook,) = render()["ValidatingWebhookConfiguration", "weft-weft-system"]["webhooks"]
    assert webhook["failurePolicy"] == "Ignore"
    assert webhook["sideEffects"] == "None"


def test_crds_of_the_control_plane_are_rendered_and_kept(render: Callable[..., Any], charts: Path) -> None:
    generated = {
        document["metadata"]["name"]: document
        for path in (charts / "weft/files/crds").glob("*.yaml")
        for document in [yaml.load(path.read_text(), Loader=yaml.CSafeLoader)]
    }
    rendered = {
        name: document for (kind, name), document in render(WITH_CRDS).items() if kind == "CustomResourceDefinition"
    }
    assert set(rendered) == set(generated)
    for name, document in rendered.items():
        assert document["spec"] == generated[name]["spec"], "numbers and texts survive the way through helm"
        assert document["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    not_kept = render({"crds": {"keep": False}})["CustomResourceDefinition", "gateways.networking.istio.io"]
    assert "helm.sh/resource-policy" not in not_kept["metadata"].get("annotations", {})
    assert not [name for kind, name in render({"crds": {"install": False}}) if kind == "CustomResourceDefinition"]


def test_the_webhook_validates_the_kinds_that_the_crds_define(render: Callable[..., Any]) -> None:
    objects = render(WITH_CRDS)
    defined = {
        (document["spec"]["group"], document["spec"]["names"]["plural"])
        for (kind, _), document in objects.items()
        if kind == "CustomResourceDefinition"
    }
    (webhook,) = objects["ValidatingWebhookConfiguration", "weft-weft-system"]["webhooks"]
    assert {
        (group, r) for rule in webhook["rules"] for group in rule["apiGroups"] for r in rule["resources"]
    } == defined


def _labels(document: Any) -> Any:
    return document["metadata"]["labels"]


@each
def test_the_command_line_is_one_that_weft_understands(render: Callable[..., Any], values: Any) -> None:
    objects = render(values)
    (deployment,) = (document for (kind, _), document in objects.items() if kind == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    name, *arguments = container["args"]
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    with command.make_context(name, arguments) as context:
        found = context.params
    assert found["kubernetes"]
    assert found["roles"].split(",") == values.get("roles", ["operator", "xds", "injector"])
    assert found["credential_namespaces"].split(",") == (values.get("credentials", {}).get("namespaces", ["*"]) or [""])
    assert split_address(found["xds"]) == (values.get("listenAddress", "0.0.0.0"), 15012)
