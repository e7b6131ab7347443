"""The validating webhook as the API server calls it: what kubectl prints, and what is let through."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from bringup import Cluster, CommandFailed, ControlPlane

from weft_core.registry import Registry
from weft_injector.ca.authority import Authority
from weft_operator.admission import validation

FILES = Path(__file__).parents[2] / "charts/weft/files/crds"
Kubectl = Callable[..., Awaitable[str]]


def _virtual_service(**rule: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1beta1",
        "kind": "VirtualService",
        "metadata": {"name": "web"},
        "spec": {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}], **rule}]},
    }


BAD = _virtual_service(redirect={"uri": "/new"}, retries={"attempts": 3, "retryOn": "never"})
"""Rules that no schema can say: a redirect beside a route, and a word that Envoy does not know."""


@pytest.fixture
async def kubectl(api_server: Cluster, namespace: str) -> Kubectl:
    """Runs kubectl in the test's namespace, beside the event loop in which the webhook lives."""
    await asyncio.to_thread(api_server.kubectl, "apply", "--server-side", "--force-conflicts", "-f", FILES)
    established = ("wait", "--for=condition=Established", "--timeout=30s")
    await asyncio.to_thread(api_server.kubectl, *established, "-f", FILES)

    async def run(*args: str, document: dict[str, Any] | None = None) -> str:
        given = ("-f", "-") if document else ()
        text = json.dumps(document) if document else None
        return await asyncio.to_thread(api_server.kubectl, *args, "-n", namespace, *given, input=text)

    return run


@pytest.fixture
async def server(
    api_server: Cluster, namespace: str, kubectl: Kubectl, tmp_path: Path
) -> AsyncIterator[dict[str, Any]]:
    """A server over an empty mesh, and the configuration with which the API server would call it."""
    if not isinstance(api_server, ControlPlane):
        pytest.skip("a cluster elsewhere cannot call a webhook on this machine")
    authority = Authority.self_made(trust_domain="cluster.local", now=datetime.now(UTC))
    leaf = authority.issue_serving(now=datetime.now(UTC), dns_names=["weft"], ip_addresses=["127.0.0.1"])
    assert leaf.key_pem is not None
    (tmp_path / "serving.pem").write_bytes(leaf.key_pem + leaf.chain_pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "serving.pem")
    app = web.Application()
    app.add_routes([web.post("/validate", validation(Registry()))])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}/validate"
    yield _configuration(namespace, url, authority.bundle.pem)
    await kubectl("delete", "validatingwebhookconfiguration", namespace, "--ignore-not-found")
    await runner.cleanup()
    await asyncio.sleep(0.2)  # asyncio ends TLS connections later, and warns where its loop is gone by then


@pytest.fixture
async def webhook(kubectl: Kubectl, server: dict[str, Any]) -> None:
    """The webhook in force, for objects in the test's namespace; without an answer nothing is stored."""
    await _switch_on(kubectl, server)


def _configuration(namespace: str, url: str, roots: bytes) -> dict[str, Any]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": namespace},
        "webhooks": [
            {
                "name": "validation.weft.dev",
                "clientConfig": {"url": url, "caBundle": base64.b64encode(roots).decode()},
                "rules": [
                    {
                        "apiGroups": ["networking.istio.io", "security.istio.io"],
                        "apiVersions": ["*"],
                        "operations": ["CREATE", "UPDATE", "DELETE"],
                        "resources": ["*"],
                    }
                ],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
            }
        ],
    }


async def _switch_on(kubectl: Kubectl, configuration: dict[str, Any]) -> None:
    """The API server learns of its webhooks by a watch, within a second."""
    await kubectl("apply", document=configuration)
    probe = {**BAD, "metadata": {"name": "probe"}}
    async with asyncio.timeout(20):
        while True:
            try:
                await kubectl("create", "--dry-run=server", document=probe)
            except CommandFailed:
                return
            await asyncio.sleep(0.1)


async def test_kubectl_prints_every_mistake_with_its_fix(kubectl: Kubectl, webhook: None) -> None:
    with pytest.raises(CommandFailed) as refused:
        await kubectl("apply", document=BAD)
    lines = str(refused.value).splitlines()
    assert 'admission webhook "validation.weft.dev" denied the request: 2 mistakes' in lines[0]
    assert [line.partition(":")[0] for line in lines[1:]] == ["spec.http[0]", "spec.http[0].retries.retryOn"]
    assert all("→" in line for line in lines[1:])


async def test_what_is_missing_is_a_warning(kubectl: Kubectl, webhook: None) -> None:
    with pytest.raises(CommandFailed, match=r"there is no service `web\.test-") as warned:
        await kubectl("apply", "--warnings-as-errors", document=_virtual_service())
    assert "Warning: spec.http[0].route[0].destination.host: " in str(warned.value)
    assert await kubectl("get", "virtualservice", "web", "-o", "name")


async def test_a_field_without_value_is_refused(kubectl: Kubectl, webhook: None) -> None:
    with pytest.raises(CommandFailed, match=r"spec.http\[0\].match: the field has no value"):
        await kubectl("create", document=_virtual_service(match=None))


async def test_a_dry_run_is_judged_as_well(kubectl: Kubectl, webhook: None) -> None:
    with pytest.raises(CommandFailed, match="2 mistakes"):
        await kubectl("apply", "--dry-run=server", document=BAD)


async def test_a_wrong_object_from_before_may_be_labelled_and_deleted_and_not_edited(
    kubectl: Kubectl, server: dict[str, Any]
) -> None:
    document = {**BAD, "metadata": {"name": "web", "finalizers": ["weft.dev/test"]}}
    await kubectl("apply", document=document)
    await _switch_on(kubectl, server)
    await kubectl("label", "virtualservice", "web", "team=a")
    with pytest.raises(CommandFailed, match="denied the request"):
        await kubectl("patch", "virtualservice", "web", "--type=merge", "-p", '{"spec": {"hosts": ["other"]}}')
    await kubectl("delete", "virtualservice", "web", "--wait=false")
    await kubectl("patch", "virtualservice", "web", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
    await kubectl("wait", "--for=delete", "virtualservice/web", "--timeout=10s")
