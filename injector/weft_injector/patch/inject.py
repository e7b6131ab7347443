"""A pod and what it becomes: all parts of the patch, in order."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from weft_core.injection import REVISION_LABEL, SIDECAR_CONTAINER
from weft_core.model.frozen import EMPTY
from weft_core.model.mesh_config import InboundMode, MeshConfig
from weft_core.names import METRICS_PORT
from weft_core.offline import TEMPLATES_ANNOTATION
from weft_core.problems import Code, ObjectRef, Problem, Severity, by_severity
from weft_core.proxy import ProxyKind
from weft_core.view.endpoints import TLS_MODE_LABEL
from weft_injector.bootstrap.probes import Probe
from weft_injector.patch.annotations import SKIPPED, STATUS, Annotations
from weft_injector.patch.decision import Action, Decision, decide, unread_words
from weft_injector.patch.earlier import drop_redirect_and_volume, is_proxy, is_redirect, is_volume
from weft_injector.patch.options import read_options
from weft_injector.patch.overlay import (
    merged_resources,
    overlaid,
    overlay_problems,
    redirect_overlaid,
    redirect_problems,
)
from weft_injector.patch.pod import Document, Pod, writable
from weft_injector.patch.probes import ProbeRewriter
from weft_injector.patch.redirect import CONTAINER as REDIRECT_CONTAINER
from weft_injector.patch.redirect import ISTIO_CONTAINER, redirect_container
from weft_injector.patch.second_look import SecondLook
from weft_injector.patch.security import ProxyUser, bypassing
from weft_injector.patch.sidecar import LONGEST_ARGUMENT, Identity, image_fields, proxy_container, too_long
from weft_injector.patch.volumes import VOLUME, certificate_volume, pod_certificate, secret
from weft_injector.patch.workload import (
    CANONICAL_NAME,
    CANONICAL_REVISION,
    canonical_name,
    canonical_revision,
    workload_of,
)
from weft_injector.settings import ClusterFeatures, InjectionSettings

_DEFAULT_CONTAINER: Final = ("kubectl.kubernetes.io/default-container", "kubectl.kubernetes.io/default-logs-container")
_SCRAPE: Final = "prometheus.io/"
_SCRAPE_LABEL: Final = "prometheus_io_"
"""What Prometheus' discovery makes of them, and of `prometheus.io.scrape` as well."""
_NO_LABEL: Final = re.compile("[^A-Za-z0-9_]")
_LOW_PORTS: Final = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}
"""Kubernetes counts it as safe, and the Pod Security Standard `restricted` allows it."""
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
        problems = [*self._conflicts(), *self._annotations.problems, *unread_words(self._pod, self._annotations.pod)]
        if any(problem.severity is Severity.ERROR for problem in problems):
            return _refused(self._decision, problems)
        probes = ProbeRewriter(ref=self._annotations.pod, early=self._early())
        if self._sidecar and self._options.rewrite_probes:
            probes.rewrite(self._pod, self._spec)
        problems += probes.problems
        labels = self._labels()
        drop_redirect_and_volume(self._spec)
        own = self._take_own_container()
        options = self._options
        if own:
            options = replace(options, resources=merged_resources(options.resources, own))
        container = proxy_container(self._identity(labels, probes.served), options, self._settings)
        if len(container["args"][1]) > LONGEST_ARGUMENT:
            return _refused(self._decision, [*problems, too_long(self._annotations.pod)])
        self._place(overlaid(container, own) if own else container)
        self._add("volumes", certificate_volume(self._credentials_source()))
        for volume in self._user_volumes():
            self._add("volumes", dict(volume))
        for name in self._settings.image_pull_secrets:
            if name not in {secret.name for secret in self._pod.spec.image_pull_secrets}:
                self._add("imagePullSecrets", {"name": name})
        metadata = self._result["metadata"] = dict(self._result.get("metadata") or {})
        metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **self._new_annotations()}
        metadata["annotations"].pop(SKIPPED, None)
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

    def _conflicts(self) -> list[Problem]:
        """What of the pod would undo its protection, or has the names that the injector needs."""
        ref, spec = self._annotations.pod, self._pod.spec
        problems = list(bypassing(self._pod, ref)) if self._sidecar else []
        alone = {container.name for container in spec.containers} == {SIDECAR_CONTAINER}
        if self._sidecar and alone and not self._annotations.refuses(TEMPLATES_ANNOTATION):
            problems.append(_nothing_but_the_proxy(ref))
        for index, volume in enumerate(spec.volumes):
            if volume.name == VOLUME and not is_volume(self._result["spec"]["volumes"][index]):
                problems.append(_taken(ref, f"spec.volumes[{index}].name", VOLUME))
        for path, containers in (("containers", spec.containers), ("initContainers", spec.init_containers)):
            for index, container in enumerate(containers):
                where = f"spec.{path}[{index}]"
                if container.name == REDIRECT_CONTAINER and not is_redirect(container):
                    problems.append(_taken(ref, f"{where}.name", REDIRECT_CONTAINER))
                if container.name == SIDECAR_CONTAINER and not is_proxy(container):
                    problems += overlay_problems(container, ref, where)
                if path == "initContainers" and self._sidecar and container.name == ISTIO_CONTAINER:
                    problems += redirect_problems(container, ref, where)
        return problems

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

    def _take_own_container(self) -> Document | None:
        """The pod's own container for the proxy, which is taken out, save for a gateway's: that keeps its place."""
        for name in ("containers", "initContainers"):
            members = self._spec.get(name) or []
            for index, member in enumerate(members):
                if member["name"] == SIDECAR_CONTAINER:
                    if self._sidecar:
                        del members[index]
                    return dict(member)
        return None

    def _place(self, container: Document) -> None:
        """A native sidecar goes before all init containers, which then have a network; a plain one before the others.

        What is to start before the proxy comes before the redirect, too: with it alone it would have no network.
        """
        if not self._sidecar:
            containers = self._spec["containers"]
            names = [member["name"] for member in containers]
            at = names.index(SIDECAR_CONTAINER) if SIDECAR_CONTAINER in names else len(names)
            containers[at : at + 1] = [container]
            self._open_low_ports()
            return
        redirect = redirect_container(self._options, image_fields(self._options, self._settings))
        early = self._early()
        members = []
        for member in self._spec.get("initContainers") or []:
            if member["name"] == ISTIO_CONTAINER:
                redirect = redirect_overlaid(redirect, member)
            else:
                members.append(member)
        before = [member for member in members if member["name"] in early]
        if self._options.native:
            after = [member for member in members if member["name"] not in early]
            self._spec["initContainers"] = [*before, redirect, container, *after]
        else:
            self._spec["initContainers"] = [*before, redirect]
            self._spec["containers"] = [container, *self._spec["containers"]]

    def _open_low_ports(self) -> None:
        """A gateway listens on 80 and 443 without a capability, unless its author says otherwise."""
        if all(parameter.name != _LOW_PORTS["name"] for parameter in self._pod.spec.security_context.sysctls):
            context = dict(self._spec.get("securityContext") or {})
            context["sysctls"] = [*(context.get("sysctls") or []), dict(_LOW_PORTS)]
            self._spec["securityContext"] = context

    def _user_volumes(self) -> list[Mapping[str, Any]]:
        present = {volume.name for volume in self._pod.spec.volumes}
        return [volume for volume in self._options.user_volumes.volumes if volume["name"] not in present]

    def _credentials_source(self) -> Document:
        if self._pod_certificates:
            return pod_certificate(self._settings.certificates.lifetime)
        return secret(self._workload, self._pod.service_account)

    def _add(self, name: str, value: Document) -> None:
        self._spec[name] = [*(self._spec.get(name) or []), value]

    def _labels(self) -> dict[str, str]:
        """Labels that the mesh, metrics and tracing go by. Of sidecars alone it is said that they take mutual TLS."""
        tls = {TLS_MODE_LABEL: self._pod.metadata.labels.get(TLS_MODE_LABEL) or "istio"} if self._sidecar else {}
        return {
            **tls,
            CANONICAL_NAME: canonical_name(self._pod, self._workload),
            CANONICAL_REVISION: canonical_revision(self._pod),
            REVISION_LABEL: self._settings.revision,
        }

    def _new_annotations(self) -> dict[str, str]:
        present = self._pod.metadata.annotations
        added = {STATUS: self._status()}
        applications = [found.name for found in self._pod.spec.containers if found.name != SIDECAR_CONTAINER]
        if applications:
            added |= {name: applications[0] for name in _DEFAULT_CONTAINER if name not in present}
        # An application with metrics of its own stays what Prometheus scrapes.
        if self._options.scraped and not any(_NO_LABEL.sub("_", name).startswith(_SCRAPE_LABEL) for name in present):
            added |= {
                f"{_SCRAPE}scrape": "true",
                f"{_SCRAPE}port": str(METRICS_PORT),
                f"{_SCRAPE}path": "/stats/prometheus",
            }
        return added

    def _status(self) -> str:
        """Istio's form of what was added."""
        native = self._sidecar and self._options.native
        before = [REDIRECT_CONTAINER] if self._sidecar else []
        status = {
            "initContainers": [*before, SIDECAR_CONTAINER] if native else before,
            "containers": [] if native else [SIDECAR_CONTAINER],
            "volumes": [VOLUME, *(volume["name"] for volume in self._user_volumes())],
            "imagePullSecrets": list(self._settings.image_pull_secrets),
            "revision": self._settings.revision,
        }
        return json.dumps(status, separators=(",", ":"))


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


def _taken(ref: ObjectRef, path: str, name: str) -> Problem:
    return Problem(
        code=Code.SCHEMA_VALIDATION_ERROR,
        severity=Severity.ERROR,
        object=ref,
        path=path,
        message=f"the injector adds something named {name} itself",
        fix="choose another name",
    )


def _nothing_but_the_proxy(ref: ObjectRef) -> Problem:
    return Problem(
        code=Code.SCHEMA_VALIDATION_ERROR,
        severity=Severity.ERROR,
        object=ref,
        path="spec.containers",
        message="a sidecar needs an application beside it, and the pod has the proxy alone",
        fix=f"annotate the pod {TEMPLATES_ANNOTATION}: gateway if it is to be a gateway",
    )
