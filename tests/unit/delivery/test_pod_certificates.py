"""Pod certificates: what the signer answers, and that it answers once."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from prometheus_client import CollectorRegistry

from weft_core.errors import CertificateFault
from weft_core.model.kubernetes import Pod
from weft_core.spiffe import SpiffeId
from weft_injector.ca.authority import Authority
from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.pod_certificates import (
    Issue,
    PodCertificateRequest,
    Refuse,
    Wait,
    decide,
    issue,
    issued_status,
)
from weft_injector.delivery.signer import PodCertificateSigner, SignerOptions
from weft_injector.delivery.times import instant
from weft_injector.renewal import RenewalPolicy
from weft_injector.renewer import Clock
from weft_kube.client import Api
from weft_kube.errors import Unavailable
from weft_kube.resource import POD_CERTIFICATE_REQUESTS, PODS

Background = Callable[[Awaitable[object]], "asyncio.Future[object]"]
Turn = Callable[[timedelta], Awaitable[None]]
Before = Callable[[Callable[[str, str], Awaitable[None]]], None]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ANSWER = "PATCH /apis/certificates.k8s.io/v1/namespaces/shop/podcertificaterequests/req/status"

POD: dict[str, Any] = {
    "metadata": {
        "name": "web-5d9f-x",
        "namespace": "shop",
        "uid": "pod-1",
        "labels": {"pod-template-hash": "5d9f"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "web-5d9f", "uid": "1", "controller": True}],
    },
    "spec": {"serviceAccountName": "shopper", "nodeName": "node-1"},
    "status": {"phase": "Pending"},
}


def stub(key: Any = None) -> str:
    """An empty PKCS #10 request, as the kubelet makes it."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, algorithm)
    return base64.b64encode(request.public_bytes(serialization.Encoding.DER)).decode()


def document(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "req", "namespace": "shop"},
        "spec": {
            "signerName": "weft.dev/workload",
            "podName": "web-5d9f-x",
            "podUID": "pod-1",
            "serviceAccountName": "shopper",
            "serviceAccountUID": "sa-1",
            "nodeName": "node-1",
            "nodeUID": "node-uid",
            "maxExpirationSeconds": 86_400,
            "stubPKCS10Request": stub(),
            **spec,
        },
    }


def request(**spec: Any) -> PodCertificateRequest:
    return msgspec.convert(document(**spec), PodCertificateRequest)


def pod(**changes: Any) -> Pod:
    return msgspec.convert({**POD, **changes}, Pod)


def decided(asked: PodCertificateRequest, found: Pod | None) -> Issue | Refuse | Wait:
    return decide(asked, found, trust_domain="cluster.local", lifetime=DAY)


# the decision


def test_a_request_that_fits_its_pod_gets_the_account_and_the_workload_attested() -> None:
    found = decided(request(), pod())
    assert isinstance(found, Issue)
    assert found.identity == SpiffeId(trust_domain="cluster.local", namespace="shop", service_account="shopper")
    assert found.dns_name == "web.shop.workload"


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        ({"podUID": "pod-0"}, "PodReplaced", "the pod shop/web-5d9f-x is another one by now, its uid is pod-1"),
        ({"serviceAccountName": "admin"}, "ServiceAccountMismatch", "runs as shopper, not as admin"),
        ({"nodeName": "node-2"}, "NodeMismatch", "runs on node-1, not on node-2"),
    ],
)
def test_a_request_for_another_pod_account_or_node_is_denied(change: Any, reason: str, message: str) -> None:
    found = decided(request(**change), pod())
    assert isinstance(found, Refuse)
    assert (found.condition, found.reason) == ("Denied", reason)
    assert message in found.message


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        ("", "no stubPKCS10Request"),
        ("!", "cannot be read"),
        (base64.b64encode(b"nonsense").decode(), "cannot be read"),
        (stub(ed25519.Ed25519PrivateKey.generate()), "choose keyType ECDSAP256"),
    ],
)
def test_a_key_that_cannot_be_certified_fails_with_the_way_out(encoded: str, message: str) -> None:
    found = decided(request(stubPKCS10Request=encoded), pod())
    assert isinstance(found, Refuse)
    assert found.condition == "Failed"
    assert message in found.message


