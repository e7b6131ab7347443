"""Which namespaces need a trust bundle."""

from collections.abc import Callable, Iterable

from weft_core.model.kubernetes import Namespace, Pod

_HAS_SIDECAR = ("security.istio.io/tlsMode", "istio")
_ENDED = frozenset({"Succeeded", "Failed"})


def bundled_namespaces(
    namespaces: Iterable[Namespace], pods: Iterable[Pod], *, of_the_mesh: Callable[[Namespace], bool]
) -> frozenset[str]:
    """The namespaces of the mesh, and those where a pod with a sidecar runs all the same.

    Such pods have asked for it by their own label, or are older than their namespace's leaving the mesh. A namespace
    that is being deleted takes no new objects.
    """
    there = {row.name: row for row in namespaces if not row.metadata.deletion_timestamp}
    name, value = _HAS_SIDECAR
    meshed = {pod.namespace for pod in pods if pod.labels.get(name) == value and pod.status.phase not in _ENDED}
    return frozenset(key for key, row in there.items() if key in meshed or of_the_mesh(row))
