"""Certificates on a real API server, with the rights that the control plane has and no others."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import yaml
from aiohttp import web
from bringup import Cluster, CommandFailed
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from prometheus_client import CollectorRegistry

from weft_injector.ca.authority import Authority
from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.names import Release
from weft_injector.delivery.release import find_release
from weft_injector.delivery.rollout import Phase
from weft_injector.delivery.root import load_or_create_root
from weft_injector.delivery.root_keeper import RootKeeper, RootOptions
from weft_injector.delivery.root_secret import root_secret
from weft_injector.delivery.secret_keeper import KeeperOptions, SecretKeeper
from weft_injector.delivery.secrets import SecretOptions, WorkloadSecrets
from weft_injector.delivery.signer import PodCertificateSigner, SignerOptions
from weft_injector.delivery.trust_bundles import BundleOptions, TrustBundles
from weft_injector.delivery.webhook_bundles import WebhookBundles, WebhookOptions
from weft_injector.renewer import SystemClock
from weft_injector.serving import ServingCertificate, ServingOptions, reload, webhook_context
from weft_kube.admission import AdmissionRequest, Verdict, handler
from weft_kube.client import Api
from weft_kube.errors import ApiError, Forbidden, Unavailable
from weft_kube.login import Login
from weft_kube.resource import CONFIG_MAPS, MUTATING_WEBHOOKS, POD_CERTIFICATE_REQUESTS, SECRETS, VALIDATING_WEBHOOKS

TRUST_DOMAIN = "cluster.local"
RBAC = "rbac.authorization.k8s.io"
Connect = Callable[[], Awaitable[Api]]


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
    options = RootOptions(release=release, trust_domain=TRUST_DOMAIN, spread=timedelta(seconds=1))
    keeper = RootKeeper(api, options, clock=SystemClock(), metrics=metrics)
    await keeper.load()
    return keeper


@asynccontextmanager
async def running(*work: Awaitable[object]) -> AsyncIterator[None]:
    """The control plane's coroutines, for as long as the block lasts."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(what: Callable[[], Awaitable[Any]]) -> Any:
    """What it gives, once that is something; ten seconds at most."""
    async with asyncio.timeout(10):
        while not (found := await what()):
            await asyncio.sleep(0.05)
    return found


only_secrets = pytest.mark.parametrize("release", [True], indirect=True, ids=["secrets"])
only_pod_certificates = pytest.mark.parametrize("release", [False], indirect=True, ids=["pod-certificates"])


async def test_the_release_finds_itself(api: Api, release: Release) -> None:
    assert await find_release(api, "weft", release.namespace) == release


# the root


async def test_replicas_that_start_at_once_share_one_root(api: Api, release: Release) -> None:
    now = datetime.now(UTC)
    made = [load_or_create_root(api, release, trust_domain=TRUST_DOMAIN, now=now) for _ in range(4)]
    assert len({source.authority.bundle.pem for source in await asyncio.gather(*made)}) == 1


async def test_another_root_takes_effect_without_a_restart(
    api: Api, api_server: Cluster, release: Release, root: RootKeeper
) -> None:
    before = root.authority.certificate
    other = Authority.self_made(trust_domain=TRUST_DOMAIN, now=datetime.now(UTC))
    async with running(root.run()):
        await asyncio.sleep(0.3)
        api_server.apply(root_secret(other, release, "cacerts"), namespace=release.namespace)
        await until(lambda: _true(root.in_force.phase is Phase.JOINING))
        assert root.authority.certificate == before
        await until(lambda: _true(root.in_force.phase is Phase.SIGNING))
        assert root.authority.certificate == other.certificate
        assert set(root.authority.bundle.roots) == {before, other.certificate}


async def _true(value: bool) -> bool:
    return value


@only_pod_certificates
async def test_workloads_secrets_are_closed_to_a_control_plane_that_needs_none(
    api: Api, release: Release, root: RootKeeper
) -> None:
    assert (await api.get(SECRETS, "weft-ca", release.namespace))["data"]["root-cert.pem"]
    assert root.in_force.phase is Phase.STEADY
    with pytest.raises(Forbidden):
        await api.get(SECRETS, "anything", "default")


# trust bundles


