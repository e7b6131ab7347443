"""The Kubernetes objects that a mesh needs, with the fields that it needs: everything else is skipped while parsing.

msgspec parses lists of them straight from the API server's JSON, at a fraction of what a general client costs. They are
read, never written, so that unknown fields are no mistakes here. Absent and null mean the same.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, field

from weft_core.problems import ObjectRef

NO_TEXTS: dict[str, str] = {}


class OwnerReference(Struct, frozen=True, kw_only=True, rename="camel"):
    """The object that made this one."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class ObjectMeta(Struct, frozen=True, kw_only=True, rename="camel"):
    """Name, namespace, labels and what else every object has."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    generate_name: str = ""
    owner_references: tuple[OwnerReference, ...] = ()


class KubernetesObject(Struct, frozen=True, kw_only=True, rename="camel"):
    """What all kinds share. `KIND` of a subclass is its class name."""

    metadata: ObjectMeta = ObjectMeta()

    @property
    def ref(self) -> ObjectRef:
        """Kind, namespace and name: the object's address in problems and tables."""
        meta = self.metadata
        return ObjectRef(kind=type(self).__name__, namespace=meta.namespace, name=meta.name)

    @property
    def name(self) -> str:
        """The object's name."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """The object's namespace, empty for cluster-scoped kinds."""
        return self.metadata.namespace

    @property
    def labels(self) -> Mapping[str, str]:
        """The object's labels."""
        return self.metadata.labels or NO_TEXTS

    @property
    def annotations(self) -> Mapping[str, str]:
        """The object's annotations."""
        return self.metadata.annotations or NO_TEXTS


class ServicePort(Struct, frozen=True, kw_only=True, rename="camel"):
    """A port of a Service. `target_port` is a number, the name of a container's port, or absent (the same number)."""

    port: int
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None
    target_port: int | str | None = None
    node_port: int = 0


class ServiceSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """A Service's spec. `cluster_ip` is `None` (the text) for headless ones, empty for ExternalName."""

    type: str = "ClusterIP"
    ports: tuple[ServicePort, ...] = ()
    selector: Mapping[str, str] | None = None
    cluster_ip: str = field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] = field(default=(), name="clusterIPs")
    external_ips: tuple[str, ...] = field(default=(), name="externalIPs")
    external_name: str = ""
    publish_not_ready_addresses: bool = False
    traffic_distribution: str | None = None
    internal_traffic_policy: str | None = None
    session_affinity: str = ""


class Service(KubernetesObject, frozen=True, kw_only=True, rename="camel"):
    """A Service: a name, virtual addresses and ports for pods."""

    spec: ServiceSpec = ServiceSpec()


class ContainerPort(Struct, frozen=True, kw_only=True, rename="camel"):
    """A port that a container says it listens on."""

    container_port: int
    name: str = ""
    protocol: str = "TCP"


class EnvVar(Struct, frozen=True, kw_only=True, rename="camel"):
    """An environment variable with a literal value; values from elsewhere are read as empty."""

    name: str
    value: str = ""


class Container(Struct, frozen=True, kw_only=True, rename="camel"):
    """A container. `restart_policy: Always` makes an init container a sidecar."""

    name: str = ""
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    env: tuple[EnvVar, ...] = ()
    restart_policy: str | None = None


class PodSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """A pod's spec."""

    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    service_account_name: str = ""
    node_name: str = ""
    host_network: bool = False
    hostname: str = ""
    subdomain: str = ""


class Condition(Struct, frozen=True, kw_only=True, rename="camel"):
    """A condition of an object's status. `status` is the text True, False or Unknown."""

    type: str
    status: str = ""
    reason: str = ""


class IPAddress(Struct, frozen=True, kw_only=True, rename="camel"):
    """One of a pod's addresses."""

    ip: str = ""


class PodStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """A pod's status."""

    phase: str = ""
    pod_ip: str = field(default="", name="podIP")
    pod_ips: tuple[IPAddress, ...] = field(default=(), name="podIPs")
    host_ip: str = field(default="", name="hostIP")
    conditions: tuple[Condition, ...] = ()


class Pod(KubernetesObject, frozen=True, kw_only=True, rename="camel"):
    """A pod: one instance of a workload."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def ready(self) -> bool:
        """Whether its Ready condition is True."""
        return any(c.type == "Ready" and c.status == "True" for c in self.status.conditions)

    @property
    def service_account(self) -> str:
        """Its service account; Kubernetes' own default where none is written."""
        return self.spec.service_account_name or "default"

    @property
    def ips(self) -> tuple[str, ...]:
        """All its addresses, the primary one first; empty before the kubelet has given it any."""
        return tuple(a.ip for a in self.status.pod_ips) or ((self.status.pod_ip,) if self.status.pod_ip else ())


