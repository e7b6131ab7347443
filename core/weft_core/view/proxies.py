"""Proxies: what the mesh knows of a pod, and which client it is."""

from collections.abc import Mapping
from dataclasses import dataclass

from weft_core.graph import query
from weft_core.ir.endpoint import Locality
from weft_core.ir.service import Labels
from weft_core.model import kubernetes as k8s
from weft_core.names import workload_name
from weft_core.proxy import LocalPorts, ProxyId, ProxyKind
from weft_core.registry import Key, Registry
from weft_core.view.selectors import client_label_keys, labels_of, project
from weft_core.view.sidecar_scope import sidecar_for
from weft_core.view.visibility import Client

LOCALITY_LABEL = "istio-locality"
REGION_LABEL = "topology.kubernetes.io/region"
ZONE_LABEL = "topology.kubernetes.io/zone"
SUB_ZONE_LABEL = "topology.istio.io/subzone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A pod, as the mesh sees it: what does not change with its state."""

    namespace: str
    name: str
    labels: Labels
    service_account: str
    locality: Locality
    addresses: tuple[str, ...]
    ports: tuple[tuple[str, int], ...] = ()
    """(name, number) of the container ports."""
    owner: str = ""
    """The workload's name, for people: the Deployment's, or the pod's own."""
    local: LocalPorts | None = None


@query
def workload(db: Registry, key: Key) -> Workload | None:
    """The pod under (namespace, name)."""
    pod = db.pods.get(key)
    if pod is None:
        return None
    spec = pod.spec
    return Workload(
        namespace=key[0],
        name=key[1],
        labels=labels_of(pod.labels),
        service_account=pod.service_account,
        locality=_locality(db, pod.labels, spec.node_name),
        addresses=pod.ips,
        ports=tuple(
            (port.name, port.container_port)
            for container in (*spec.containers, *spec.init_containers)
            for port in container.ports
        ),
        owner=owner_name(pod),
        local=db.local_ports.get(key),
    )


@query
def client_of(db: Registry, proxy: ProxyId) -> Client | None:
    """The client that a proxy is; None while its pod is not known."""
    found = workload(db, (proxy.namespace, proxy.name))
    if found is None:
        return None
    gateway = proxy.kind is ProxyKind.GATEWAY
    return Client(
        namespace=proxy.namespace,
        labels=project(found.labels, client_label_keys(db)),
        sidecar=None if gateway else sidecar_for(db, proxy.namespace, found.labels),
        gateway=gateway,
        local=found.local is not None,
    )


def owner_name(pod: k8s.Pod) -> str:
    """What people call a pod's workload: its Deployment, or whatever made it, or the pod itself."""
    owner = next((found for found in pod.metadata.owner_references if found.controller), None)
    if owner is None:
        return pod.name
    return workload_name(owner.kind, owner.name, pod.labels.get("pod-template-hash", ""))


@query
def _node_locality(db: Registry, name: str) -> Locality:
    node = db.nodes.get(name)
    labels = node.labels if node else {}
    return Locality(labels.get(REGION_LABEL, ""), labels.get(ZONE_LABEL, ""), labels.get(SUB_ZONE_LABEL, ""))


def _locality(db: Registry, labels: Mapping[str, str], node: str) -> Locality:
    """The pod's own label first (dots for slashes, which labels cannot hold), then its node's topology labels."""
    if own := labels.get(LOCALITY_LABEL):
        return Locality.parse(own.replace(".", "/"))
    return _node_locality(db, node) if node else Locality()
