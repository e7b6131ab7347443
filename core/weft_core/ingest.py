"""Ingest: a whole set of objects, as a folder or a list gives it, into the registry's tables.

The set is compared with what the tables hold: what is equal disturbs nobody, what vanished is removed, and what is
there but could not be read (`held`) keeps its last good version.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from weft_core.graph import Table
from weft_core.model import kubernetes as k8s
from weft_core.model.mesh_config import MeshConfig
from weft_core.model.meta import Config
from weft_core.offline import complete, pods_of
from weft_core.problems import ObjectRef
from weft_core.registry import MESH, Registry

CONFIG_KINDS: Final[Mapping[str, str]] = {
    "VirtualService": "virtual_services",
    "DestinationRule": "destination_rules",
    "Gateway": "gateways",
    "ServiceEntry": "service_entries",
    "WorkloadEntry": "workload_entries",
    "Sidecar": "sidecars",
    "PeerAuthentication": "peer_authentications",
    "RequestAuthentication": "request_authentications",
    "AuthorizationPolicy": "authorization_policies",
}
"""Mesh resources and the registry's tables of them."""

_KUBERNETES: Final[Mapping[type[k8s.KubernetesObject], str]] = {
    k8s.Service: "services",
    k8s.EndpointSlice: "endpoint_slices",
    k8s.Pod: "pods",
    k8s.Secret: "secrets",
    k8s.Node: "nodes",
    k8s.Namespace: "namespaces",
}
_CLUSTER_SCOPED: Final = (k8s.Node, k8s.Namespace)
_TABLES: Final[Mapping[str, str]] = {table: kind for kind, table in CONFIG_KINDS.items()} | {
    table: kind.__name__ for kind, table in _KUBERNETES.items()
}
"""Table name → kind."""


def replace_all(
    registry: Registry,
    objects: Iterable[object],
    *,
    mesh: MeshConfig | None = None,
    held: Collection[ObjectRef] = (),
    injected: bool = False,
) -> None:
    """Make the registry hold exactly these objects, and the last good version of those in `held`.

    Workload objects (Deployments …) become Pods, because no controller does it here. `injected`: every Pod has a
    sidecar.
    """
    rows: dict[str, dict[Any, Any]] = {name: {} for name in _TABLES}
    found = list(objects)
    for item in found:
        if isinstance(item, Config) and (table := CONFIG_KINDS.get(item.meta.kind)):
            rows[table].setdefault((item.meta.namespace, item.meta.name), item)
        elif isinstance(item, k8s.KubernetesObject) and (table := _KUBERNETES.get(type(item))):
            key = item.name if isinstance(item, _CLUSTER_SCOPED) else (item.namespace, item.name)
            rows[table].setdefault(key, item)
    pods = [*rows["pods"].values(), *_expanded(found)]
    pods.sort(key=lambda pod: (pod.namespace, pod.name))
    namespaces = rows["namespaces"].values()
    rows["pods"] = {(pod.namespace, pod.name): pod for pod in complete(pods, namespaces, injected=injected)}
    keep = {(ref.kind, ref.namespace, ref.name) for ref in held}
    for name, kind in _TABLES.items():
        _replace(getattr(registry, name), kind, rows[name], keep)
    registry.mesh_config.put(MESH, mesh)


def _replace(
    table: Table[Any, Any], kind: str, rows: Mapping[Any, Any], keep: Collection[tuple[str, str, str]]
) -> None:
    for key in table:
        namespace, name = key if isinstance(key, tuple) else ("", key)
        if key not in rows and (kind, namespace, name) not in keep:
            table.put(key, None)
    for key, row in rows.items():
        table.put(key, row)


def _expanded(objects: Iterable[object]) -> Iterable[k8s.Pod]:
    for item in objects:
        if isinstance(item, k8s.Workload):
            yield from pods_of(item)
