"""A workload's name: one rule for what injection writes into a pod and for what its certificate attests."""

from typing import Any

import pytest

from weft_core.model import kubernetes as k8s
from weft_core.problems import ObjectRef
from weft_core.view.proxies import owner_name
from weft_injector.patch.pod import Pod
from weft_injector.patch.workload import workload_of

OWNERS = (
    pytest.param("ReplicaSet", "web-5d4f8c7b9d", {"pod-template-hash": "5d4f8c7b9d"}, "web", id="a Deployment's"),
    pytest.param("ReplicaSet", "web-5d4f8c7b9d", {}, "web-5d4f8c7b9d", id="a ReplicaSet of its own"),
    pytest.param("Job", "report-29100240", {}, "report", id="a CronJob's"),
    pytest.param("Job", "report-2026", {}, "report-2026", id="a Job of its own"),
    pytest.param("StatefulSet", "db-29100240", {}, "db-29100240", id="a StatefulSet's"),
    pytest.param("DaemonSet", "agent", {}, "agent", id="a DaemonSet's"),
)


def pod(labels: dict[str, str], *owners: dict[str, Any]) -> tuple[k8s.Pod, Pod]:
    """The pod as ingest and as the injector read it."""
    metadata = {"name": "the-pod", "namespace": "shop", "labels": labels, "ownerReferences": list(owners)}
    document = {"metadata": metadata, "spec": {"containers": [{"name": "app", "image": "app"}]}}
    known = k8s.convert(document, k8s.Pod)
    admitted = Pod.read(document, ObjectRef(kind="Pod", namespace="shop", name="the-pod"))
    assert isinstance(known, k8s.Pod)
    assert isinstance(admitted, Pod)
    return known, admitted


@pytest.mark.parametrize(("kind", "name", "labels", "expected"), OWNERS)
def test_a_workload_is_called_alike_everywhere(kind: str, name: str, labels: dict[str, str], expected: str) -> None:
    known, admitted = pod(labels, {"kind": kind, "name": name, "controller": True})
    assert owner_name(known) == workload_of(admitted) == expected


def test_who_owns_a_pod_without_controlling_it_did_not_make_it() -> None:
    known, admitted = pod({}, {"kind": "Job", "name": "report-29100240", "controller": False})
    assert owner_name(known) == workload_of(admitted) == "the-pod"
