"""Which pods should have a sidecar and have none: created while the webhook was away, or before it was there.

The question is the webhook's own (`weft_core.injection`), asked of the pods as they are. What is finished, or about to
go, needs no sidecar any more, and a pod on its node's network is left out on purpose.
"""

from dataclasses import dataclass

from weft_core.graph import query
from weft_core.injection import DEFAULT_REVISION, choose_for, has_proxy
from weft_core.registry import Key, Registry

SKIPPED_ANNOTATION = "weft.dev/injection-skipped"
"""On a pod that the webhook has left out, with the reason."""
FINISHED = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What the control plane injects: its revision, its own namespace, and which of Istio's labels count."""

    own_namespace: str
    revision: str = DEFAULT_REVISION
    istio_labels: bool = False
    istio_pod_labels: bool = True


@query
def uncovered(db: Registry, scope: Scope) -> tuple[tuple[Key, str], ...]:
    """The pods without the sidecar that they should have, sorted, each with who asks for it."""
    found: list[tuple[Key, str]] = []
    for namespace in db.namespaces.all_keys():
        found += uncovered_in(db, namespace, scope)
    return tuple(found)


@query
def uncovered_in(db: Registry, namespace: str, scope: Scope) -> tuple[tuple[Key, str], ...]:
    """As `uncovered`, of one namespace."""
    keys = db.pods.by("namespace", namespace)
    return tuple((key, reason) for key in keys if (reason := lacking(db, key, scope)))


@query
def lacking(db: Registry, key: Key, scope: Scope) -> str:
    """Who asks for the sidecar that a pod lacks; empty where it lacks none."""
    pod = db.pods.get(key)
    if pod is None or has_proxy(pod) or SKIPPED_ANNOTATION in pod.annotations:
        return ""
    if pod.metadata.deletion_timestamp or pod.status.phase in FINISHED:
        return ""
    namespace = db.namespaces.get(key[0])
    choice = choose_for(
        pod,
        namespace,
        istio_labels=scope.istio_labels,
        istio_pod_labels=scope.istio_pod_labels,
        own_namespace=scope.own_namespace,
    )
    return choice.reason if choice.by(scope.revision) else ""