def test_a_request_that_is_not_signed_with_its_key_fails() -> None:
    """The signature covers the key: whoever does not hold it gets no certificate for it."""
    der = bytearray(base64.b64decode(stub()))
    der[-4] ^= 1
    found = decided(request(stubPKCS10Request=base64.b64encode(bytes(der)).decode()), pod())
    assert isinstance(found, Refuse)
    assert "not signed with its own key" in found.message


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (request(signerName="example.com/other"), pod()),
        (request(), None),
        (request(), pod(status={"phase": "Succeeded"})),
        (request(), pod(spec={"serviceAccountName": "shopper"})),
        (request(), pod(status={"phase": "Failed"})),
        (
            msgspec.convert({**document(), "status": {"conditions": [{"type": "Issued"}]}}, PodCertificateRequest),
            pod(),
        ),
    ],
)
def test_other_signers_absent_and_ended_pods_and_answered_requests_get_no_answer(
    asked: PodCertificateRequest, found: Pod | None
) -> None:
    assert isinstance(decided(asked, found), Wait)


@pytest.mark.parametrize(("asked", "life"), [(3600, HOUR), (7200, 2 * HOUR), (86_400, DAY), (7_862_400, DAY)])
def test_a_certificate_lives_as_long_as_settings_and_pod_allow_counted_from_its_first_second(
    asked: int, life: timedelta, authority: Authority, now: datetime
) -> None:
    """The API server refuses what says more than maxExpirationSeconds, and what says less than an hour."""
    found = decided(request(maxExpirationSeconds=asked), pod())
    assert isinstance(found, Issue)
    leaf = issue(found, authority, now=now)
    assert leaf.not_after - leaf.not_before == life


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("seconds", [3600, 86_400])
def test_the_refresh_begins_near_half_of_the_life_and_never_near_its_ends(
    seconds: int, chance: float, authority: Authority, now: datetime
) -> None:
    found = decided(request(maxExpirationSeconds=seconds), pod())
    assert isinstance(found, Issue)
    leaf = issue(found, authority, now=now)
    status = issued_status(leaf, RenewalPolicy(), chance)
    refresh = instant(status["beginRefreshAt"])
    assert refresh is not None
    assert leaf.not_before + timedelta(minutes=10) <= refresh <= leaf.not_after - timedelta(minutes=10)
    assert 0.4 <= (refresh - leaf.issued_at) / leaf.life <= 0.5
    assert instant(status["notBefore"]) == leaf.not_before
    assert instant(status["notAfter"]) == leaf.not_after


def test_a_root_about_to_expire_is_our_fault_and_no_final_answer(authority: Authority, now: datetime) -> None:
    found = decided(request(), pod())
    assert isinstance(found, Issue)
    with pytest.raises(CertificateFault, match="replace it"):
        issue(found, authority, now=authority.expires_at - HOUR / 2)


# the signer


@pytest.fixture
def signer(api: Api, authority: Authority, clock: Clock, metrics: CertificateMetrics) -> Callable[..., Any]:
    """Makes a signer; `leads` and `known` (pods by key) are its own."""

    def make(*, leads: bool = True, known: dict[tuple[str, str], Pod] | None = None) -> PodCertificateSigner:
        return PodCertificateSigner(
            api,
            SignerOptions(),
            authority=lambda: authority,
            known_pod=(known or {}).get,
            leads=lambda: leads,
            clock=clock,
            metrics=metrics,
        )

    return make


async def answered(api: Api, name: str = "req") -> dict[str, Any]:
    """The status, once there is one."""
    async with asyncio.timeout(2):
        while True:
            found = await api.get(POD_CERTIFICATE_REQUESTS, name, "shop")
            if status := found.get("status"):
                assert isinstance(status, dict)
                return status
            await asyncio.sleep(0.01)


async def test_a_request_is_answered_with_a_certificate_for_the_pods_key(
    api: Api, signer: Callable[..., Any], background: Background, registry: CollectorRegistry
) -> None:
    await api.create(PODS, POD, "shop")
    uid = (await api.get(PODS, "web-5d9f-x", "shop"))["metadata"]["uid"]
    background(signer().run())
    key = ec.generate_private_key(ec.SECP256R1())
    await api.create(POD_CERTIFICATE_REQUESTS, document(podUID=uid, stubPKCS10Request=stub(key)), "shop")
    status = await answered(api)
    assert [(c["type"], c["status"]) for c in status["conditions"]] == [("Issued", "True")]
    leaf = x509.load_pem_x509_certificate(status["certificateChain"].encode())
    assert leaf.public_key() == key.public_key()
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://cluster.local/ns/shop/sa/shopper"]
    assert registry.get_sample_value("weft_certificates_issued_total", {"delivery": "podCertificates"}) == 1
    assert registry.get_sample_value("citadel_server_csr_count") == 1
    assert registry.get_sample_value("citadel_server_success_cert_issuance_count") == 1


