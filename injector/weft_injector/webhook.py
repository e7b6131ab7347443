"""The injection webhook: an admission request for a pod, and its answer.

The decision is `patch.inject_pod`. What is here: what it has to be told (settings, the namespace's labels), what must
be there before the pod may start (its Secret), metrics under Istio's names, and an answer within the API server's
patience. A pod that ought to have a sidecar is never let through without one: what can't be found out in time refuses
it, and its controller tries again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any, Final, Protocol

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

from weft_core.model.mesh_config import MeshConfig
from weft_core.problems import Problem, Severity
from weft_injector.patch.decision import Action
from weft_injector.patch.inject import Injection, Surroundings, inject_pod
from weft_injector.patch.json_patch import difference
from weft_injector.settings import ClusterFeatures, InjectionSettings
from weft_kube.admission import AdmissionRequest, Verdict

ANSWER_WITHIN: Final = timedelta(seconds=8)
"""Below the 10 s that the API server waits."""
_EXPLAINED: Final = 5
"""Problems that a refusal spells out."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

NamespaceLabels = Callable[[str], Awaitable[Mapping[str, str] | None]]
"""A namespace's labels; None while it is not known."""


class Credentials(Protocol):
    """Keeps workloads' Secrets, where certificates are delivered by them."""

    async def ensure(self, namespace: str, service_account: str, workload: str, *, dry_run: bool) -> object:
        """Return once the Secret of `secret_name(workload, service_account)` is there; with `dry_run` write nothing."""


class TrustBundles(Protocol):
    """Keeps the ConfigMap with the mesh's roots in each namespace; without it no sidecar can start."""

    async def ensure(self, namespace: str, *, dry_run: bool) -> object:
        """Return once the namespace has it; with `dry_run` write nothing."""


class InjectionMetrics:
    """Istio's metrics of its injector, by its names."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str) -> Counter:
            return Counter(name, text, registry=registry)

        self.requests = counter("sidecar_injection_requests_total", "Pods about which the webhook was asked.")
        self.success = counter("sidecar_injection_success_total", "Pods that were given a proxy.")
        self.failure = counter("sidecar_injection_failure_total", "Pods that were refused, or could not be decided.")
        self.skip = counter("sidecar_injection_skip_total", "Pods that are none of this webhook's, or have a proxy.")
        self.seconds = Histogram(
            "sidecar_injection_time_seconds", "How long a pod waited for its answer.", registry=registry
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Injector:
    """Decides about pods. `inject` is what `weft_kube.admission.handler` asks.

    Settings, features and MeshConfig are asked for with each pod, so that a change is in force at once.
    """

    settings: Callable[[], InjectionSettings]
    features: Callable[[], ClusterFeatures]
    mesh: Callable[[], MeshConfig]
    namespace_labels: NamespaceLabels
    credentials: Credentials
    trust_bundles: TrustBundles
    metrics: InjectionMetrics
    answer_within: timedelta = ANSWER_WITHIN

    async def inject(self, request: AdmissionRequest) -> Verdict:
        """Answer for one pod. What is no pod on its way into the cluster passes as it is."""
        pod = request.object
        if request.kind != "Pod" or request.operation != "CREATE" or request.sub_resource or pod is None:
            return Verdict(allowed=True)
        self.metrics.requests.inc()
        start = monotonic()
        try:
            async with asyncio.timeout(self.answer_within.total_seconds()):
                verdict = await self._decided(request, dict(pod))
        except TimeoutError:
            verdict = self._undecided(request, f"no answer was found within {self.answer_within.total_seconds():g} s")
        except Exception as error:
            _log.exception("injection_failed", namespace=request.namespace, name=_name(request))
            verdict = self._undecided(request, f"{type(error).__name__}: {error}")
        self.metrics.seconds.observe(monotonic() - start)
        return verdict

    async def _decided(self, request: AdmissionRequest, pod: dict[str, Any]) -> Verdict:
        # Without a namespace the API would be asked about all of them. The API server always names one; others may ask.
        labels = await self.namespace_labels(request.namespace) if request.namespace else None
        if labels is None:
            return self._undecided(request, f"namespace {request.namespace} is not known here yet")
        surroundings = Surroundings(
            settings=self.settings(),
            features=self.features(),
            mesh=self.mesh(),
            namespace=request.namespace,
            namespace_labels=labels,
        )
        # A pod of some megabytes takes a good part of a second, in which streams and probes must not stand still.
        injection, patch = await asyncio.to_thread(_computed, pod, surroundings)
        if injection.pod is None:
            return self._refused(request, injection)
        if injection.decision.action in (Action.INJECT, Action.DONE):
            await self.trust_bundles.ensure(request.namespace, dry_run=request.dry_run)
        if (whose := injection.credentials) is not None:
            await self.credentials.ensure(
                request.namespace, whose.service_account, whose.workload, dry_run=request.dry_run
            )
        return self._allowed(request, injection, patch)

    def _allowed(self, request: AdmissionRequest, injection: Injection, patch: list[dict[str, Any]]) -> Verdict:
        decision = injection.decision
        injected = decision.action is Action.INJECT
        (self.metrics.success if injected else self.metrics.skip).inc()
        _log.info(
            "pod_injected" if injected else "pod_not_injected",
            namespace=request.namespace,
            name=_name(request),
            reason=decision.reason,
        )
        warnings = [_words(problem) for problem in injection.problems if problem.severity is Severity.WARNING]
        return Verdict(allowed=True, warnings=warnings, patch=patch)

    def _refused(self, request: AdmissionRequest, injection: Injection) -> Verdict:
        self.metrics.failure.inc()
        errors = [_words(problem) for problem in injection.errors]
        _log.warning("pod_refused", namespace=request.namespace, name=_name(request), problems=errors[:_EXPLAINED])
        more = [f"and {len(errors) - _EXPLAINED} more"] if len(errors) > _EXPLAINED else []
        message = "Weft can't add the sidecar: " + "; ".join([*errors[:_EXPLAINED], *more])
        return Verdict(allowed=False, message=message, code=422)

    def _undecided(self, request: AdmissionRequest, reason: str) -> Verdict:
        self.metrics.failure.inc()
        _log.warning("pod_undecided", namespace=request.namespace, name=_name(request), reason=reason)
        return Verdict(allowed=False, message=f"Weft can't add the sidecar now: {reason}; try again", code=503)


def _computed(pod: dict[str, Any], surroundings: Surroundings) -> tuple[Injection, list[dict[str, Any]]]:
    injection = inject_pod(pod, surroundings)
    return injection, [] if injection.pod is None else list(difference(pod, injection.pod))


def _words(problem: Problem) -> str:
    """A problem for kubectl, which shows the object by itself."""
    where = f"{problem.path}: " if problem.path else ""
    return f"{where}{problem.message}" + (f" ({problem.fix})" if problem.fix else "")


def _name(request: AdmissionRequest) -> str:
    """The pod's name, or the beginning of the one that it is going to have."""
    metadata = (request.object or {}).get("metadata")
    generated = metadata.get("generateName") if isinstance(metadata, Mapping) else ""
    return request.name or str(generated or "")
