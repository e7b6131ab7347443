"""Which pods are to have a sidecar, and of which revision: one rule for the webhook, `weft inject` and the operator.

The first of these that says something decides:

1. Namespaces that the cluster itself lives in, and the control plane's own: never.
2. The namespace says `disabled`: never. As with Istio, the No of a namespace is final, so that its owner can trust it;
   the API server does not even ask the webhook there.
3. The pod's label `weft.dev/inject`, then its label `sidecar.istio.io/inject`.
4. The pod's annotation `weft.dev/inject`, then its annotation `sidecar.istio.io/inject`.
5. The namespace: `weft.dev/injection=enabled` or `weft.dev/rev=REV`. Where it has neither of the two, and Istio's
   labels count, `istio-injection=enabled`, then `istio.io/rev=REV`.
6. The pod's label `weft.dev/rev`, or `istio.io/rev` where Istio's labels count: to choose a revision is to want one.

Istio's word for a sidecar, `sidecar.istio.io/inject=true`, is left to Istio where nothing else asks for one of Weft's,
and either the word is not to count, or the namespace or the pod carries another of Istio's labels, which don't count.

The revision is the namespace's, else the pod's, else `default`. A value of 3 and 4 that is no boolean says nothing: a
misspelt word must not take a pod out of the mesh.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from weft_core.model import kubernetes as k8s
from weft_core.model.frozen import EMPTY

DEFAULT_REVISION: Final = "default"

NAMESPACE_LABEL: Final = "weft.dev/injection"
REVISION_LABEL: Final = "weft.dev/rev"
INJECT: Final = "weft.dev/inject"
"""On a pod, as a label or an annotation."""
ISTIO_NAMESPACE_LABEL: Final = "istio-injection"
ISTIO_REVISION_LABEL: Final = "istio.io/rev"
ISTIO_INJECT: Final = "sidecar.istio.io/inject"

SIDECAR_CONTAINER: Final = "istio-proxy"
EXCLUDED_NAMESPACES: Final = frozenset({"kube-system", "kube-public", "kube-node-lease"})

_ENABLED: Final = "enabled"
_DISABLED: Final = "disabled"
_TRUE: Final = frozenset({"true", "yes", "on", "y"})
_FALSE: Final = frozenset({"false", "no", "off", "n"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Whether a sidecar is wanted, and why.

    `revision` is the control plane that is to add it, empty where none is wanted. `skipped` tells why a pod gets none
    although it is wanted, and is empty otherwise.
    """

    wanted: bool
    reason: str
    revision: str = ""
    skipped: str = ""

    def by(self, revision: str) -> bool:
        """Whether the control plane of `revision` is to add it."""
        return self.wanted and not self.skipped and self.revision == revision


def choose(
    *,
    namespace: str,
    namespace_labels: Mapping[str, str] = EMPTY,
    labels: Mapping[str, str] = EMPTY,
    annotations: Mapping[str, str] = EMPTY,
    host_network: bool = False,
    istio_labels: bool = False,
    istio_pod_labels: bool = True,
    own_namespace: str = "",
) -> Choice:
    """Decide for one pod.

    `labels`, `annotations` and `host_network` are the pod's; `istio_labels` says whether Istio's labels of namespaces
    and revisions count, `istio_pod_labels` whether a pod may ask in Istio's word; `own_namespace` is the control
    plane's.
    """
    if namespace in EXCLUDED_NAMESPACES or namespace == own_namespace:
        return Choice(wanted=False, reason=f"namespace {namespace} never has sidecars")
    wish = _of_namespace(namespace_labels, istio_labels)
    if not wish.wanted and wish.reason:
        return wish
    own = _own_word(labels, "label") or _own_word(annotations, "annotation")
    if own is not None and not own.wanted:
        return Choice(wanted=False, reason=own.reason)
    revision_label = _present(labels, _revision_labels(istio_labels))
    to_istio = not istio_pod_labels or (not istio_labels and _addresses_istio(namespace_labels, labels))
    if own is not None and own.istios and to_istio and not (wish.wanted or revision_label):
        return Choice(wanted=False, reason=f"{own.reason} is meant for Istio")
    revision = wish.revision or (labels[revision_label] if revision_label else "") or DEFAULT_REVISION
    reason = own.reason if own else wish.reason or (f"the pod's label {revision_label}" if revision_label else "")
    if not reason:
        return Choice(wanted=False, reason="neither the pod nor its namespace asks for a sidecar")
    skipped = "the pod is on its node's network, whose traffic must not be captured" if host_network else ""
    return Choice(wanted=True, reason=reason, revision=revision, skipped=skipped)


