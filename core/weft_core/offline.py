"""Where no Kubernetes runs: the Pods that workload objects would come to, with addresses and their sidecars' marks."""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from ipaddress import IPv4Address

import msgspec

from weft_core.injection import choose_for, has_proxy
from weft_core.model import kubernetes as k8s
from weft_core.view.endpoints import TLS_MODE_LABEL

TEMPLATES_ANNOTATION = "inject.istio.io/templates"
_POD_NETWORK = int(IPv4Address("10.244.0.0"))
_POD_NETWORK_SIZE = 1 << 16

_READY = (k8s.Condition(type="Ready", status="True"),)


def pods_of(workload: k8s.Workload) -> Iterator[k8s.Pod]:
    """The Pods of a workload object, named `NAME-0`, `NAME-1` … and ready."""
    template = workload.spec.template
    owner = workload.name
    made_by = k8s.OwnerReference(kind=type(workload).__name__, name=owner, controller=True)
    replicas = 1 if workload.spec.replicas is None else workload.spec.replicas
    for ordinal in range(replicas):
        yield k8s.Pod(
            metadata=msgspec.structs.replace(
                template.metadata,
                name=f"{owner}-{ordinal}",
                namespace=workload.namespace,
                owner_references=(made_by,),
            ),
            spec=template.spec,
        )


def complete(
    pods: Iterable[k8s.Pod], namespaces: Iterable[k8s.Namespace], *, injected: bool = False
) -> Iterator[k8s.Pod]:
    """Pods as they would run: with an address, and marked where they have a sidecar.

    `injected` says that every pod gets a sidecar, as under `weft up`; otherwise its own container decides, or labels as
    the webhook would read them.
    """
    by_name = {namespace.name: namespace for namespace in namespaces}
    taken: set[int] = set()
    for pod in pods:
        marked = pod.labels
        if TLS_MODE_LABEL not in marked and (injected or has_sidecar(pod, by_name.get(pod.namespace))):
            marked = {**marked, TLS_MODE_LABEL: "istio"}
        status = pod.status
        if not pod.ips:
            status = msgspec.structs.replace(status, pod_ip=_address(f"{pod.namespace}/{pod.name}", taken))
        if not (status.conditions or status.phase):
            status = msgspec.structs.replace(status, conditions=_READY, phase="Running")
        yield msgspec.structs.replace(pod, metadata=msgspec.structs.replace(pod.metadata, labels=marked), status=status)


def has_sidecar(pod: k8s.Pod, namespace: k8s.Namespace | None) -> bool:
    """Whether a pod has a proxy, or would be given one. Istio's labels count: the files may be Istio's samples."""
    if is_gateway(pod) or has_proxy(pod):
        return True
    choice = choose_for(pod, namespace, istio_labels=True)
    return choice.wanted and not choice.skipped


def is_gateway(pod: k8s.Pod) -> bool:
    """Whether the pod's proxy is a gateway: by the template it asks for, or by its arguments `proxy router`."""
    templates = pod.annotations.get(TEMPLATES_ANNOTATION, "")
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
