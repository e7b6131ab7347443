"""Ingest: a whole set of objects, as a folder or a list gives it, into the registry's tables.

The set is compared with what the tables hold: what is equal disturbs nobody, what vanished is removed, and what is there
but could not be read (`held`) keeps its last good version.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
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

_KUBERNETES: Final[Mapping[type, tuple[str, str, Callable[[Any], Any]]]] = {
    k8s.Service: ("Service", "services", lambda row: (row.metadata.namespace, row.metadata.name)),
    k8s.EndpointSlice: ("EndpointSlice", "endpoint_slices", lambda row: (row.metadata.namespace, row.metadata.name)),
    k8s.Pod: ("Pod", "pods", lambda row: (row.metadata.namespace, row.metadata.name)),
    k8s.Secret: ("Secret", "secrets", lambda row: (row.metadata.namespace, row.metadata.name)),
    k8s.Node: ("Node", "nodes", lambda row: row.metadata.name),
    k8s.Namespace: ("Namespace", "namespaces", lambda row: row.metadata.name),
}


def replace_all(
    registry: Registry,
    objects: Iterable[object],
    *,
    mesh: MeshConfig | None = None,
    held: Collection[ObjectRef] = (),
    injected: bool = False,
) -> None:
    """Make the registry hold exactly these objects, and the last good version of those in `held`.

    Workload objects (Deployments …) become Pods, because no controller does it here. `injected`: every Pod has a sidecar.
    """
    rows: dict[str, dict[Any, Any]] = {name: {} for name in _tables()}
    found = list(objects)
    for item in found:
        if isinstance(item, Config) and (table := CONFIG_KINDS.get(item.meta.kind)):
            rows[table].setdefault((item.meta.namespace, item.meta.name), item)
        elif (entry := _KUBERNETES.get(type(item))) is not None:
            rows[entry[1]].setdefault(entry[2](item), item)
    pods = [*rows["pods"].values(), *_expanded(found)]
    pods.sort(key=lambda pod: (pod.metadata.namespace, pod.metadata.name))
    namespaces = rows["namespaces"].values()
    rows["pods"] = {
        (pod.metadata.namespace, pod.metadata.name): pod for pod in complete(pods, namespaces, injected=injected)
    }
    keep = {(ref.kind, ref.namespace, ref.name) for ref in held}
    for name, kind in _tables().items():
        _replace(getattr(registry, name), kind, rows[name], keep)
    registry.mesh_config.put(MESH, mesh)


def _tables() -> dict[str, str]:
    """Table name → kind."""
    return {table: kind for kind, table in CONFIG_KINDS.items()} | {
        table: kind for kind, table, _ in _KUBERNETES.values()
    }


def _replace(table: Table[Any, Any], kind: str, rows: Mapping[Any, Any], keep: Collection[tuple[str, str, str]]) -> None:
    for key in table:
        namespace, name = key if isinstance(key, tuple) else ("", key)
        if key not in rows and (kind, namespace, name) not in keep:
            table.put(key, None)
    for key, row in rows.items():
        table.put(key, row)


def _expanded(objects: Iterable[object]) -> Iterable[k8s.Pod]:
    for item in objects:
        if isinstance(item, k8s.Deployment | k8s.StatefulSet | k8s.DaemonSet | k8s.Job):
            yield from pods_of(item)
