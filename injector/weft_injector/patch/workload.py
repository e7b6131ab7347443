"""Whose pod it is: the names under which metrics, certificates and tracing know a workload."""

import re

from weft_injector.patch.pod import Owner, Pod

CANONICAL_NAME = "service.istio.io/canonical-name"
CANONICAL_REVISION = "service.istio.io/canonical-revision"

_LONGEST_LABEL = 63
_CRON_JOB = re.compile(r"(.+)-\d{8,}")
_NOT_IN_LABELS = re.compile(r"[^A-Za-z0-9_.-]+")


def workload_name(pod: Pod) -> str:
    """What people call it: the Deployment, the CronJob, whatever made the pod, or the pod itself.

    A Deployment's pods belong to a ReplicaSet, whose name ends in the hash of the pod template, a CronJob's to a Job,
    whose name ends in the minute it was started at.
    """
    owner = next((found for found in pod.metadata.owner_references if found.controller), None)
    if owner is None:
        return pod.metadata.name or pod.metadata.generate_name.rstrip("-.") or "unnamed"
    return _maker(owner, pod.metadata.labels.get("pod-template-hash", ""))


def _maker(owner: Owner, template_hash: str) -> str:
    if owner.kind == "ReplicaSet" and template_hash:
        return owner.name.removesuffix(f"-{template_hash}")
    if owner.kind == "Job" and (found := _CRON_JOB.fullmatch(owner.name)):
        return found[1]
    return owner.name


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
