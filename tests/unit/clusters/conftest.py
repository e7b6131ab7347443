"""A small mesh in memory: services, pods and rules go in, clusters and endpoints come out."""

from typing import Any

import pytest
import yaml

from weft_core.ir.cluster import Cluster, ClusterId
from weft_core.ir.endpoint import Locality
from weft_core.ir.load_assignment import LoadAssignment
from weft_core.ir.service import Labels, ServiceRef
from weft_core.model import kubernetes as k8s
from weft_core.model.destination_rule import DestinationRule
from weft_core.model.mesh_config import MeshConfig
from weft_core.model.meta import Config, Meta
from weft_core.model.peer_authentication import PeerAuthentication
from weft_core.model.service_entry import ServiceEntry
from weft_core.model.virtual_service import VirtualService
from weft_core.problems import Problem
from weft_core.registry import MESH, Registry
from weft_core.view.clusters import cluster, cluster_ids, endpoint_key
from weft_core.view.destination_rule_problems import destination_rule_problems
from weft_core.view.load_assignment import load_assignment
from weft_core.view.visibility import Client


class Mesh:
    """A registry, filled with YAML of specs; all names default to namespace `default`."""

    def __init__(self) -> None:
        self.db = Registry()
        self.client = Client(namespace="default")
        self._addresses = 0

    def settings(self, text: str) -> None:
        """Put the MeshConfig."""
        self.db.mesh_config.put(MESH, MeshConfig.model_validate(yaml.safe_load(text)))

    def rule(self, text: str, name: str = "rule", namespace: str = "default", created: str = "") -> None:
        """Put a DestinationRule."""
        spec = DestinationRule.model_validate(yaml.safe_load(text))
        self.db.destination_rules.put(
            (namespace, name), Config(meta=_meta("DestinationRule", name, namespace, created), spec=spec)
        )

    def policy(self, text: str, name: str = "peers", namespace: str = "default") -> None:
        """Put a PeerAuthentication."""
        spec = PeerAuthentication.model_validate(yaml.safe_load(text))
        self.db.peer_authentications.put(
            (namespace, name), Config(meta=_meta("PeerAuthentication", name, namespace), spec=spec)
        )

    def entry(self, text: str, name: str = "entry", namespace: str = "default") -> None:
        """Put a ServiceEntry."""
        spec = ServiceEntry.model_validate(yaml.safe_load(text))
        self.db.service_entries.put((namespace, name), Config(meta=_meta("ServiceEntry", name, namespace), spec=spec))

    def route(self, text: str, name: str = "route", namespace: str = "default") -> None:
        """Put a VirtualService."""
        spec = VirtualService.model_validate(yaml.safe_load(text))
        self.db.virtual_services.put(
            (namespace, name), Config(meta=_meta("VirtualService", name, namespace), spec=spec)
        )

    def service(
        self,
        name: str,
        *,
        namespace: str = "default",
        ports: tuple[tuple[str, int], ...] = (("http", 80),),
        cluster_ip: str = "10.0.0.1",
        **spec: Any,
    ) -> ServiceRef:
        """Put a Service with these (name, number) ports."""
        self.db.services.put(
            (namespace, name),
            k8s.Service(
                metadata=k8s.ObjectMeta(name=name, namespace=namespace),
                spec=k8s.ServiceSpec(
                    ports=tuple(k8s.ServicePort(name=port, port=number) for port, number in ports),
                    cluster_ip=cluster_ip,
                    **spec,
                ),
            ),
        )
        return ServiceRef(namespace, f"{name}.{namespace}.svc.cluster.local")

    def pods(
        self,
        service: str,
        *labels: dict[str, str],
        namespace: str = "default",
        locality: str = "",
        account: str = "default",
        sidecar: bool = True,
    ) -> None:
        """Add a ready pod to a Service for each set of labels, with an EndpointSlice of its own."""
        row = self.db.services.peek((namespace, service))
        assert row is not None
        for extra in labels:
            self._addresses += 1
            name, address = f"{service}-{self._addresses}", f"10.1.0.{self._addresses}"
            marks = {"istio-locality": locality.replace("/", ".")} if locality else {}
            if sidecar:
                marks["security.istio.io/tlsMode"] = "istio"
            self.db.pods.put(
                (namespace, name),
                k8s.Pod(
                    metadata=k8s.ObjectMeta(name=name, namespace=namespace, labels={"app": service, **extra, **marks}),
                    spec=k8s.PodSpec(service_account_name=account),
                    status=k8s.PodStatus(pod_ip=address, conditions=(k8s.Condition(type="Ready", status="True"),)),
                ),
            )
            endpoint = k8s.Endpoint(
                addresses=(address,), target_ref=k8s.ObjectReference(kind="Pod", namespace=namespace, name=name)
            )
            self.db.endpoint_slices.put(
                (namespace, name),
                k8s.EndpointSlice(
                    metadata=k8s.ObjectMeta(
                        name=name, namespace=namespace, labels={"kubernetes.io/service-name": service}
                    ),
                    endpoints=(endpoint,),
                    ports=tuple(k8s.EndpointPort(name=p.name, port=p.port) for p in row.spec.ports),
                ),
            )

    def ids(self, client: Client | None = None) -> dict[str, ClusterId]:
        """A client's clusters by name."""
        return {key.name: key for key in cluster_ids(self.db, client or self.client)}

    def cluster(self, name: str, client: Client | None = None) -> Cluster:
        """One of a client's clusters."""
        found = cluster(self.db, self.ids(client)[name])
        assert found is not None
        return found

    def endpoints(self, name: str, locality: str = "", labels: Labels = ()) -> LoadAssignment:
        """The endpoints of an EDS cluster, as the client sees them from a locality."""
        key = endpoint_key(self.db, self.ids()[name], Locality.parse(locality), labels)
        assert key is not None
        return load_assignment(self.db, key)

    def problems(self, name: str = "rule", namespace: str = "default") -> tuple[Problem, ...]:
        """The findings about one DestinationRule."""
        return destination_rule_problems(self.db, (namespace, name))


def _meta(kind: str, name: str, namespace: str, created: str = "") -> Meta:
    return Meta(kind=kind, namespace=namespace, name=name, created=created)


@pytest.fixture
def mesh() -> Mesh:
    """An empty mesh."""
    return Mesh()


@pytest.fixture
def reviews(mesh: Mesh) -> str:
    """A Service `reviews` on HTTP port 9080 with pods of v1 and v2; gives its cluster's name."""
    mesh.service("reviews", ports=(("http", 9080),))
    mesh.pods("reviews", {"version": "v1"}, {"version": "v2"}, account="bookinfo-reviews")
    return "outbound|9080||reviews.default.svc.cluster.local"
