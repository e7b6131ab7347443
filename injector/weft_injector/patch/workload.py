"""Whose pod it is: the names under which metrics, certificates and tracing know a workload."""

import re

from weft_core.names import workload_name
from weft_injector.patch.pod import Pod

CANONICAL_NAME = "service.istio.io/canonical-name"
CANONICAL_REVISION = "service.istio.io/canonical-revision"

_LONGEST_LABEL = 63
_NOT_IN_LABELS = re.compile(r"[^A-Za-z0-9_.-]+")


def workload_of(pod: Pod) -> str:
    """What people call it: the Deployment, the CronJob, whatever made the pod, or the pod itself."""
    owner = next((found for found in pod.metadata.owner_references if found.controller), None)
    if owner is None:
        return pod.metadata.name or pod.metadata.generate_name.rstrip("-.") or "unnamed"
    return workload_name(owner.kind, owner.name, pod.metadata.labels.get("pod-template-hash", ""))


def canonical_name(pod: Pod, workload: str) -> str:
    """Istio's canonical service, as a label may say it: by label, `app.kubernetes.io/name`, `app`, the workload."""
    labels = pod.metadata.labels
    named = labels.get(CANONICAL_NAME) or labels.get("app.kubernetes.io/name") or labels.get("app")
    return named or label_value(workload)


def canonical_revision(pod: Pod) -> str:
    """Istio's canonical revision: by label, `app.kubernetes.io/version`, `version`, `latest`."""
    labels = pod.metadata.labels
    return (
        labels.get(CANONICAL_REVISION) or labels.get("app.kubernetes.io/version") or labels.get("version") or "latest"
    )


def label_value(text: str) -> str:
    """What of a name a label's value can hold: 63 characters, letters and digits at both ends."""
    return _NOT_IN_LABELS.sub("-", text)[:_LONGEST_LABEL].strip("-_.")
