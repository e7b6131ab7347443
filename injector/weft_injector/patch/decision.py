"""Whether a pod gets a proxy from this control plane, and which; the rule itself is `weft_core.injection`.

What is added here can only be seen at the pod itself: that it has its proxy already, or that of another mesh, runs
Windows, or asks for a template that there is not.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from weft_core.injection import INJECT, ISTIO_INJECT, SIDECAR_CONTAINER, Choice, choose, is_word
from weft_core.model.mistake import describe, one_line
from weft_core.offline import TEMPLATES_ANNOTATION
from weft_core.problems import Code, ObjectRef, Problem, Severity
from weft_core.proxy import ProxyKind
from weft_injector.patch.annotations import BOOLEAN_FIX, STATUS, Annotations
from weft_injector.patch.earlier import is_complete, is_proxy
from weft_injector.patch.pod import Pod
from weft_injector.settings import InjectionSettings

_TEMPLATES: Final = {"sidecar": ProxyKind.SIDECAR, "gateway": ProxyKind.GATEWAY}
WINDOWS: Final = "the pod runs Windows, for which there is no sidecar"
STATIC: Final = "the pod is the mirror of a static one, which its node runs as it stands in a file there"
_OTHER_MESHES: Final = {
    **dict.fromkeys(("linkerd-proxy", "linkerd-init"), "Linkerd"),
    **dict.fromkeys(("kuma-sidecar", "kuma-init"), "Kuma"),
    "consul-dataplane": "Consul",
}
_ISTIO_ARGUMENT: Final = "proxy"
"""The first of the agent's in Istio's sidecars and gateways."""
_ISTIO_VOLUME: Final = "istio-envoy"
_MIRROR: Final = "kubernetes.io/config.mirror"
_OS_LABELS: Final = ("kubernetes.io/os", "beta.kubernetes.io/os")


class Action(StrEnum):
    """What is done with a pod."""

    INJECT = "inject"
    SKIP = "skip"
    """Nobody asks for a proxy, or another revision's control plane adds it."""
    SKIP_ALOUD = "skip_aloud"
    """A proxy is asked for, and can't be: the pod says so in an annotation."""
    DONE = "done"
    """It has its proxy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is done with a pod, and why."""

    action: Action
    reason: str
    kind: ProxyKind = ProxyKind.SIDECAR


def decide(
    pod: Pod,
    annotations: Annotations,
    settings: InjectionSettings,
    *,
    namespace: str,
    namespace_labels: Mapping[str, str],
) -> Decision:
    """Decide; a template that there is not is noted in `annotations` as an error."""
    choice = choose(
        namespace=namespace,
        namespace_labels=namespace_labels,
        labels=pod.metadata.labels,
        annotations=pod.metadata.annotations,
        host_network=pod.spec.host_network,
        istio_labels=settings.istio_labels,
        istio_pod_labels=settings.istio_pod_labels,
        own_namespace=settings.namespace,
    )
    if not choice.wanted:
        return Decision(action=Action.SKIP, reason=choice.reason)
    if choice.revision != settings.revision:
        return Decision(action=Action.SKIP, reason=f"revision {choice.revision} is to add the sidecar")
    if is_complete(pod) or (is_injected(pod) and any(map(is_proxy, pod.all_containers()))):
        return Decision(action=Action.DONE, reason="the pod has its sidecar")
    if reason := _obstacle(pod, choice):
        return Decision(action=Action.SKIP_ALOUD, reason=reason)
    return Decision(action=Action.INJECT, reason=choice.reason, kind=_kind(annotations))


def unread_words(pod: Pod, ref: ObjectRef) -> Iterator[Problem]:
    """A warning for each word about injection that says nothing: its author may believe that it said No."""
    for field, found in (("labels", pod.metadata.labels), ("annotations", pod.metadata.annotations)):
        for name in (INJECT, ISTIO_INJECT):
            if (value := found.get(name)) and not is_word(value):
                yield Problem(
                    code=Code.SCHEMA_WARNING,
                    severity=Severity.WARNING,
                    object=ref,
                    path=f"metadata.{field}[{name}]",
                    message=one_line(f"`{describe(value)}` says nothing; what else asks for a sidecar decides"),
                    fix=BOOLEAN_FIX,
                )


def is_injected(pod: Pod) -> bool:
    """Whether the pod's status annotation is true: all containers that it lists are there, the proxy among them."""
    text = pod.metadata.annotations.get(STATUS)
    if text is None:
        return False
    try:
        status: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(status, dict):
        return False
    listed = [name for key in ("containers", "initContainers") for name in _names(status.get(key))]
    present = {container.name for container in pod.all_containers()}
    return SIDECAR_CONTAINER in listed and present.issuperset(listed)


def _names(value: object) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _obstacle(pod: Pod, choice: Choice) -> str:
    if _MIRROR in pod.metadata.annotations:
        return STATIC
    if mesh := _other_mesh(pod):
        return f"the pod has the sidecar of another mesh, {mesh}"
    return choice.skipped or (WINDOWS if _runs_windows(pod) else "")


def _other_mesh(pod: Pod) -> str:
    """Whose sidecar it has; two that redirect the same traffic would lead it in circles."""
    if is_injected(pod) or _is_istios(pod):
        return "Istio"
    return next((_OTHER_MESHES[found.name] for found in pod.all_containers() if found.name in _OTHER_MESHES), "")


def _is_istios(pod: Pod) -> bool:
    """Whether it has Istio's sidecar without saying so: `istioctl kube-inject` annotates a CronJob, not its pods."""
    agent = any(c.name == SIDECAR_CONTAINER and c.args[:1] == (_ISTIO_ARGUMENT,) for c in pod.all_containers())
    return agent and any(volume.name == _ISTIO_VOLUME for volume in pod.spec.volumes)


def _runs_windows(pod: Pod) -> bool:
    """Whether it says so, or may only run on such nodes."""
    return "windows" in (pod.spec.os.name, *(pod.spec.node_selector.get(label) for label in _OS_LABELS))


def _kind(annotations: Annotations) -> ProxyKind:
    def read(text: str) -> ProxyKind:
        wanted = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
        if not wanted:
            return ProxyKind.SIDECAR
        if len(wanted) > 1 or wanted[0] not in _TEMPLATES:
            raise ValueError(f"there is no template `{text[:80]}`")
        return _TEMPLATES[wanted[0]]

    return annotations.read(TEMPLATES_ANNOTATION, read, "write sidecar or gateway", ProxyKind.SIDECAR)
