"""Where no Kubernetes runs: the Pods that workload objects would come to, their addresses, and their sidecars' marks."""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from ipaddress import IPv4Address

import msgspec

from weft_core.model import kubernetes as k8s
from weft_core.view.endpoints import TLS_MODE_LABEL

INJECT_LABEL = "sidecar.istio.io/inject"
TEMPLATES_ANNOTATION = "inject.istio.io/templates"
SIDECAR_CONTAINER = "istio-proxy"
_NAMESPACE_LABELS: Mapping[str, str] = {"weft.dev/injection": "enabled", "istio-injection": "enabled"}
_POD_NETWORK = int(IPv4Address("10.244.0.0"))
_POD_NETWORK_SIZE = 1 << 16

WorkloadObject = k8s.Deployment | k8s.StatefulSet | k8s.DaemonSet | k8s.Job


def pods_of(workload: WorkloadObject) -> Iterator[k8s.Pod]:
    """The Pods of a workload object, named `NAME-0`, `NAME-1` … and ready."""
    template = workload.spec.template
    owner = workload.metadata.name
    for ordinal in range(workload.replicas):
        yield k8s.Pod(
            metadata=msgspec.structs.replace(
                template.metadata, name=f"{owner}-{ordinal}", namespace=workload.metadata.namespace
            ),
            spec=template.spec,
        )


def complete(pods: Iterable[k8s.Pod], namespaces: Iterable[k8s.Namespace], *, injected: bool = False) -> Iterator[k8s.Pod]:
    """Pods as they would run: with an address, and marked where they have a sidecar.

    `injected` says that every pod gets a sidecar, as under `weft up`; otherwise its own label, container or its
    namespace's label decides, as the webhook would.
    """
    labelled = {n.metadata.name for n in namespaces if _NAMESPACE_LABELS.items() & n.metadata.labels.items()}
    taken: set[int] = set()
    for pod in pods:
        meta = pod.metadata
        marked = meta.labels
        if TLS_MODE_LABEL not in marked and (injected or has_sidecar(pod, meta.namespace in labelled)):
            marked = {**marked, TLS_MODE_LABEL: "istio"}
        status = pod.status
        if not pod.addresses:
            address = _address(f"{meta.namespace}/{meta.name}", taken)
            status = msgspec.structs.replace(status, pod_ip=address)
        yield msgspec.structs.replace(pod, metadata=msgspec.structs.replace(meta, labels=marked), status=status)


def has_sidecar(pod: k8s.Pod, namespace_labelled: bool) -> bool:
    """Whether a pod has a proxy, or would be given one."""
    meta = pod.metadata
    choice = meta.labels.get(INJECT_LABEL) or meta.annotations.get(INJECT_LABEL)
    if is_gateway(pod) or any(c.name == SIDECAR_CONTAINER for c in (*pod.spec.containers, *pod.spec.init_containers)):
        return True
    if pod.spec.host_network:
        return False
    return choice == "true" if choice else namespace_labelled


def is_gateway(pod: k8s.Pod) -> bool:
    """Whether the pod's proxy is a gateway: by the template it asks for, or by its arguments `proxy router`."""
    templates = pod.metadata.annotations.get(TEMPLATES_ANNOTATION, "")
    if "gateway" in (part.strip() for part in templates.split(",")):
        return True
    return any(tuple(container.args[:2]) == ("proxy", "router") for container in pod.spec.containers)


def _address(name: str, taken: set[int]) -> str:
    """An address that depends on the pod's name alone, save for the rare collision."""
    start = int.from_bytes(blake2b(name.encode(), digest_size=2).digest(), "big")
    for step in range(_POD_NETWORK_SIZE):
        offset = (start + step) % _POD_NETWORK_SIZE
        if offset not in taken and offset % 256 not in (0, 255):
            taken.add(offset)
            return str(IPv4Address(_POD_NETWORK + offset))
    raise AssertionError("more pods than addresses")