async def test_a_pod_of_the_registry_is_not_read_again(
    api: Api, signer: Callable[..., Any], background: Background, requests: list[str]
) -> None:
    background(signer(known={("shop", "web-5d9f-x"): pod()}).run())
    await api.create(POD_CERTIFICATE_REQUESTS, document(), "shop")
    assert (await answered(api))["conditions"][0]["type"] == "Issued"
    assert "GET /api/v1/namespaces/shop/pods/web-5d9f-x" not in requests


async def test_a_late_registry_denies_nobody(api: Api, signer: Callable[..., Any], background: Background) -> None:
    """The registry still has the pod of this name that was there before."""
    await api.create(PODS, POD, "shop")
    uid = (await api.get(PODS, "web-5d9f-x", "shop"))["metadata"]["uid"]
    background(signer(known={("shop", "web-5d9f-x"): pod()}).run())
    await api.create(POD_CERTIFICATE_REQUESTS, document(podUID=uid), "shop")
    assert (await answered(api))["conditions"][0]["type"] == "Issued"


async def test_a_refusal_says_why_and_is_counted(
    api: Api, signer: Callable[..., Any], background: Background, registry: CollectorRegistry
) -> None:
    await api.create(PODS, POD, "shop")
    background(signer().run())
    await api.create(POD_CERTIFICATE_REQUESTS, document(podUID="gone"), "shop")
    condition = (await answered(api))["conditions"][0]
    assert (condition["type"], condition["reason"]) == ("Denied", "PodReplaced")
    assert "another one by now" in condition["message"]
    assert registry.get_sample_value("weft_certificates_refused_total", {"reason": "PodReplaced"}) == 1


async def test_a_follower_leaves_the_leader_a_moment_and_then_answers_itself(
    api: Api, signer: Callable[..., Any], background: Background, requests: list[str], turn: Turn
) -> None:
    background(signer(leads=False, known={("shop", "web-5d9f-x"): pod()}).run())
    await api.create(POD_CERTIFICATE_REQUESTS, document(), "shop")
    await asyncio.sleep(0.05)
    assert ANSWER not in requests
    await turn(timedelta(seconds=1))
    assert (await answered(api))["conditions"][0]["type"] == "Issued"


async def test_a_follower_does_nothing_where_the_leader_has_answered(
    api: Api,
    signer: Callable[..., Any],
    background: Background,
    requests: list[str],
    turn: Turn,
) -> None:
    known = {("shop", "web-5d9f-x"): pod()}
    background(signer(leads=False, known=known).run())
    background(signer(known=known).run())
    await api.create(POD_CERTIFICATE_REQUESTS, document(), "shop")
    await answered(api)
    await turn(timedelta(minutes=5))
    assert requests.count(ANSWER) == 1


async def test_of_two_that_answer_at_once_the_first_stands(
    api: Api, signer: Callable[..., Any], background: Background, requests: list[str], registry: CollectorRegistry
) -> None:
    known = {("shop", "web-5d9f-x"): pod()}
    for _ in range(2):
        background(signer(known=known).run())
    await api.create(POD_CERTIFICATE_REQUESTS, document(), "shop")
    first = await answered(api)
    async with asyncio.timeout(2):
        while requests.count(ANSWER) < 2:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert await answered(api) == first
    assert registry.get_sample_value("weft_certificates_issued_total", {"delivery": "podCertificates"}) == 1


async def test_requests_that_were_there_before_are_answered_and_faults_are_tried_again(
    api: Api,
    signer: Callable[..., Any],
    background: Background,
    before: Before,
    turn: Turn,
    registry: CollectorRegistry,
) -> None:
    await api.create(POD_CERTIFICATE_REQUESTS, document(), "shop")
    failures = 2

    async def refuse(method: str, _path: str) -> None:
        nonlocal failures
        if method == "PATCH" and failures:
            failures -= 1
            raise Unavailable("no answer")

    before(refuse)
    background(signer(known={("shop", "web-5d9f-x"): pod()}).run())
    await asyncio.sleep(0.05)
    await turn(timedelta(seconds=10))
    assert (await answered(api))["conditions"][0]["type"] == "Issued"
    assert registry.get_sample_value("weft_certificate_failures_total", {"what": "podCertificate"}) == 2


async def test_a_deleted_request_is_forgotten(
    api: Api, signer: Callable[..., Any], background: Background, requests: list[str], turn: Turn
) -> None:
    """Its pod was not there yet, and then the kubelet gave up."""
    background(signer().run())
    await api.create(POD_CERTIFICATE_REQUESTS, document(), "shop")
    await asyncio.sleep(0.05)
    await api.delete(POD_CERTIFICATE_REQUESTS, "req", "shop")
    await turn(timedelta(minutes=5))
    assert requests.count("GET /api/v1/namespaces/shop/pods/web-5d9f-x") == 1