def choose_for(
    pod: k8s.Pod,
    namespace: k8s.Namespace | None,
    *,
    istio_labels: bool = False,
    istio_pod_labels: bool = True,
    own_namespace: str = "",
) -> Choice:
    """Decide for a pod as the API server has it."""
    return choose(
        namespace=pod.namespace,
        namespace_labels=namespace.labels if namespace else EMPTY,
        labels=pod.labels,
        annotations=pod.annotations,
        host_network=pod.spec.host_network,
        istio_labels=istio_labels,
        istio_pod_labels=istio_pod_labels,
        own_namespace=own_namespace,
    )


def has_proxy(pod: k8s.Pod) -> bool:
    """Whether the pod has a proxy's container, plain or native."""
    return any(c.name == SIDECAR_CONTAINER for c in (*pod.spec.containers, *pod.spec.init_containers))


def declines(labels: Iterable[tuple[str, str]]) -> bool:
    """Whether a pod's labels say that it gets no proxy, whatever its namespace says."""
    word = _own_word(dict(labels), "label")
    return word is not None and not word.wanted


def _of_namespace(labels: Mapping[str, str], istio_labels: bool) -> Choice:
    """What the namespace says; without a reason where it says nothing."""
    weft = _labelled(labels, NAMESPACE_LABEL, REVISION_LABEL)
    if weft.reason or not istio_labels:
        return weft
    istio = labels.get(ISTIO_NAMESPACE_LABEL)
    if istio == _ENABLED:  # Istio's default revision, whatever istio.io/rev says beside it
        return Choice(wanted=True, reason=f"the namespace's label {ISTIO_NAMESPACE_LABEL}", revision=DEFAULT_REVISION)
    return _labelled(labels, ISTIO_NAMESPACE_LABEL, ISTIO_REVISION_LABEL)


def _labelled(labels: Mapping[str, str], switch: str, choice: str) -> Choice:
    value, revision = labels.get(switch), labels.get(choice, "")
    if value == _DISABLED:
        return Choice(wanted=False, reason=f"the namespace's label {switch}=disabled")
    if revision:
        return Choice(wanted=True, reason=f"the namespace's label {choice}", revision=revision)
    if value == _ENABLED:
        return Choice(wanted=True, reason=f"the namespace's label {switch}", revision=DEFAULT_REVISION)
    return Choice(wanted=False, reason="")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Word:
    """What a pod itself says."""

    wanted: bool
    istios: bool
    reason: str


def is_word(value: str) -> bool:
    """Whether a pod's own word is one that counts. As with Istio, any other says nothing."""
    return value.lower() in _TRUE | _FALSE


def _own_word(found: Mapping[str, str], what: str) -> _Word | None:
    for key in (INJECT, ISTIO_INJECT):
        value = found.get(key, "").lower()
        if is_word(value):
            return _Word(wanted=value in _TRUE, istios=key == ISTIO_INJECT, reason=f"the pod's {what} {key}={value}")
    return None


def _addresses_istio(namespace_labels: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether the namespace or the pod names one of Istio's revisions, or says yes or no to its injection."""
    if namespace_labels.get(ISTIO_NAMESPACE_LABEL) in {_ENABLED, _DISABLED}:
        return True
    return ISTIO_REVISION_LABEL in namespace_labels or ISTIO_REVISION_LABEL in labels


def _revision_labels(istio_labels: bool) -> tuple[str, ...]:
    return (REVISION_LABEL, ISTIO_REVISION_LABEL) if istio_labels else (REVISION_LABEL,)


def _present(labels: Mapping[str, str], keys: tuple[str, ...]) -> str:
    return next((key for key in keys if labels.get(key)), "")