async def test_a_labelled_namespace_has_its_bundle_at_once_and_keeps_it(
    api: Api, api_server: Cluster, release: Release, root: RootKeeper, metrics: CertificateMetrics, shop: str
) -> None:
    mesh: set[str] = set()
    options = BundleOptions(release=release)
    bundles = TrustBundles(api, root, options, namespaces=lambda: mesh, clock=SystemClock(), metrics=metrics)

    async def roots() -> str:
        found = await api.find(CONFIG_MAPS, "weft-trust-bundle", shop)
        return found["data"]["root.pem"] if found else ""

    async with running(bundles.lead()):
        await asyncio.sleep(0.3)
        mesh.add(shop)
        bundles.look()
        assert (await until(roots)).encode() == root.authority.bundle.pem
        api_server.kubectl("patch", "configmap", "weft-trust-bundle", "-n", shop, "-p", '{"data":{"root.pem":"x"}}')
        await until(lambda: _equal(roots, root.authority.bundle.pem.decode()))
        api_server.kubectl("delete", "configmap", "weft-trust-bundle", "-n", shop)
        await until(roots)
        mesh.clear()
        bundles.look()
        await until(lambda: _equal(roots, ""))


async def _equal(what: Callable[[], Awaitable[object]], wanted: object) -> bool:
    return await what() == wanted


@pytest.fixture
def shop(api_server: Cluster) -> Iterator[str]:
    """A namespace of the mesh, with a service account."""
    name = f"shop-{uuid4().hex[:8]}"
    api_server.kubectl("create", "namespace", name)
    api_server.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "shopper"}}, namespace=name)
    yield name
    api_server.kubectl("delete", "namespace", name, "--wait=false")


# credentials in Secrets


@only_secrets
async def test_a_workloads_secret_is_made_renewed_and_restored(
    api: Api, api_server: Cluster, release: Release, root: RootKeeper, metrics: CertificateMetrics, shop: str
) -> None:
    clock = SystemClock()
    secrets = WorkloadSecrets(
        api, SecretOptions(release=release), authority=lambda: root.authority, clock=clock, metrics=metrics
    )
    keeper = SecretKeeper(
        api, secrets, root, options=KeeperOptions(tick=timedelta(seconds=0.2)), clock=clock, metrics=metrics
    )
    name = await secrets.ensure(shop, "shopper", "web")
    first = await api.get(SECRETS, name, shop)
    assert b"PRIVATE KEY" in base64.b64decode(first["data"]["credentials.pem"])
    api_server.apply(_pod("web-0", {"secret": {"name": name}}), namespace=shop)

    async def credentials() -> str:
        found = await api.find(SECRETS, name, shop)
        return found["data"]["credentials.pem"] if found else ""

    async def anew(old: str) -> bool:
        return await credentials() not in {"", old}

    async with running(keeper.lead()):
        await asyncio.sleep(0.5)
        assert await credentials() == first["data"]["credentials.pem"]
        note = "weft.dev/issued-at=2020-01-01T00:00:00Z"
        api_server.kubectl("annotate", "secret", name, "-n", shop, "--overwrite", note)
        await until(lambda: anew(first["data"]["credentials.pem"]))
        second = await credentials()
        api_server.kubectl("delete", "secret", name, "-n", shop)
        await until(lambda: anew(second))


@only_secrets
async def test_what_no_pod_mounts_is_deleted(
    api: Api, api_server: Cluster, release: Release, root: RootKeeper, metrics: CertificateMetrics, shop: str
) -> None:
    clock = SystemClock()
    secrets = WorkloadSecrets(
        api, SecretOptions(release=release), authority=lambda: root.authority, clock=clock, metrics=metrics
    )
    used, unused = await secrets.ensure(shop, "shopper", "used"), await secrets.ensure(shop, "shopper", "unused")
    api_server.apply(_pod("web-0", {"secret": {"name": used}}), namespace=shop)
    options = KeeperOptions(sweep=timedelta(seconds=0.3), unused=timedelta())
    keeper = SecretKeeper(api, secrets, root, options=options, clock=clock, metrics=metrics)

    async def gone() -> bool:
        return await api.find(SECRETS, unused, shop) is None

    async with running(keeper.lead()):
        await asyncio.sleep(1)  # the times in annotations are whole seconds
        await until(gone)
        assert await api.find(SECRETS, used, shop) is not None


# pod certificates


