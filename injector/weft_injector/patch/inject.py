"""A pod and what it becomes: all parts of the patch, in order."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from weft_core.model.frozen import EMPTY
from weft_core.model.mesh_config import InboundMode, MeshConfig
from weft_core.problems import Code, ObjectRef, Problem, Severity, by_severity
from weft_core.proxy import ProxyKind
from weft_injector.bootstrap.probes import Probe
from weft_injector.patch.annotations import SKIPPED, STATUS, Annotations
from weft_injector.patch.conflicts import conflicts
from weft_injector.patch.decision import Action, Decision, decide, unread_words
from weft_injector.patch.earlier import drop_redirect_and_volume
from weft_injector.patch.metadata import added_labels, default_container, scraping, status
from weft_injector.patch.options import read_options
from weft_injector.patch.overlay import merged_resources, overlaid
from weft_injector.patch.placement import own_proxy, place_gateway, place_sidecar
from weft_injector.patch.pod import Document, Pod, writable
from weft_injector.patch.probes import ProbeRewriter
from weft_injector.patch.redirect import redirect_container
from weft_injector.patch.second_look import SecondLook
from weft_injector.patch.security import ProxyUser
from weft_injector.patch.sidecar import LONGEST_ARGUMENT, Identity, image_fields, proxy_container, too_long
from weft_injector.patch.volumes import certificate_volume, pod_certificate, secret
from weft_injector.patch.workload import CANONICAL_NAME, workload_of
from weft_injector.settings import ClusterFeatures, InjectionSettings

_NO_FEATURES: Final = ClusterFeatures()
_DEFAULTS: Final = MeshConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What decides about a pod besides the pod itself."""

    settings: InjectionSettings
    features: ClusterFeatures = _NO_FEATURES
    mesh: MeshConfig = _DEFAULTS
    namespace: str
    namespace_labels: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    workload: str = ""
    """What the pod is a template of, where no owner of the pod can say so."""

    @property
    def localhost(self) -> bool:
        """Whether inbound traffic is led to loopback, where applications of such a mesh may listen alone."""
        return self.mesh.inbound_traffic_policy.mode is InboundMode.LOCALHOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Whose certificate lies in a Secret that must exist before the pod can start."""

    workload: str
    service_account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """What became of a pod. `pod` is the document as it is to be stored; None where the pod is refused."""

    decision: Decision
    pod: Document | None
    problems: tuple[Problem, ...] = ()
    credentials: Credentials | None = None

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Why the pod is refused."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)


def inject_pod(document: Document, surroundings: Surroundings) -> Injection:
    """Decide about a pod and give it its proxy. `document` stays as it is."""
    ref = _ref(document, surroundings.namespace)
    pod = Pod.read(document, ref)
    if isinstance(pod, Problem):
        return _refused(Decision(action=Action.SKIP, reason=pod.message), (pod,))
    annotations = Annotations.of(pod.metadata.annotations, ref)
    decision = decide(
        pod,
        annotations,
        surroundings.settings,
        namespace=surroundings.namespace,
        namespace_labels=surroundings.namespace_labels,
    )
    match decision.action:
        case Action.SKIP:
            return Injection(decision=decision, pod=document)
        case Action.DONE:
            return _looked_at_again(document, pod, annotations, decision, surroundings)
        case Action.SKIP_ALOUD:
            annotated = _annotated(document, {SKIPPED: decision.reason})
            return Injection(decision=decision, pod=annotated, problems=(_skipped(ref, decision.reason),))
        case Action.INJECT:
            return _Patch(document, pod, annotations, decision, surroundings).apply()


class _Patch:
    """One pod on its way to have a proxy."""

    def __init__(
        self, document: Document, pod: Pod, annotations: Annotations, decision: Decision, surroundings: Surroundings
    ) -> None:
        self._pod = pod
        self._annotations = annotations
        self._decision = decision
        self._settings = surroundings.settings
        self._localhost = surroundings.localhost
        self._pod_certificates = self._settings.pod_certificates(surroundings.features)
        options = read_options(
            annotations, self._settings, surroundings.features, surroundings.mesh.default_config, pod.spec.resources
        )
        user = ProxyUser.of(pod)
        self._options = replace(options, capture=replace(options.capture, proxy_uid=user.uid, proxy_gid=user.gid))
        self._workload = surroundings.workload or workload_of(pod)
        self._result, self._spec = writable(document)

    @property
    def _sidecar(self) -> bool:
        return self._decision.kind is ProxyKind.SIDECAR

    def apply(self) -> Injection:
        problems = [
            *conflicts(self._pod, self._result, self._annotations, self._decision.kind),
            *self._annotations.problems,
            *unread_words(self._pod, self._annotations.pod),
        ]
        if any(problem.severity is Severity.ERROR for problem in problems):
            return _refused(self._decision, problems)
        probes = ProbeRewriter(ref=self._annotations.pod, early=self._early())
        if self._sidecar and self._options.rewrite_probes:
            probes.rewrite(self._pod, self._spec)
        problems += probes.problems
        labels = added_labels(self._pod, self._workload, self._decision.kind, self._settings.revision)
        drop_redirect_and_volume(self._spec)
        proxy = self._proxy(self._identity(labels, probes.served))
        if proxy is None:
            return _refused(self._decision, [*problems, too_long(self._annotations.pod)])
        self._place(proxy)
        self._add_volumes_and_secrets()
        self._describe(labels)
        return Injection(
            decision=self._decision,
            pod=self._result,
            problems=by_severity(problems),
            credentials=None
            if self._pod_certificates
            else Credentials(workload=self._workload, service_account=self._pod.service_account),
        )

    def _early(self) -> frozenset[str]:
        """The names of init containers that start before the proxy."""
        names = frozenset(container.name for container in self._pod.spec.init_containers)
        return names & self._options.before_proxy if self._options.native else names

    def _identity(self, labels: Mapping[str, str], probes: list[Probe]) -> Identity:
        return Identity(
            kind=self._decision.kind,
            workload=self._workload,
            service_account=self._pod.service_account,
            canonical_name=labels[CANONICAL_NAME],
            labels={**self._pod.metadata.labels, **labels},
            grace_seconds=self._pod.spec.termination_grace_period_seconds,
            probes=probes,
            localhost=self._localhost,
        )

    def _proxy(self, identity: Identity) -> Document | None:
        """The proxy's container, under the author's own; None where its bootstrap is too long for an argument."""
        own, options = own_proxy(self._spec), self._options
        if own:
            options = replace(options, resources=merged_resources(options.resources, own))
        container = proxy_container(identity, options, self._settings)
        if len(container["args"][1]) > LONGEST_ARGUMENT:
            return None
        return overlaid(container, own) if own else container

    def _place(self, proxy: Document) -> None:
        if not self._sidecar:
            place_gateway(self._spec, proxy)
            return
        redirect = redirect_container(self._options, image_fields(self._options, self._settings))
        place_sidecar(self._spec, proxy, redirect, native=self._options.native, early=self._early())

    def _add_volumes_and_secrets(self) -> None:
        if self._pod_certificates:
            source = pod_certificate(self._settings.certificates.lifetime)
        else:
            source = secret(self._workload, self._pod.service_account)
        pulling = {found.name for found in self._pod.spec.image_pull_secrets}
        self._add("volumes", certificate_volume(source), *map(dict, self._user_volumes()))
        self._add("imagePullSecrets", *({"name": n} for n in self._settings.image_pull_secrets if n not in pulling))

    def _user_volumes(self) -> list[Mapping[str, Any]]:
        present = {volume.name for volume in self._pod.spec.volumes}
        return [volume for volume in self._options.user_volumes.volumes if volume["name"] not in present]

    def _add(self, field: str, *values: Document) -> None:
        if values:
            self._spec[field] = [*(self._spec.get(field) or []), *values]

    def _describe(self, labels: Mapping[str, str]) -> None:
        """Write the pod's labels and annotations."""
        metadata = self._result["metadata"] = dict(self._result.get("metadata") or {})
        volumes = [volume["name"] for volume in self._user_volumes()]
        added = {
            STATUS: status(self._decision.kind, self._settings, native=self._options.native, volumes=volumes),
            **default_container(self._pod),
            **(scraping(self._pod) if self._options.scraped else {}),
        }
        metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **added}
        metadata["annotations"].pop(SKIPPED, None)


