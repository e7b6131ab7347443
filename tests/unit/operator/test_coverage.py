"""Pods that should have a sidecar and have none."""

import asyncio
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from weft_core.registry import Registry
from weft_operator.coverage import CoverageWatch, Scope, uncovered
from weft_operator.events import Happening
from weft_operator.events.recorder import EventRecorder

MakeRegistry = Callable[..., Registry]

PODS = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {weft.dev/injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: plain}
---
apiVersion: v1
kind: Namespace
metadata: {name: weft-system, labels: {weft.dev/injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: istio, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: next, labels: {weft.dev/rev: canary}}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: shop, uid: u-bare}
spec: {containers: [{name: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: plain-sidecar, namespace: shop}
spec: {containers: [{name: app}, {name: istio-proxy}]}
---
apiVersion: v1
kind: Pod
metadata: {name: native-sidecar, namespace: shop}
spec: {containers: [{name: app}], initContainers: [{name: istio-proxy}]}
---
apiVersion: v1
kind: Pod
metadata: {name: opted-out, namespace: shop, labels: {sidecar.istio.io/inject: "false"}}
spec: {containers: [{name: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: of-the-node, namespace: shop}
spec: {hostNetwork: true, containers: [{name: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: skipped, namespace: shop, annotations: {weft.dev/injection-skipped: for a reason}}
spec: {containers: [{name: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: done, namespace: shop}
spec: {containers: [{name: app}]}
status: {phase: Succeeded}
---
apiVersion: v1
kind: Pod
metadata: {name: leaving, namespace: shop, deletionTimestamp: "2026-01-01T00:00:00Z"}
spec: {containers: [{name: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: other, namespace: plain}
spec: {containers: [{name: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: wanting, namespace: plain, uid: u-wanting, labels: {weft.dev/inject: "true"}}
spec: {containers: [{name: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: istio-asking, namespace: plain, uid: u-asking, labels: {sidecar.istio.io/inject: "true"}}
spec: {containers: [{name: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: weft-0, namespace: weft-system}
spec: {containers: [{name: weft}]}
---
apiVersion: v1
kind: Pod
metadata: {name: istios, namespace: istio}
spec: {containers: [{name: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: canaries, namespace: next}
spec: {containers: [{name: app}]}
"""


class Recorder(EventRecorder):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.happenings: list[Happening] = []

    def happened(self, happening: Happening) -> None:
        self.happenings.append(happening)


@pytest.fixture
def db(registry: MakeRegistry) -> Registry:
    """Pods of every sort."""
    return registry(PODS)


def names(db: Registry, **settings: object) -> set[str]:
    scope = Scope(own_namespace="weft-system", **settings)  # type: ignore[arg-type]
    return {name for (_, name), _ in uncovered(db, scope)}


def test_pods_that_somebody_wants_in_the_mesh_and_that_are_not(db: Registry) -> None:
    assert names(db) == {"bare", "wanting", "istio-asking"}


def test_nobody_is_missed_whom_the_webhook_is_never_asked_about(db: Registry) -> None:
    """Where compat.istioPodLabels is off, the chart's selectors leave out pods that ask in Istio's word."""
    assert names(db, istio_pod_labels=False) == {"bare", "wanting"}


def test_other_revisions_and_labels_are_looked_after_by_whom_they_concern(db: Registry) -> None:
    assert names(db, revision="canary") == {"canaries"}
    assert names(db, istio_labels=True) == {"bare", "wanting", "istio-asking", "istios"}


def test_a_change_asks_about_the_pods_that_it_concerns(db: Registry) -> None:
    scope = Scope(own_namespace="weft-system")
    uncovered(db, scope)
    db.runs = {}
    db.pods.put(("plain", "other"), None)
    uncovered(db, scope)
    assert db.runs == {"uncovered_in": 1}


def test_each_pod_is_told_of_once_and_all_are_counted(db: Registry) -> None:
    commits: list[None] = []
    metrics = CollectorRegistry()
    watch = CoverageWatch(db, lambda: Scope(own_namespace="weft-system"), lambda: commits.append(None), metrics=metrics)
    recorder = Recorder()
    watch.tell(recorder)
    watch.tell(recorder)
    assert {happening.uid for happening in recorder.happenings} == {"u-bare", "u-wanting", "u-asking"}
    assert len(recorder.happenings) == 3
    assert commits
    assert metrics.get_sample_value("weft_pods_without_sidecar", {"namespace": "shop"}) == 1
    db.pods.put(("shop", "bare"), None)
    watch.look()
    assert metrics.get_sample_value("weft_pods_without_sidecar", {"namespace": "shop"}) is None


async def test_the_watch_goes_on(db: Registry) -> None:
    watch = CoverageWatch(db, lambda: Scope(own_namespace="x"), lambda: None, metrics=CollectorRegistry())
    recorder = Recorder()
    tasks = [asyncio.create_task(watch.count()), asyncio.create_task(watch.mark(recorder))]
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    assert recorder.happenings