def _pod(name: str, *sources: dict[str, Any], node: str = "") -> dict[str, Any]:
    spec: dict[str, Any] = {
        "serviceAccountName": "shopper",
        "automountServiceAccountToken": False,
        "containers": [{"name": "c", "image": "none"}],
        "volumes": [{"name": "certs", "projected": {"sources": list(sources)}}],
    }
    if node:
        spec["nodeName"] = node
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


SOURCE = {
    "podCertificate": {
        "signerName": "weft.dev/workload",
        "keyType": "ECDSAP256",
        "credentialBundlePath": "credentials.pem",
    }
}


class Kubelet:
    """Asks for certificates as the kubelet of a node of its own: as its user, with all that NodeRestriction checks."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.node = f"node-{uuid4().hex[:8]}"
        cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.node}})
        self._uids = {
            "nodeUID": cluster.get("node", self.node)["metadata"]["uid"],
            "serviceAccountUID": cluster.get("serviceaccount", "shopper", namespace=namespace)["metadata"]["uid"],
        }

    def run(self, pod: str) -> None:
        """A pod that runs on this node."""
        self.cluster.apply(_pod(pod, SOURCE, node=self.node), namespace=self.namespace)

    def request(self, pod: str, *, seconds: int = 3600, as_node: bool = True, **changes: str) -> tuple[str, Any]:
        """A request for the pod, and its key. `changes` of the spec are what an impostor would write."""
        key = ec.generate_private_key(ec.SECP256R1())
        stub = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        spec = {
            "signerName": "weft.dev/workload",
            "podName": pod,
            "podUID": self.cluster.get("pod", pod, namespace=self.namespace)["metadata"]["uid"],
            "serviceAccountName": "shopper",
            "nodeName": self.node,
            "maxExpirationSeconds": seconds,
            "stubPKCS10Request": base64.b64encode(stub.public_bytes(serialization.Encoding.DER)).decode(),
            **self._uids,
            **changes,
        }
        name = f"req-{uuid4().hex[:8]}"
        body = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "PodCertificateRequest",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": spec,
        }
        user = [f"--as=system:node:{self.node}", "--as-group=system:nodes"] if as_node else []
        self.cluster.kubectl("create", "-f", "-", *user, input=json.dumps(body))
        return name, key


@pytest.fixture
def kubelet(api_server: Cluster, shop: str) -> Iterator[Kubelet]:
    found = Kubelet(api_server, shop)
    yield found
    api_server.kubectl("delete", "node", found.node)


@pytest.fixture
def signer(api: Api, root: RootKeeper, metrics: CertificateMetrics) -> PodCertificateSigner:
    return PodCertificateSigner(
        api,
        SignerOptions(lifetime=lambda: timedelta(hours=2)),
        authority=lambda: root.authority,
        known_pod=lambda _key: None,
        leads=lambda: True,
        clock=SystemClock(),
        metrics=metrics,
    )


async def answer(api: Api, namespace: str, name: str) -> dict[str, Any]:
    async def status() -> dict[str, Any]:
        found = (await api.get(POD_CERTIFICATE_REQUESTS, name, namespace)).get("status", {})
        assert isinstance(found, dict)
        return found

    found = await until(status)
    assert isinstance(found, dict)
    return found


@only_pod_certificates
@pytest.mark.parametrize(("asked", "life"), [(3600, 3600), (86_400, 7200)])
async def test_a_kubelets_request_is_answered_with_a_certificate(
    api: Api, root: RootKeeper, signer: PodCertificateSigner, kubelet: Kubelet, asked: int, life: int
) -> None:
    kubelet.run("web-0")
    async with running(signer.run()):
        name, key = kubelet.request("web-0", seconds=asked)
        status = await answer(api, kubelet.namespace, name)
    assert [condition["type"] for condition in status["conditions"]] == ["Issued"]
    leaf = x509.load_pem_x509_certificate(status["certificateChain"].encode())
    leaf.verify_directly_issued_by(root.authority.certificate)
    assert leaf.public_key() == key.public_key()
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds() == life
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    identity = f"spiffe://cluster.local/ns/{kubelet.namespace}/sa/shopper"
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [identity]
    assert names.get_values_for_type(x509.DNSName) == [f"web-0.{kubelet.namespace}.workload"]


@only_pod_certificates
async def test_two_signers_answer_once(api: Api, signer: PodCertificateSigner, kubelet: Kubelet) -> None:
    kubelet.run("web-0")
    async with running(signer.run(), signer.run()):
        name, _ = kubelet.request("web-0")
        first = await answer(api, kubelet.namespace, name)
        await asyncio.sleep(0.5)
        assert await answer(api, kubelet.namespace, name) == first


@only_pod_certificates
async def test_an_impostor_is_denied_with_the_reason(api: Api, signer: PodCertificateSigner, kubelet: Kubelet) -> None:
    """The API server stops a node; an administrator's request comes through, and ours is the last check."""
    kubelet.run("web-0")
    with pytest.raises(CommandFailed, match="differs from running pod"):
        kubelet.request("web-0", serviceAccountName="default")
    async with running(signer.run()):
        name, _ = kubelet.request("web-0", as_node=False, serviceAccountName="default")
        status = await answer(api, kubelet.namespace, name)
    assert [(c["type"], c["reason"]) for c in status["conditions"]] == [("Denied", "ServiceAccountMismatch")]
    assert "runs as shopper, not as default" in status["conditions"][0]["message"]
    assert "certificateChain" not in status


