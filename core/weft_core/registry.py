"""The registry: all that Weft knows, as tables of the query graph. Ingest writes it, the views read it.

A `Registry` *is* the graph that queries take as their first argument. Keys of namespaced objects are
`(namespace, name)`. Indexes are chosen so that a view reads one bucket where it would otherwise read a table: `host`
files a rule under every host it is about (fully resolved; wildcards under `*`), policies under their namespace.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from weft_core.graph import Graph, Table
from weft_core.model import kubernetes as k8s
from weft_core.model.authorization_policy import AuthorizationPolicy
from weft_core.model.destination_rule import DestinationRule
from weft_core.model.gateway import Gateway
from weft_core.model.guard import Guard
from weft_core.model.mesh_config import MeshConfig
from weft_core.model.meta import Config
from weft_core.model.peer_authentication import PeerAuthentication
from weft_core.model.request_authentication import RequestAuthentication
from weft_core.model.service_entry import ServiceEntry
from weft_core.model.sidecar import Sidecar
from weft_core.model.virtual_service import VirtualService
from weft_core.model.workload_entry import WorkloadEntry
from weft_core.names import DEFAULT_DOMAIN, MESH_GATEWAY, qualified_gateway, resolve_host, service_host
from weft_core.problems import ObjectRef
from weft_core.proxy import LocalPorts

Key = tuple[str, str]
"""Namespace and name."""

WILDCARD = "*"
"""The `host` bucket of rules whose host begins with `*`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is fixed for a control plane's whole life."""

    domain: str = DEFAULT_DOMAIN
    derive_endpoints: bool = False
    """Compute endpoints from Pods for Services without an EndpointSlice: where no Kubernetes does it."""


class Registry(Graph):
    """All tables of one control plane."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__()
        self.settings = settings or Settings()
        domain = self.settings.domain

        self.virtual_services: Table[Key, Config[VirtualService]] = Table(
            self, "virtual_services", lambda row: _virtual_service(row, domain)
        )
        self.destination_rules: Table[Key, Config[DestinationRule]] = Table(
            self, "destination_rules", lambda row: {"host": _bucket(row.spec.host, row.meta.namespace, domain)}
        )
        self.gateways: Table[Key, Config[Gateway]] = Table(self, "gateways")
        self.service_entries: Table[Key, Config[ServiceEntry]] = Table(
            self, "service_entries", lambda row: {"host": row.spec.hosts, "namespace": (row.meta.namespace,)}
        )
        self.workload_entries: Table[Key, Config[WorkloadEntry]] = Table(self, "workload_entries", _namespaced)
        self.sidecars: Table[Key, Config[Sidecar]] = Table(self, "sidecars", _namespaced)
        self.peer_authentications: Table[Key, Config[PeerAuthentication]] = Table(
            self, "peer_authentications", _namespaced
        )
        self.request_authentications: Table[Key, Config[RequestAuthentication]] = Table(
            self, "request_authentications", _namespaced
        )
        self.authorization_policies: Table[Key, Config[AuthorizationPolicy]] = Table(
            self, "authorization_policies", _namespaced
        )
        self.unreadable_policies: Table[ObjectRef, Guard] = Table(
            self, "unreadable_policies", lambda row: {"policies": ((row.ref.kind, row.ref.namespace),)}
        )
        """Security policies of which no version could ever be read. Never beside a row of the policy's own table."""

        self.services: Table[Key, k8s.Service] = Table(
            self,
            "services",
            lambda row: {
                "host": (service_host(row.name, row.namespace, domain),),
                "namespace": (row.namespace,),
            },
        )
        self.endpoint_slices: Table[Key, k8s.EndpointSlice] = Table(
            self,
            "endpoint_slices",
            lambda row: {"service": ((row.namespace, row.service),)},
        )
        self.pods: Table[Key, k8s.Pod] = Table(self, "pods", lambda row: {"namespace": (row.namespace,)})
        self.nodes: Table[str, k8s.Node] = Table(self, "nodes")
        self.namespaces: Table[str, k8s.Namespace] = Table(self, "namespaces")
        self.secrets: Table[Key, k8s.Secret] = Table(self, "secrets")
        self.mesh_config: Table[str, MeshConfig] = Table(self, "mesh_config")
        """One row, under `MESH`."""
        self.local_ports: Table[Key, LocalPorts] = Table(self, "local_ports")
        """By pod: only where proxies share one machine."""


MESH = "mesh"


def _namespaced(row: Config[Any]) -> Mapping[str, Iterable[str]]:
    return {"namespace": (row.meta.namespace,)}


def _bucket(host: str, namespace: str, domain: str) -> tuple[str, ...]:
    return (WILDCARD,) if host.startswith("*") else (resolve_host(host, namespace, domain),)


def _virtual_service(row: Config[VirtualService], domain: str) -> Mapping[str, Iterable[str]]:
    namespace = row.meta.namespace
    gateways = row.spec.gateways or (MESH_GATEWAY,)
    return {
        "host": (bucket for host in row.spec.hosts for bucket in _bucket(host, namespace, domain)),
        "gateway": tuple(qualified_gateway(gateway, namespace) for gateway in gateways),
    }
