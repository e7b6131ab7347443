"""Ingest: a whole set of objects, as a folder or a list gives it, into the registry's tables.

The set is compared with what the tables hold: what is equal disturbs nobody, what vanished is removed, and what is
there but could not be read (`held`) keeps its last good version. Where a security policy has none, its guard goes in
force instead.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from weft_core.graph import Table
from weft_core.model import kubernetes as k8s
from weft_core.model.guard import Guard
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
    guards: Iterable[Guard] = (),
    injected: bool = False,
) -> None:
    """Make the registry hold exactly these objects, and the last good version of those in `held`.

    `guards` are those of security policies that can't be read; they go in force where there is no good version.

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
    for pod in _expanded(found):
        rows["pods"].setdefault((pod.namespace, pod.name), pod)
    keep = {(ref.kind, ref.namespace, ref.name) for ref in held}
    for name, kind in _TABLES.items():
        for key, row in _kept(getattr(registry, name), kind, keep):
            rows[name].setdefault(key, row)
    pods = sorted(rows["pods"].values(), key=lambda pod: (pod.namespace, pod.name))
    namespaces = rows["namespaces"].values()
    rows["pods"] = {(pod.namespace, pod.name): pod for pod in complete(pods, namespaces, injected=injected)}
    for name in _TABLES:
        _replace(getattr(registry, name), rows[name])
    _replace(registry.unreadable_policies, _in_force(registry, guards))
    registry.mesh_config.put(MESH, mesh)


def _kept(table: Table[Any, Any], kind: str, keep: Collection[tuple[str, str, str]]) -> Iterable[tuple[Any, Any]]:
    """The rows of a table that are held, and the Pods that were made of a workload object that is."""
    for key in table:
        row = table.peek(key)
        namespace, name = key if isinstance(key, tuple) else ("", key)
        makers = row.metadata.owner_references if isinstance(row, k8s.Pod) else ()
        if (kind, namespace, name) in keep or any(
            (made_by.kind, namespace, made_by.name) in keep for made_by in makers
        ):
            yield key, row


def _in_force(registry: Registry, guards: Iterable[Guard]) -> dict[ObjectRef, Guard]:
    """The guards of policies of which no version has a row."""
    return {
        guard.ref: guard
        for guard in guards
        if (guard.ref.namespace, guard.ref.name) not in getattr(registry, CONFIG_KINDS[guard.ref.kind])
    }


def _replace(table: Table[Any, Any], rows: Mapping[Any, Any]) -> None:
    for key in table:
        if key not in rows:
            table.put(key, None)
    for key, row in rows.items():
        table.put(key, row)


def _expanded(objects: Iterable[object]) -> Iterable[k8s.Pod]:
    for item in objects:
        if isinstance(item, k8s.Workload):
            yield from pods_of(item)