def _looked_at_again(
    document: Document, pod: Pod, annotations: Annotations, decision: Decision, surroundings: Surroundings
) -> Injection:
    """A pod with its sidecar, after another webhook may have added containers to it."""
    rewrite_probes, localhost = surroundings.settings.rewrite_probes, surroundings.localhost
    again = SecondLook.at(document, pod, annotations, rewrite_probes=rewrite_probes, localhost=localhost)
    if any(problem.severity is Severity.ERROR for problem in again.problems):
        return _refused(decision, again.problems)
    problems = by_severity(again.problems)
    return Injection(decision=decision, pod=again.document, problems=problems, credentials=_mounted(document, pod))


def _mounted(document: Document, pod: Pod) -> Credentials | None:
    """Whose Secret a pod waits for that was given its sidecar elsewhere, by `weft inject` for one."""
    found = Credentials(workload=workload_of(pod), service_account=pod.service_account)
    expected = certificate_volume(secret(found.workload, found.service_account))
    return found if expected in (document["spec"].get("volumes") or []) else None


def _annotated(document: Document, added: Mapping[str, str]) -> Document:
    """A copy with annotations; what is not changed is shared."""
    metadata = document.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), **added}
    return {**document, "metadata": {**metadata, "annotations": annotations}}


def _ref(document: Mapping[str, Any], namespace: str) -> ObjectRef:
    metadata = document.get("metadata")
    found = metadata if isinstance(metadata, Mapping) else {}
    name = found.get("name") or found.get("generateName")
    return ObjectRef(kind="Pod", namespace=namespace, name=name if isinstance(name, str) else "")


def _refused(decision: Decision, problems: tuple[Problem, ...] | list[Problem]) -> Injection:
    return Injection(decision=decision, pod=None, problems=by_severity(problems))


def _skipped(ref: ObjectRef, reason: str) -> Problem:
    return Problem(
        code=Code.SCHEMA_WARNING,
        severity=Severity.WARNING,
        object=ref,
        path="spec",
        message=f"no sidecar was added: {reason}",
        fix='label the pod weft.dev/inject: "false" if it is to have none',
    )
