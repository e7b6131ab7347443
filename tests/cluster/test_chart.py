"""The charts on a real API server: installed, upgraded and uninstalled by helm, beside Istio's CRDs and each other.

An API server of its own: what a chart installs in the whole cluster would get in the way of other tests.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from bringup import NODELESS_CONTROLLERS, Cluster, CommandFailed, ControlPlane, Unavailable

CHARTS = Path(__file__).parents[2] / "charts"
GATEWAYS = "gateways.networking.istio.io"
CA = base64.b64encode(b"a certificate").decode()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    try:
        control_plane = ControlPlane(tmp_path_factory.mktemp("charts"), controllers=NODELESS_CONTROLLERS)
    except Unavailable as reason:
        pytest.skip(f"no API server: {reason}")
    control_plane.start()
    yield control_plane
    control_plane.stop()


@pytest.fixture
def place(cluster: Cluster) -> Iterator[str]:
    """A namespace to install into; all releases in it are uninstalled, and all CRDs deleted, after the test."""
    name = f"mesh-{uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    # Made by a controller that may not run here, or not yet.
    cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}, namespace=name)
    yield name
    for release in json.loads(cluster.helm("list", "-n", name, "-a", "-o", "json")):
        cluster.helm("uninstall", "-n", name, release["name"], "--no-hooks")
    _delete_definitions(cluster)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def _delete_definitions(cluster: Cluster) -> None:
    """An API server that has just served a definition may take minutes to see that none of its kind is left."""
    cluster.kubectl("delete", "crds", "--all", "--wait=false")
    with suppress(CommandFailed):  # also where none is left to wait for
        cluster.kubectl("wait", "crds", "--all", "--for=delete", "--timeout=10s")
    for definition in cluster.get("crds")["items"]:
        with suppress(CommandFailed):
            patch = json.dumps({"metadata": {"finalizers": None}})
            cluster.kubectl("patch", "crd", definition["metadata"]["name"], "--type=merge", "-p", patch)


def install(cluster: Cluster, place: str, release: str = "weft", chart: str = "weft", **values: Any) -> str:
    """`helm upgrade --install`, without waiting for pods: there are no nodes."""
    path = cluster.kubeconfig.with_name(f"{release}-{place}.yaml")
    path.write_text(yaml.safe_dump(values))
    return cluster.helm("upgrade", "--install", release, CHARTS / chart, "-n", place, "--values", path)


def crd(name: str) -> Any:
    group, plural = name.partition(".")[2], name.partition(".")[0]
    return yaml.safe_load((CHARTS / f"weft/files/crds/{group}_{plural}.yaml").read_text())


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"certificates": {"delivery": "secrets"}, "compat": {"istioLabels": True}},
        {"credentials": {"namespaces": ["default"]}, "roles": ["xds"]},
        {
            "autoscaling": {"enabled": True, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}},
            "networkPolicy": {"metricsFrom": [{"namespaceSelector": {}}], "egress": [{}]},
            "service": {"ipFamilyPolicy": "PreferDualStack"},
            "tolerations": [{"operator": "Exists"}],
        },
    ],
    ids=["defaults", "secrets", "few rights", "extras"],
)
def test_an_api_server_takes_every_object(cluster: Cluster, place: str, tmp_path: Path, values: Any) -> None:
    """Field by field: a misspelt one is an error."""
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    rendered = cluster.helm("template", "weft", CHARTS / "weft", "-n", place, "--values", path, "--validate")
    said = cluster.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", input=rendered)
    assert said.count("serverside-applied") == len([each for each in yaml.safe_load_all(rendered) if each])


def test_an_api_server_takes_a_gateway(cluster: Cluster, place: str) -> None:
    install(cluster, place, "istio-ingressgateway", "gateway")
    service = cluster.get("service", "istio-ingressgateway", namespace=place)
    assert service["spec"]["selector"] == {"app": "istio-ingressgateway", "istio": "ingressgateway"}
    install(cluster, place, "istio-ingressgateway", "gateway", service={"type": "ClusterIP"}, revision="canary")


def test_a_gateway_in_the_control_planes_namespace_is_refused(cluster: Cluster, place: str) -> None:
    """Nothing is injected there: its pods would wait for an image named `auto` for ever."""
    install(cluster, place)
    with pytest.raises(CommandFailed, match="is the control plane's own, where nothing is injected"):
        install(cluster, place, "edge", "gateway")


@pytest.mark.parametrize("kind", ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"])
def test_an_upgrade_leaves_the_certificates_of_webhooks_alone(cluster: Cluster, place: str, kind: str) -> None:
    """The control plane writes caBundle. An upgrade that removed it would stop pods until it is written again."""
    install(cluster, place)
    webhooks = cluster.get(kind, f"weft-{place}")["webhooks"]
    patch = [{"op": "add", "path": f"/webhooks/{i}/clientConfig/caBundle", "value": CA} for i in range(len(webhooks))]
    cluster.kubectl("patch", kind, f"weft-{place}", "--type=json", "-p", json.dumps(patch))
    install(
        cluster,
        place,
        injection={"webhook": {"timeoutSeconds": 7}},
        validation={"timeoutSeconds": 7},
        compat={"istioPodLabels": False},
    )
    webhooks = cluster.get(kind, f"weft-{place}")["webhooks"]
    assert {webhook["timeoutSeconds"] for webhook in webhooks} == {7}
    assert {webhook["clientConfig"].get("caBundle") for webhook in webhooks} == {CA}


@pytest.mark.parametrize(
    "how", [(), ("--server-side", "--field-manager=argocd-controller", "--force-conflicts")], ids=["client", "server"]
)
def test_a_sync_of_rendered_manifests_leaves_the_certificates_of_webhooks_alone(
    cluster: Cluster, place: str, how: tuple[str, ...]
) -> None:
    """As GitOps tools apply them, with other values too: only a webhook that is new has to wait for its certificate."""

    def sync(*values: str) -> None:
        command = ("template", "weft", CHARTS / "weft", "-n", place, "--set", ",".join(("crds.install=false", *values)))
        rendered = cluster.helm(*command)
        assert rendered == cluster.helm(*command), "each time the same"
        cluster.kubectl("apply", *how, "-f", "-", input=rendered)

    def certificates() -> list[str]:
        found = cluster.get("mutatingwebhookconfiguration", f"weft-{place}")["webhooks"]
        return [webhook["clientConfig"].get("caBundle", "") for webhook in found]

    sync()
    count = len(certificates())
    patch = [{"op": "add", "path": f"/webhooks/{i}/clientConfig/caBundle", "value": CA} for i in range(count)]
    cluster.kubectl("patch", "mutatingwebhookconfiguration", f"weft-{place}", "--type=json", "-p", json.dumps(patch))
    sync("injection.webhook.timeoutSeconds=7")
    assert certificates() == [CA] * count
    sync("compat.istioLabels=true")
    assert certificates().count(CA) == count
    assert len(certificates()) > count
    for kind in ("clusterrole", "clusterrolebinding", "mutatingwebhookconfiguration", "validatingwebhookconfiguration"):
        cluster.kubectl("delete", kind, f"weft-{place}")


def test_crds_that_the_cluster_has_are_left_alone_and_named(cluster: Cluster, place: str) -> None:
    theirs = crd(GATEWAYS)
    theirs["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "Istio's own."
    cluster.apply(theirs)
    said = install(cluster, place)
    assert "WARNING: these CustomResourceDefinitions were in the cluster already" in said
    assert GATEWAYS in said
    for _ in range(2):
        found = cluster.get("crd", GATEWAYS)
        assert found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] == "Istio's own."
        assert "meta.helm.sh/release-name" not in found["metadata"]["annotations"]
        install(cluster, place, logLevel="debug")
    assert len(cluster.get("crds")["items"]) == 9


def test_crds_of_the_release_are_updated_and_outlive_it(cluster: Cluster, place: str) -> None:
    assert "were in the cluster already" not in install(cluster, place)
    patch = [{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/description", "value": "old"}]
    cluster.kubectl("patch", "crd", GATEWAYS, "--type=json", "-p", json.dumps(patch))
    install(cluster, place, crds={"keep": True}, logLevel="debug")
    cluster.helm("uninstall", "-n", place, "weft")
    kept = cluster.get("crds")["items"]
    assert len(kept) == 9
    install(cluster, place)  # and is taken up again by a release of the same name
    assert cluster.get("crd", GATEWAYS)["metadata"]["annotations"]["meta.helm.sh/release-name"] == "weft"


def test_revisions_live_side_by_side_and_the_second_of_a_name_is_refused(cluster: Cluster, place: str) -> None:
    install(cluster, place)
    said = install(cluster, place, "weft-canary", revision="canary")
    assert "weft.dev/rev=canary" in said
    names = {each["metadata"]["name"] for each in cluster.get("deployments", namespace=place)["items"]}
    assert names == {"weft", "weft-canary"}
    cluster.kubectl("create", "namespace", f"{place}-2")
    with pytest.raises(CommandFailed, match='revision "canary" is installed already'):
        install(cluster, f"{place}-2", "other", revision="canary")


def test_uninstalling_leaves_nothing_behind(cluster: Cluster, place: str) -> None:
    """No webhook that would refuse pods, no rights; CRDs go where they are not to be kept."""
    install(cluster, place, crds={"keep": False})
    cluster.helm("uninstall", "-n", place, "weft")
    for kind in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
        assert not cluster.get(kind)["items"]
    for kind in ("clusterroles", "clusterrolebindings"):
        assert f"weft-{place}" not in {each["metadata"]["name"] for each in cluster.get(kind)["items"]}
    owned = cluster.get(
        "deployments,services,configmaps,roles,rolebindings,networkpolicies,pdb,secrets", namespace=place
    )
    assert {each["metadata"]["name"] for each in owned["items"]} <= {"kube-root-ca.crt"}
    assert not [each for each in cluster.get("crds")["items"] if not each["metadata"].get("deletionTimestamp")]


def test_rights_by_name_are_enough_to_watch_by_name(cluster: Cluster, place: str) -> None:
    """RBAC lets a list or watch through that selects the one name by its field, and no other."""
    install(cluster, place, certificates={"delivery": "podCertificates"}, credentials={"namespaces": []})
    account = f"--as=system:serviceaccount:{place}:weft"
    named = (
        ("configmaps", "weft-trust-bundle", "-A"),
        ("configmaps", "weft", f"-n={place}"),
        ("secrets", "cacerts", f"-n={place}"),
        ("secrets", "weft-ca", f"-n={place}"),
        ("mutatingwebhookconfigurations", f"weft-{place}", "-A"),
        ("validatingwebhookconfigurations", f"weft-{place}", "-A"),
    )
    for resource, name, where in named:
        cluster.kubectl("get", resource, where, f"--field-selector=metadata.name={name}", account)
        with pytest.raises(CommandFailed, match="is forbidden"):
            cluster.kubectl("get", resource, where, account)
    with pytest.raises(CommandFailed, match="is forbidden"):
        cluster.kubectl("get", "secrets", "-A", account)