class EndpointConditions(Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether an endpoint can take traffic. Absent `ready` and `serving` count as true, as Kubernetes says."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class ObjectReference(Struct, frozen=True, kw_only=True, rename="camel"):
    """An object, by name."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class Endpoint(Struct, frozen=True, kw_only=True, rename="camel"):
    """An endpoint: addresses of one kind that mean the same process."""

    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions = EndpointConditions()
    hostname: str | None = None
    node_name: str | None = None
    target_ref: ObjectReference | None = None
    zone: str | None = None


class EndpointPort(Struct, frozen=True, kw_only=True, rename="camel"):
    """A port of all endpoints of a slice, under the name of the Service's port."""

    name: str | None = None
    port: int | None = None
    protocol: str | None = None
    app_protocol: str | None = None


if TYPE_CHECKING:
    Endpoints = tuple[Endpoint, ...]
    EndpointPorts = tuple[EndpointPort, ...]
else:  # Go writes an empty list as null here, and only while parsing may it be one
    Endpoints = tuple[Endpoint, ...] | None
    EndpointPorts = tuple[EndpointPort, ...] | None


class EndpointSlice(KubernetesObject, frozen=True, kw_only=True, rename="camel"):
    """Some of a Service's endpoints."""

    address_type: str = "IPv4"
    endpoints: Endpoints = ()
    ports: EndpointPorts = ()

    def __post_init__(self) -> None:
        """Read null lists as empty ones."""
        for name in ("endpoints", "ports"):
            if getattr(self, name) is None:
                msgspec.structs.force_setattr(self, name, ())

    @property
    def service(self) -> str:
        """Name of the Service in the same namespace, empty where none owns the slice."""
        return self.labels.get("kubernetes.io/service-name", "")


class Namespace(KubernetesObject, frozen=True, kw_only=True, rename="camel"):
    """A namespace, with its labels."""


class NodeAddress(Struct, frozen=True, kw_only=True, rename="camel"):
    """An address of a node: `type` is InternalIP, ExternalIP, Hostname and so on."""

    type: str = ""
    address: str = ""


class NodeStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """A node's status."""

    addresses: tuple[NodeAddress, ...] = ()


class Node(KubernetesObject, frozen=True, kw_only=True, rename="camel"):
    """A node: its labels say where it is."""

    status: NodeStatus = NodeStatus()


class Secret(KubernetesObject, frozen=True, kw_only=True, rename="camel"):
    """A Secret. `data` is base64, `string_data` is plain text as files may have it."""

    type: str = "Opaque"
    data: Mapping[str, str] | None = None
    string_data: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        """Without the contents: rows end up in log lines and tracebacks."""
        keys = sorted({*(self.data or ()), *(self.string_data or ())})
        return f"Secret({self.namespace}/{self.name}, type={self.type!r}, keys={keys})"


class ConfigMap(KubernetesObject, frozen=True, kw_only=True, rename="camel"):
    """A ConfigMap."""

    data: Mapping[str, str] | None = None


class ServiceAccount(KubernetesObject, frozen=True, kw_only=True, rename="camel"):
    """A ServiceAccount: the name of an identity."""


class PodTemplate(Struct, frozen=True, kw_only=True, rename="camel"):
    """The pods that a workload makes."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec = PodSpec()


class LabelSelector(Struct, frozen=True, kw_only=True, rename="camel"):
    """The labels by which a workload knows its pods."""

    match_labels: Mapping[str, str] | None = None


class WorkloadSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """The spec of what makes pods. `replicas` is absent for kinds that have none."""

    replicas: int | None = None
    selector: LabelSelector | None = None
    service_name: str = ""
    template: PodTemplate = PodTemplate()


class Workload(KubernetesObject, frozen=True, kw_only=True, rename="camel"):
    """What makes pods from a template: base of Deployment, StatefulSet, DaemonSet, ReplicaSet and Job."""

    spec: WorkloadSpec = WorkloadSpec()


class Deployment(Workload, frozen=True, kw_only=True, rename="camel"):
    """A Deployment."""


class StatefulSet(Workload, frozen=True, kw_only=True, rename="camel"):
    """A StatefulSet."""


class DaemonSet(Workload, frozen=True, kw_only=True, rename="camel"):
    """A DaemonSet."""


class ReplicaSet(Workload, frozen=True, kw_only=True, rename="camel"):
    """A ReplicaSet."""


class Job(Workload, frozen=True, kw_only=True, rename="camel"):
    """A Job."""


def convert(document: Mapping[str, Any], kind: type[KubernetesObject]) -> KubernetesObject:
    """A parsed document as a Kubernetes object. Raises msgspec.ValidationError; nulls must have been removed."""
    return msgspec.convert(document, type=kind)
