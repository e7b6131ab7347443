"""Pod certificates: what to answer a PodCertificateRequest of our signer. Pure; `signer` reads and writes.

The kubelet makes a key, and asks for a certificate for one pod. Before the request is stored, the API server has
checked that it comes from the pod's own node and names the pod's service account (NodeRestriction), and that it is
signed with the key. All of this is checked again: a request may also come from an administrator, or from an API server
without NodeRestriction.
https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#pod-certificate-requests

An answer is final, and kubelets take "Denied" and "Failed" for the rest of the pod's life, renewals included. So these
are for what the request itself has wrong; whatever may yet get better is waited for.
"""

import binascii
from base64 import b64decode
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from msgspec import Struct, field

from weft_core.errors import CertificateFault
from weft_core.model.kubernetes import Condition, KubernetesObject, Pod
from weft_core.spiffe import InvalidSpiffeIdError, SpiffeId
from weft_core.view.proxies import owner_name
from weft_injector.ca.authority import Authority, workload_dns_name
from weft_injector.ca.keys import PublicKey, usable_public_key
from weft_injector.ca.leaf import Leaf
from weft_injector.ca.profile import CLOCK_SKEW
from weft_injector.delivery.names import SIGNER
from weft_injector.delivery.times import timestamp
from weft_injector.renewal import RenewalPolicy

SHORTEST = timedelta(hours=1)
"""The API server's bound for what a certificate says, from its first second to its last."""
_REFRESH_MARGIN = timedelta(minutes=10)
"""`beginRefreshAt` must be this far from both ends."""
_FINISHED = frozenset({"Succeeded", "Failed"})


class RequestSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a PodCertificateRequest asks for; `stub_pkcs10_request` is base64 of DER."""

    signer_name: str = ""
    pod_name: str = ""
    pod_uid: str = field(default="", name="podUID")
    service_account_name: str = ""
    node_name: str = ""
    max_expiration_seconds: int = 86_400
    stub_pkcs10_request: str = field(default="", name="stubPKCS10Request")


class RequestStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """Empty until a signer answers; then it never changes again."""

    conditions: tuple[Condition, ...] = ()


class PodCertificateRequest(KubernetesObject, frozen=True, kw_only=True, rename="camel"):
    """A kubelet's request for one pod's certificate (certificates.k8s.io/v1)."""

    spec: RequestSpec = RequestSpec()
    status: RequestStatus = RequestStatus()

    @property
    def answered(self) -> bool:
        """Whether a signer has answered, one way or another."""
        return bool(self.status.conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """Issue a certificate for `public_key`, at most for `lifetime` from its notBefore to its notAfter."""

    identity: SpiffeId
    dns_name: str
    public_key: PublicKey
    lifetime: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Refuse for ever. `condition` is Denied (may not) or Failed (cannot); the kubelet shows both texts on the pod."""

    condition: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing to answer now. A request that stays without answer is abandoned by its kubelet, which files another."""

    reason: str


def decide(
    request: PodCertificateRequest, pod: Pod | None, *, trust_domain: str, lifetime: timedelta
) -> Issue | Refuse | Wait:
    """What to do about a request, `pod` being the pod of its name as the API server has it now."""
    spec = request.spec
    if spec.signer_name != SIGNER or request.answered:
        return Wait(reason="not for us, or answered already")
    if pod is None:
        return Wait(reason="the pod does not exist, or no longer")
    if refusal := _mismatch(request, pod):
        return refusal
    if not pod.spec.node_name:
        return Wait(reason="the pod has no node yet, so none can ask for it")
    if pod.status.phase in _FINISHED:
        return Wait(reason="the pod has ended")
    try:
        identity = SpiffeId(
            trust_domain=trust_domain, namespace=request.namespace, service_account=spec.service_account_name
        )
        public_key = _public_key(spec.stub_pkcs10_request)
    except (CertificateFault, InvalidSpiffeIdError) as fault:
        return Refuse(condition="Failed", reason="UnusableRequest", message=str(fault))
    return Issue(
        identity=identity,
        dns_name=workload_dns_name(owner_name(pod), request.namespace),
        public_key=public_key,
        lifetime=max(SHORTEST, min(lifetime, timedelta(seconds=spec.max_expiration_seconds))),
    )


def issue(decision: Issue, authority: Authority, *, now: datetime) -> Leaf:
    """Sign. Raises CertificateFault where the authority cannot, or only for less than the API server takes."""
    now = now.replace(microsecond=0)
    leaf = authority.issue(
        decision.identity,
        now=now,
        lifetime=decision.lifetime - CLOCK_SKEW,  # the API server counts from notBefore
        dns_names=(decision.dns_name,),
        public_key=decision.public_key,
    )
    if leaf.not_after - leaf.not_before < SHORTEST:
        raise CertificateFault(f"the authority expires at {authority.expires_at:%Y-%m-%dT%H:%M:%SZ}; replace it")
    return leaf


def issued_status(leaf: Leaf, policy: RenewalPolicy, chance: float) -> dict[str, Any]:
    """`status` with the certificate. The kubelet asks anew at `beginRefreshAt`, a few minutes more or less."""
    earliest, latest = leaf.not_before + _REFRESH_MARGIN, leaf.not_after - _REFRESH_MARGIN
    refresh = min(max(policy.due_at(leaf, chance), earliest), latest)
    return {
        "certificateChain": leaf.chain_pem.decode(),
        "notBefore": timestamp(leaf.not_before),
        "notAfter": timestamp(leaf.not_after),
        "beginRefreshAt": timestamp(refresh),
        "conditions": [
            _condition("Issued", "Issued", f"issued to {leaf.identity}, serial {leaf.serial:x}", leaf.issued_at)
        ],
    }


def refused_status(refusal: Refuse, *, now: datetime) -> dict[str, Any]:
    """`status` without a certificate, and why."""
    return {"conditions": [_condition(refusal.condition, refusal.reason, refusal.message, now)]}


def _mismatch(request: PodCertificateRequest, pod: Pod) -> Refuse | None:
    """A pod never changes its uid, service account or node: what does not fit now never will."""
    spec, where = request.spec, f"{request.namespace}/{pod.name}"
    if spec.pod_uid != pod.metadata.uid:
        reason, message = "PodReplaced", f"the pod {where} is another one by now, its uid is {pod.metadata.uid}"
    elif spec.service_account_name != pod.service_account:
        reason = "ServiceAccountMismatch"
        message = f"the pod {where} runs as {pod.service_account}, not as {spec.service_account_name}"
    elif pod.spec.node_name and spec.node_name != pod.spec.node_name:
        reason, message = "NodeMismatch", f"the pod {where} runs on {pod.spec.node_name}, not on {spec.node_name}"
    else:
        return None
    return Refuse(condition="Denied", reason=reason, message=message)


def _public_key(encoded: str) -> PublicKey:
    """The key of a PKCS #10 request that is signed with it. Raises CertificateFault."""
    if not encoded:
        raise CertificateFault("the request has no stubPKCS10Request; Kubernetes 1.37 and later send one")
    try:
        request = x509.load_der_x509_csr(b64decode(encoded, validate=True))
        signed = request.is_signature_valid
        key = request.public_key()
    except (binascii.Error, ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise CertificateFault(f"stubPKCS10Request cannot be read: {error}") from error
    if not signed:
        raise CertificateFault("stubPKCS10Request is not signed with its own key")
    return usable_public_key(key, "stubPKCS10Request (choose keyType ECDSAP256 in the volume)")


def _condition(kind: str, reason: str, message: str, now: datetime) -> dict[str, str]:
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": timestamp(now),
    }
