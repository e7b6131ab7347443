"""Requests of kubelets, answered by the signer."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from bringup import Cluster, CommandFailed
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from waiting import running, until

from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.root_keeper import RootKeeper
from weft_injector.delivery.signer import PodCertificateSigner, SignerOptions
from weft_injector.renewer import SystemClock
from weft_kube.client import Api
from weft_kube.resource import POD_CERTIFICATE_REQUESTS

RunPod = Callable[..., None]

pytestmark = pytest.mark.parametrize("release", [False], indirect=True, ids=["pod-certificates"])


SOURCE = {
    "podCertificate": {
        "signerName": "weft.dev/workload",
        "keyType": "ECDSAP256",
        "credentialBundlePath": "credentials.pem",
    }
}


class Kubelet:
    """Asks for certificates as the kubelet of a node of its own: as its user, with all that NodeRestriction checks."""

    def __init__(self, cluster: Cluster, namespace: str, run_pod: RunPod) -> None:
        self.cluster = cluster
        self._run_pod = run_pod
        self.namespace = namespace
        self.node = f"node-{uuid4().hex[:8]}"
        cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.node}})
        self._uids = {
            "nodeUID": cluster.get("node", self.node)["metadata"]["uid"],
            "serviceAccountUID": cluster.get("serviceaccount", "shopper", namespace=namespace)["metadata"]["uid"],
        }

    def run(self, pod: str) -> None:
        """A pod that runs on this node."""
        self._run_pod(pod, SOURCE, node=self.node)

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
def kubelet(api_server: Cluster, shop: str, run_pod: RunPod) -> Iterator[Kubelet]:
    found = Kubelet(api_server, shop, run_pod)
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


async def test_two_signers_answer_once(api: Api, signer: PodCertificateSigner, kubelet: Kubelet) -> None:
    kubelet.run("web-0")
    async with running(signer.run(), signer.run()):
        name, _ = kubelet.request("web-0")
        first = await answer(api, kubelet.namespace, name)
        await asyncio.sleep(0.5)
        assert await answer(api, kubelet.namespace, name) == first


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