# webhooks


async def test_the_webhooks_get_their_roots_and_get_them_back(
    api: Api, api_server: Cluster, release: Release, root: RootKeeper, metrics: CertificateMetrics
) -> None:
    name = release.cluster_name
    documents: list[dict[str, Any]] = []
    untouched = {"apiGroups": ["weft.test"], "apiVersions": ["*"], "operations": ["*"], "resources": ["nothing"]}
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        entry = {
            "name": "a.weft.dev",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "failurePolicy": "Ignore",
            "clientConfig": {"service": {"name": "weft", "namespace": release.namespace, "path": "/x"}},
            "rules": [untouched],
        }
        documents.append(
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": kind,
                "metadata": {"name": name},
                "webhooks": [entry, {**entry, "name": "b.weft.dev"}],
            }
        )
    wanted = base64.b64encode(root.authority.bundle.pem).decode()

    async def there() -> bool:
        shown = [
            webhook["clientConfig"].get("caBundle")
            for resource in (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS)
            for webhook in (await api.get(resource, name))["webhooks"]
        ]
        return shown == [wanted] * 4

    bundles = WebhookBundles(api, root, WebhookOptions(release=release), clock=SystemClock(), metrics=metrics)
    api_server.apply(*documents)
    try:
        async with running(bundles.lead()):
            await until(there)
            removal = '[{"op":"remove","path":"/webhooks/1/clientConfig/caBundle"}]'
            api_server.kubectl("patch", "mutatingwebhookconfiguration", name, "--type=json", "-p", removal)
            await until(there)
    finally:
        for document in documents:
            api_server.kubectl("delete", document["kind"], name)


async def test_the_api_server_trusts_a_webhook_before_during_and_after_a_new_root(
    api: Api, api_server: Cluster, release: Release, root: RootKeeper, metrics: CertificateMetrics, shop: str
) -> None:
    """It checks the certificate for the Service's name, by the caBundle that the leader keeps."""
    clock = SystemClock()
    options = ServingOptions(service="weft", namespace=release.namespace)
    serving = ServingCertificate(root, options, clock=clock, metrics=metrics)
    context = webhook_context(await serving.issue())
    serving.used_by(lambda material: reload(context, material))

    async def refuse(request: AdmissionRequest) -> Verdict:
        return Verdict(allowed=False, message=f"asked about {request.name}")

    async def asked(name: str) -> str:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        with pytest.raises(CommandFailed) as refused:
            await asyncio.to_thread(api_server.apply, body, namespace=shop)
        return str(refused.value)

    async def heard() -> bool:
        return "asked about first" in await asked("first")

    app = web.Application()
    app.router.add_post("/x", handler(refuse))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    webhooks = _local_webhook(release, port, shop)
    api_server.apply(*webhooks, namespace=release.namespace)
    bundles = WebhookBundles(api, root, WebhookOptions(release=release), clock=clock, metrics=metrics)
    other = Authority.self_made(trust_domain=TRUST_DOMAIN, now=datetime.now(UTC))
    try:
        async with running(root.run(), serving.run(), bundles.lead()):
            await until(heard)
            api_server.apply(root_secret(other, release, "cacerts"), namespace=release.namespace)
            while root.in_force.phase is not Phase.SIGNING:
                assert "asked about during" in await asked("during")
            await asyncio.sleep(0.2)
            assert "asked about after" in await asked("after")
            presented = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
            leaf = x509.load_pem_x509_certificate(presented.encode())
            leaf.verify_directly_issued_by(other.certificate)
    finally:
        api_server.kubectl("delete", "validatingwebhookconfiguration", release.cluster_name)
        await runner.cleanup()


