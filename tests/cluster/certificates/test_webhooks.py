"""Webhooks that the API server trusts, by the roots that the leader writes."""

import asyncio
import base64
import ssl
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from bringup import Cluster, CommandFailed
from cryptography import x509
from waiting import running, until

from weft_injector.ca.authority import Authority
from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.names import Release
from weft_injector.delivery.rollout import Phase
from weft_injector.delivery.root_keeper import RootKeeper
from weft_injector.delivery.root_secret import root_secret
from weft_injector.delivery.webhook_bundles import WebhookBundles, WebhookOptions
from weft_injector.renewer import SystemClock
from weft_injector.serving import ServingCertificate, ServingOptions, reload, webhook_context
from weft_kube.admission import AdmissionRequest, Verdict, handler
from weft_kube.client import Api
from weft_kube.resource import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS


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
    other = Authority.self_made(trust_domain="cluster.local", now=datetime.now(UTC))
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
