"""A mesh to measure: Services, Pods and EndpointSlices as a cluster has them, served through the real catalog."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from weft_core.ingest import replace_all
from weft_core.model import kubernetes as k8s
from weft_core.model.http_route import HTTPRetry
from weft_core.model.mesh_config import MeshConfig
from weft_core.model.meta import Config, Meta
from weft_core.model.virtual_service import VirtualService
from weft_core.registry import MESH, Registry
from weft_xds.fanout import Fanout

NAMESPACES: Final = 10
PORT: Final = 8080
_INJECTED: Final = {"security.istio.io/tlsMode": "istio"}


@dataclass(slots=True)
class Mesh:
    """`services` services of `endpoints` endpoints in ten namespaces, and a pod for each simulated sidecar."""

    services: int
    endpoints: int
    sidecars: int
    registry: Registry = field(default_factory=Registry)
    changes: int = 0

    def __post_init__(self) -> None:
        objects: list[object] = []
        for number in range(self.services):
            objects += self._service(number)
        objects += [sidecar_pod(number) for number in range(self.sidecars)]
        replace_all(self.registry, objects)

    def change_endpoint(self, fanout: Fanout, number: int) -> None:
        """One pod of a service is replaced: its EndpointSlice says so."""
        self.changes += 1
        key = (namespace(number), f"{name(number)}-slice")
        address = f"10.200.{self.changes >> 8 & 255}.{self.changes & 255}"
        self.registry.endpoint_slices.put(key, self._slice(number, first=address))
        fanout.schedule()

    def change_route(self, fanout: Fanout, number: int) -> None:
        """A VirtualService is written: a timeout for one service."""
        self.changes += 1
        document = {
            "hosts": [name(number)],
            "http": [{"timeout": f"{self.changes}s", "route": [{"destination": {"host": name(number)}}]}],
        }
        spec = VirtualService.model_validate(document)
        meta = Meta(kind="VirtualService", namespace=namespace(number), name=name(number))
        self.registry.virtual_services.put((meta.namespace, meta.name), Config(meta=meta, spec=spec))
        fanout.schedule()

    def change_everything(self, fanout: Fanout) -> None:
        """Mesh-wide settings that are in every cluster and every virtual host; endpoints go with their clusters."""
        self.changes += 1
        timeout = timedelta(seconds=self.changes)
        settings = MeshConfig(
            connect_timeout=timeout, default_http_retry_policy=HTTPRetry(attempts=2, per_try_timeout=timeout)
        )
        self.registry.mesh_config.put(MESH, settings)
        fanout.schedule()

    def _service(self, number: int) -> list[object]:
        where, called = namespace(number), name(number)
        meta = k8s.ObjectMeta(name=called, namespace=where)
        ports = (k8s.ServicePort(port=PORT, name="http"),)
        spec = k8s.ServiceSpec(ports=ports, selector={"app": called}, cluster_ip=f"10.96.{number >> 8}.{number & 255}")
        pods = [_pod(where, f"{called}-{i}", called, address(number, i)) for i in range(self.endpoints)]
        return [k8s.Service(metadata=meta, spec=spec), self._slice(number), *pods]

    def _slice(self, number: int, first: str = "") -> k8s.EndpointSlice:
        where, called = namespace(number), name(number)
        addresses = [address(number, i) for i in range(self.endpoints)]
        targets = [
            k8s.ObjectReference(kind="Pod", namespace=where, name=f"{called}-{i}") for i in range(self.endpoints)
        ]
        found = [k8s.Endpoint(addresses=(a,), target_ref=t) for a, t in zip(addresses, targets, strict=True)]
        if first:
            found[0] = k8s.Endpoint(addresses=(first,), target_ref=targets[0])
        meta = k8s.ObjectMeta(name=f"{called}-slice", namespace=where, labels={"kubernetes.io/service-name": called})
        return k8s.EndpointSlice(
            metadata=meta, endpoints=tuple(found), ports=(k8s.EndpointPort(name="http", port=PORT),)
        )


def namespace(number: int) -> str:
    """Services and sidecars are spread evenly over the namespaces."""
    return f"team-{number % NAMESPACES}"


def name(number: int) -> str:
    """The name of a service."""
    return f"service-{number}"


def sidecar_name(number: int) -> str:
    """The pod of a simulated sidecar."""
    return f"sidecar-{number}"


def sidecar_pod(number: int) -> k8s.Pod:
    """The pod of a simulated sidecar: an instance of the service of its number, but no endpoint of it."""
    return _pod(namespace(number), sidecar_name(number), name(number), f"10.99.{number >> 8}.{number & 255}")


def address(number: int, index: int) -> str:
    """The address of a service's endpoint."""
    return f"10.{100 + index}.{number >> 8}.{number & 255}"


def _pod(where: str, called: str, app: str, address: str) -> k8s.Pod:
    return k8s.Pod(
        metadata=k8s.ObjectMeta(name=called, namespace=where, labels={"app": app, **_INJECTED}),
        spec=k8s.PodSpec(service_account_name=app),
        status=k8s.PodStatus(pod_ip=address, phase="Running"),
    )