def _local_webhook(release: Release, port: int, namespace: str) -> list[dict[str, Any]]:
    """The Service weft, which leads to this machine, and a webhook behind it for ConfigMaps of one namespace."""
    meta = {"name": "weft", "namespace": release.namespace}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": meta}
    reference = {**meta, "path": "/x", "port": port}
    entry = {
        "name": "a.weft.dev",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
        "clientConfig": {"service": reference},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
    }
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": release.cluster_name},
        "webhooks": [entry],
    }
    spec = {"type": "ExternalName", "externalName": "localhost"}
    return [{**service, "spec": spec}, configuration]


# without an API server


async def test_what_happens_during_an_outage_is_made_good_after_it(
    api: Api,
    release: Release,
    root: RootKeeper,
    metrics: CertificateMetrics,
    shop: str,
    outage: Callable[[], AbstractContextManager[None]],
) -> None:
    mesh: set[str] = set()
    bundles = TrustBundles(
        api, root, BundleOptions(release=release), namespaces=lambda: mesh, clock=SystemClock(), metrics=metrics
    )

    async def there() -> bool:
        try:
            return await api.find(CONFIG_MAPS, "weft-trust-bundle", shop) is not None
        except Unavailable:
            return False

    async with running(bundles.lead(), root.run()):
        await asyncio.sleep(0.3)
        with outage():
            mesh.add(shop)
            bundles.look()
            await asyncio.sleep(0.5)
        await until(there)


# the end


@only_secrets
async def test_all_of_it_comes_back_when_the_cluster_role_is_made_anew(
    api: Api, api_server: Cluster, release: Release, root: RootKeeper, metrics: CertificateMetrics, shop: str
) -> None:
    """`kubectl replace --force`: the garbage collector takes what the old one owned, and must not take it again."""
    clock = SystemClock()
    bundles = TrustBundles(
        api, root, BundleOptions(release=release), namespaces=lambda: {shop}, clock=clock, metrics=metrics
    )
    before, old = root.authority.certificate, release.uid
    role = api_server.kubectl("get", "clusterrole", release.cluster_name, "--output=json")

    async def owners() -> list[str]:
        found = [
            await api.find(SECRETS, "weft-ca", release.namespace),
            await api.find(CONFIG_MAPS, "weft-trust-bundle", shop),
        ]
        return [owner["uid"] for each in found if each for owner in each["metadata"].get("ownerReferences") or ()]

    async with running(root.run(), bundles.lead()):
        await until(lambda: _equal(owners, [old, old]))
        await asyncio.to_thread(api_server.kubectl, "replace", "--force", "--filename=-", input=role)
        new = api_server.get("clusterrole", release.cluster_name)["metadata"]["uid"]
        async with asyncio.timeout(40):
            while await owners() != [new, new]:
                await asyncio.sleep(0.2)
        await asyncio.sleep(2)
        assert await owners() == [new, new]
    assert root.authority.certificate == before


@only_secrets
async def test_all_of_it_goes_with_the_cluster_role(
    api: Api, api_server: Cluster, release: Release, root: RootKeeper, metrics: CertificateMetrics, shop: str
) -> None:
    """`helm uninstall` deletes the ClusterRole; the garbage collector does the rest, in every namespace."""
    clock = SystemClock()
    bundles = TrustBundles(
        api, root, BundleOptions(release=release), namespaces=lambda: {shop}, clock=clock, metrics=metrics
    )
    secrets = WorkloadSecrets(
        api, SecretOptions(release=release), authority=lambda: root.authority, clock=clock, metrics=metrics
    )
    await bundles.ensure(shop)
    name = await secrets.ensure(shop, "shopper", "web")
    api_server.kubectl("delete", "clusterrole", release.cluster_name)
    for kind, object_, namespace in (
        ("secret", name, shop),
        ("configmap", "weft-trust-bundle", shop),
        ("secret", "weft-ca", release.namespace),
    ):
        api_server.kubectl("wait", "--for=delete", f"{kind}/{object_}", "-n", namespace, "--timeout=60s")
    with pytest.raises(ApiError):
        await api.get(SECRETS, name, shop)
