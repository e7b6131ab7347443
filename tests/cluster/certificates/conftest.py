"""A release on a real API server, with the rights that its control plane has and no others."""

import base64
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import yaml
from bringup import Cluster
from prometheus_client import CollectorRegistry

from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.names import Release
from weft_injector.delivery.root_keeper import RootKeeper, RootOptions
from weft_injector.renewer import SystemClock
from weft_kube.client import Api
from weft_kube.login import Login

RBAC = "rbac.authorization.k8s.io"


def cluster_rules(name: str) -> list[dict[str, Any]]:
    """What the control plane may do everywhere, for its certificates."""
    webhooks = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"]
    return [
        rule(RBAC, "clusterroles", "get", name),
        rule("", "configmaps", "create"),
        rule("", "configmaps", "get list watch patch delete", "weft-trust-bundle"),
        rule("", "pods", "get list watch"),
        rule("", "secrets", "get list watch create update patch delete"),
        rule("certificates.k8s.io", "podcertificaterequests", "get list watch"),
        rule("certificates.k8s.io", "podcertificaterequests/status", "patch"),
        rule("certificates.k8s.io", "signers", "sign", "weft.dev/workload"),
        *(rule("admissionregistration.k8s.io", each, "get list watch patch", name) for each in webhooks),
    ]


def own_rules() -> list[dict[str, Any]]:
    """What it may do in its own namespace where workloads' Secrets are not its business."""
    return [
        rule("", "secrets", "create"),
        rule("", "secrets", "get list watch update patch delete", "weft-ca"),
        rule("", "secrets", "get list watch", "cacerts"),
        rule("", "secrets", "get list watch update delete", "weft-ca-previous"),
    ]


def rule(group: str, resource: str, verbs: str, *names: str) -> dict[str, Any]:
    found: dict[str, Any] = {"apiGroups": [group], "resources": [resource], "verbs": verbs.split()}
    return {**found, "resourceNames": list(names)} if names else found


def install(cluster: Cluster, namespace: str, *, secrets_everywhere: bool) -> Release:
    """What the chart installs for the certificates' sake."""
    name = f"weft-{namespace}"
    rules = [each for each in cluster_rules(name) if secrets_everywhere or each["resources"] != ["secrets"]]
    subject = {"kind": "ServiceAccount", "name": "weft", "namespace": namespace}
    documents: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "weft"}}]
    for scope, called, granted in (("ClusterRole", name, rules), ("Role", "weft", own_rules())):
        meta = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": called}}
        reference = {"apiGroup": RBAC, "kind": scope, "name": called}
        documents.append({**meta, "kind": scope, "rules": granted})
        documents.append({**meta, "kind": f"{scope}Binding", "roleRef": reference, "subjects": [subject]})
    cluster.apply(*documents, namespace=namespace)
    uid = cluster.get("clusterrole", name)["metadata"]["uid"]
    return Release(name="weft", namespace=namespace, uid=uid)


@pytest.fixture(params=[True, False], ids=["secrets", "pod-certificates"])
def release(request: pytest.FixtureRequest, api_server: Cluster, namespace: str) -> Iterator[Release]:
    """A release in a namespace of its own, with rights for either delivery."""
    yield install(api_server, namespace, secrets_everywhere=request.param)
    api_server.kubectl("delete", "clusterrole,clusterrolebinding", f"weft-{namespace}", "--ignore-not-found")


@pytest.fixture
async def api(api_server: Cluster, release: Release) -> AsyncIterator[Api]:
    """The control plane's own way in, as its service account."""
    config = yaml.safe_load(api_server.kubectl("config", "view", "--raw", "--minify"))["clusters"][0]["cluster"]
    token = api_server.kubectl("create", "token", "weft", "-n", release.namespace).strip()
    roots = base64.b64decode(config["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=roots)
    login = Login(server=config["server"], tls=context, authorization=lambda: f"Bearer {token}")
    async with Api(login) as opened:
        await opened.version()
        yield opened


@pytest.fixture
def metrics() -> CertificateMetrics:
    return CertificateMetrics(CollectorRegistry())


@pytest.fixture
async def root(api: Api, release: Release, metrics: CertificateMetrics) -> RootKeeper:
    """A keeper that has made its root, and replaces one in a second."""
    options = RootOptions(release=release, trust_domain="cluster.local", spread=timedelta(seconds=1))
    keeper = RootKeeper(api, options, clock=SystemClock(), metrics=metrics)
    await keeper.load()
    return keeper


@pytest.fixture
def shop(api_server: Cluster) -> Iterator[str]:
    """A namespace of the mesh, with a service account."""
    name = f"shop-{uuid4().hex[:8]}"
    api_server.kubectl("create", "namespace", name)
    api_server.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "shopper"}}, namespace=name)
    yield name
    api_server.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def run_pod(api_server: Cluster, shop: str) -> Callable[..., None]:
    """Makes a pod in `shop` that mounts what the source of a projected volume says; `node` is where it runs."""

    def run(name: str, source: dict[str, Any], node: str = "") -> None:
        spec: dict[str, Any] = {
            "serviceAccountName": "shopper",
            "automountServiceAccountToken": False,
            "containers": [{"name": "c", "image": "none"}],
            "volumes": [{"name": "certs", "projected": {"sources": [source]}}],
        }
        if node:
            spec["nodeName"] = node
        api_server.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}, namespace=shop)

    return run
