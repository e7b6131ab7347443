"""Injection without a cluster: objects that hold a pod's template get the sidecar into it.

What decides is the same as at the webhook, with one difference: who names objects here wants them injected, so a
namespace counts as labelled unless it is known to say `disabled`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from weft_core.injection import ISTIO_NAMESPACE_LABEL, NAMESPACE_LABEL, REVISION_LABEL
from weft_core.model.mesh_config import MeshConfig
from weft_core.model.mistake import one_line
from weft_core.problems import Code, ObjectRef, Problem, Severity
from weft_injector.patch.decision import Action
from weft_injector.patch.inject import Surroundings, inject_pod
from weft_injector.patch.misplaced import misplaced
from weft_injector.patch.pod import Document
from weft_injector.settings import ClusterFeatures, InjectionSettings

_TEMPLATES: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("v1", "Pod"): (),
    ("v1", "ReplicationController"): ("spec", "template"),
    ("apps/v1", "Deployment"): ("spec", "template"),
    ("apps/v1", "ReplicaSet"): ("spec", "template"),
    ("apps/v1", "StatefulSet"): ("spec", "template"),
    ("apps/v1", "DaemonSet"): ("spec", "template"),
    ("batch/v1", "Job"): ("spec", "template"),
    ("batch/v1", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
    ("v1", "PodTemplate"): ("template",),
    ("apps.openshift.io/v1", "DeploymentConfig"): ("spec", "template"),
    ("v1", "DeploymentConfig"): ("spec", "template"),
    ("argoproj.io/v1alpha1", "Rollout"): ("spec", "template"),
}
"""Where each kind has its pod. Knative's Services are none: they take no init containers."""
_DISABLED: Final = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """What became of an object.

    `document` is None where it is refused, and the one that was given where nothing was to be done.
    """

    document: Any
    problems: tuple[Problem, ...] = ()
    skipped: tuple[Problem, ...] = ()
    """Why pods that seem to be meant for the mesh have got no sidecar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadInjector:
    """Injects objects, one by one."""

    settings: InjectionSettings
    features: ClusterFeatures
    mesh: MeshConfig
    default_namespace: str
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Labels of the namespaces that are among the objects."""

    def rewrite(self, document: Any) -> Rewritten:
        """The object with its sidecar; whatever holds no pod is given back."""
        if not isinstance(document, dict):
            return Rewritten(document=document)
        items = document.get("items")
        if str(document.get("kind", "")).endswith("List") and isinstance(items, list):
            return self._list(document, items)
        path = _TEMPLATES.get((str(document.get("apiVersion")), str(document.get("kind"))))
        if path is None:
            return Rewritten(document=document, skipped=tuple(self._unknown(document)))
        return self._workload(document, path)

    def _list(self, document: Document, items: list[Any]) -> Rewritten:
        """A list without those of its items that are refused."""
        results = [self.rewrite(item) for item in items]
        if not all(result.document is item for result, item in zip(results, items, strict=True)):
            kept = [result.document for result in results if result.document is not None]
            document = {**document, "items": kept}
        return Rewritten(
            document=document,
            problems=tuple(problem for result in results for problem in result.problems),
            skipped=tuple(problem for result in results for problem in result.skipped),
        )

    def _workload(self, document: Document, path: tuple[str, ...]) -> Rewritten:
        template = _at(document, path)
        if template is None:
            return Rewritten(document=document)
        ref = self._ref(document)
        injection = inject_pod(
            template,
            Surroundings(
                settings=self.settings,
                features=self.features,
                mesh=self.mesh,
                namespace=ref.namespace,
                namespace_labels=self._labels(ref.namespace),
                workload=ref.name if path else "",  # a pod says itself what it belongs to
            ),
        )
        prefix = "".join(f"{step}." for step in path)
        elsewhere = misplaced(document, template, ref, prefix) if path else ()
        problems = tuple(replace(found, object=ref, path=f"{prefix}{found.path}") for found in injection.problems)
        if injection.pod is None:
            return Rewritten(document=None, problems=(*problems, *elsewhere))
        changed = _with(document, path, injection.pod) if injection.pod is not template else document
        if injection.decision.action is Action.SKIP_ALOUD:
            return Rewritten(document=changed, skipped=problems)
        return Rewritten(document=changed, problems=(*problems, *elsewhere))

    def _unknown(self, document: Document) -> Iterator[Problem]:
        """A warning about what seems to make pods and is of a kind that is not known here."""
        found = (_at(document, ("spec", "template", "spec")) or {}).get("containers")
        if isinstance(found, list):
            kind = f"{document.get('apiVersion')} {document.get('kind')}"
            yield Problem(
                code=Code.SCHEMA_WARNING,
                severity=Severity.WARNING,
                object=self._ref(document),
                path="spec.template",
                message=f"nothing was added: pods of {one_line(kind)} are not known here",
                fix="leave it to the webhook, which sees the pods themselves",
            )

    def _ref(self, document: Document) -> ObjectRef:
        found = document.get("metadata")
        metadata = found if isinstance(found, dict) else {}
        name = metadata.get("name") or metadata.get("generateName")
        return ObjectRef(
            kind=str(document.get("kind")),
            namespace=str(metadata.get("namespace") or self.default_namespace),
            name=str(name or "").rstrip("-"),
        )

    def _labels(self, namespace: str) -> Mapping[str, str]:
        known = self.namespaces.get(namespace, {})
        switches = [NAMESPACE_LABEL, *([ISTIO_NAMESPACE_LABEL] if self.settings.istio_labels else [])]
        if any(known.get(switch) == _DISABLED for switch in switches):
            return known
        return {REVISION_LABEL: self.settings.revision}


def namespace_labels(documents: Iterable[Any]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Name and labels of the Namespaces among documents."""
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == "Namespace":
            metadata = document.get("metadata")
            labels = metadata.get("labels") if isinstance(metadata, dict) else None
            if isinstance(metadata, dict) and isinstance(labels, dict):
                texts = {name: value for name, value in labels.items() if isinstance(value, str)}
                yield str(metadata.get("name")), texts


def _at(document: Any, path: tuple[str, ...]) -> Document | None:
    """The map at a path, if there is one all the way."""
    for step in path:
        document = document.get(step) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else None


def _with(document: Document, path: tuple[str, ...], value: Document) -> Document:
    if not path:
        return value
    first, *rest = path
    return {**document, first: _with(document[first], tuple(rest), value)}
