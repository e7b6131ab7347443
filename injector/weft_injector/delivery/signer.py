"""The signer of pod certificates: follows the requests of `weft.dev/workload` and answers them.

Every replica can answer, because a pod that is being started must not wait for a new leader. The leader answers at
once; the others give it a moment's lead, and answer what is then still open. Should two answer all the same, the first
stands: the API server lets nobody change a request's status once it is issued, denied or failed.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec
import structlog

from weft_core.errors import CertificateFault
from weft_core.model.kubernetes import Pod
from weft_injector.ca.authority import LEAF_LIFETIME, Authority
from weft_injector.ca.leaf import Leaf
from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.names import SIGNER
from weft_injector.delivery.pod_certificates import (
    Issue,
    PodCertificateRequest,
    Refuse,
    Wait,
    decide,
    issue,
    issued_status,
    refused_status,
)
from weft_injector.delivery.watching import Copy
from weft_injector.renewal import RenewalPolicy
from weft_injector.renewer import Clock
from weft_kube.client import Api
from weft_kube.errors import ApiError, Invalid, NotFound
from weft_kube.listwatch import Key, Reflector
from weft_kube.resource import POD_CERTIFICATE_REQUESTS, PODS

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_AT_ONCE = 16
"""Requests that are being answered at the same time."""
_RETRY = 2.0
_LONGEST_RETRY = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerOptions:
    """How long certificates live (less where the pod asks for less), and a follower's patience in seconds."""

    lifetime: Callable[[], timedelta] = field(default=lambda: LEAF_LIFETIME)
    patience: float = 1.0
    policy: RenewalPolicy = field(default_factory=RenewalPolicy)


class PodCertificateSigner:
    """Answers the requests. `run` on every replica.

    `known_pod` looks a pod up where it costs nothing, in the registry. What it does not have, or not as the request
    says, is read from the API server: the registry may be late, and a refusal is for ever.
    """

    def __init__(
        self,
        api: Api,
        options: SignerOptions,
        *,
        authority: Callable[[], Authority],
        known_pod: Callable[[Key], Pod | None],
        leads: Callable[[], bool],
        clock: Clock,
        metrics: CertificateMetrics,
    ) -> None:
        self._api = api
        self._options = options
        self._authority = authority
        self._known_pod = known_pod
        self._leads = leads
        self._clock = clock
        self._metrics = metrics
        self._requests: Copy[PodCertificateRequest] = Copy()
        self._answering: set[Key] = set()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Answer for ever."""
        reflector = Reflector(
            self._api,
            POD_CERTIFICATE_REQUESTS,
            PodCertificateRequest,
            self._requests,
            fields=f"spec.signerName={SIGNER}",
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(reflector.run(), name="watch podcertificaterequests")
            while True:
                for key in await self._requests.changes():
                    if self._open(key) and key not in self._answering:
                        self._answering.add(key)
                        tasks.create_task(self._attend(key), name=f"sign {'/'.join(key)}")

    def _open(self, key: Key) -> PodCertificateRequest | None:
        request = self._requests.rows.get(key)
        return None if request is None or request.answered else request

    async def _attend(self, key: Key) -> None:
        """Stay with a request until it is answered, by whomever, or gone."""
        try:
            if not self._leads():
                await self._clock.sleep(self._options.patience)
            wait = _RETRY
            while request := self._open(key):
                if await self._try(request):
                    return
                await self._clock.sleep(wait)
                wait = min(wait * 2, _LONGEST_RETRY)
        finally:
            self._answering.discard(key)

    async def _try(self, request: PodCertificateRequest) -> bool:
        """Answer once; False where it is to be tried again."""
        async with self._slots:
            try:
                return await self._answer(request)
            except Exception as fault:  # one request, whatever is in it, must not stop the answers to all others
                known = isinstance(fault, ApiError | CertificateFault)
                self._metrics.failed.labels("podCertificate").inc()
                _log.warning("pod_certificate_not_answered", reason=str(fault), exc_info=not known, **_fields(request))
                return False

    async def _answer(self, request: PodCertificateRequest) -> bool:
        authority = self._authority()
        decision = await self._decide(request, authority.trust_domain)
        match decision:
            case Wait(reason=reason):
                _log.debug("pod_certificate_waits", reason=reason, **_fields(request))
                return False
            case Refuse():
                if await self._write(request, refused_status(decision, now=self._clock.now())):
                    self._metrics.asked()
                    self._metrics.refused.labels(decision.reason).inc()
                    _log.warning("pod_certificate_refused", reason=decision.message, **_fields(request))
            case Issue():
                leaf: Leaf = await asyncio.to_thread(issue, decision, authority, now=self._clock.now())
                status = issued_status(leaf, self._options.policy, random.random())  # noqa: S311 - spreads load
                if await self._write(request, status):
                    self._metrics.asked()
                    self._metrics.answered("podCertificates")
                    _log.info(
                        "certificate_issued",
                        identity=str(leaf.identity),
                        workload=decision.dns_name,
                        serial=f"{leaf.serial:x}",
                        expires=leaf.not_after.isoformat(),
                        **_fields(request),
                    )
        return True

    async def _decide(self, request: PodCertificateRequest, trust_domain: str) -> Issue | Refuse | Wait:
        key = (request.namespace, request.spec.pod_name)
        lifetime = self._options.lifetime()
        decision = decide(request, self._known_pod(key), trust_domain=trust_domain, lifetime=lifetime)
        if isinstance(decision, Issue):
            return decision
        found = await self._api.find(PODS, request.spec.pod_name, request.namespace)
        pod = None if found is None else msgspec.convert(found, Pod)
        return decide(request, pod, trust_domain=trust_domain, lifetime=lifetime)

    async def _write(self, request: PodCertificateRequest, status: dict[str, object]) -> bool:
        """Write the answer; False where there is one already, or nobody asks any more."""
        try:
            await self._api.patch(
                POD_CERTIFICATE_REQUESTS,
                request.name,
                {"metadata": {"uid": request.metadata.uid}, "status": status},
                request.namespace,
                subresource="status",
            )
        except NotFound:
            return False
        except Invalid:
            now = await self._api.find(POD_CERTIFICATE_REQUESTS, request.name, request.namespace)
            if now is None or (now.get("status") or {}).get("conditions"):
                return False
            raise
        return True


def _fields(request: PodCertificateRequest) -> dict[str, str]:
    return {"request": request.name, "namespace": request.namespace, "pod": request.spec.pod_name}
