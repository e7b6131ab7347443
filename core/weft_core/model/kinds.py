"""The kinds that Weft knows: API group, versions, names, scope and model."""

from collections.abc import Mapping
from dataclasses import dataclass

from weft_core.model import kubernetes as k8s
from weft_core.model.authorization_policy import AuthorizationPolicy
from weft_core.model.base import Model
from weft_core.model.destination_rule import DestinationRule
from weft_core.model.gateway import Gateway
from weft_core.model.peer_authentication import PeerAuthentication
from weft_core.model.request_authentication import RequestAuthentication
from weft_core.model.service_entry import ServiceEntry
from weft_core.model.sidecar import Sidecar
from weft_core.model.virtual_service import VirtualService
from weft_core.model.workload_entry import WorkloadEntry

NETWORKING = "networking.istio.io"
SECURITY = "security.istio.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of object. `versions` are those served, the preferred one first."""

    kind: str
    group: str
    versions: tuple[str, ...]
    plural: str
    model: type[Model] | type[k8s.KubernetesObject]
    namespaced: bool = True
    short_names: tuple[str, ...] = ()

    @property
    def api_versions(self) -> tuple[str, ...]:
        """What `apiVersion` may be, the preferred one first."""
        return tuple(f"{self.group}/{version}" if self.group else version for version in self.versions)

    @property
    def is_mesh(self) -> bool:
        """Whether it is one of Istio's kinds, rather than one of Kubernetes."""
        return issubclass(self.model, Model)


def _networking(model: type[Model], plural: str, *short_names: str) -> Kind:
    versions = ("v1", "v1beta1", "v1alpha3")
    return Kind(
        kind=model.__name__,
        group=NETWORKING,
        versions=versions,
        plural=plural,
        model=model,
        short_names=short_names,
    )


def _security(model: type[Model], plural: str, *short_names: str) -> Kind:
    return Kind(
        kind=model.__name__,
        group=SECURITY,
        versions=("v1", "v1beta1"),
        plural=plural,
        model=model,
        short_names=short_names,
    )


def _kubernetes(model: type[k8s.KubernetesObject], plural: str, group: str = "", *, namespaced: bool = True) -> Kind:
    return Kind(
        kind=model.__name__,
        group=group,
        versions=("v1",),
        plural=plural,
        model=model,
        namespaced=namespaced,
    )


MESH_KINDS: tuple[Kind, ...] = (
    _networking(VirtualService, "virtualservices", "vs"),
    _networking(DestinationRule, "destinationrules", "dr"),
    _networking(Gateway, "gateways", "gw"),
    _networking(ServiceEntry, "serviceentries", "se"),
    _networking(WorkloadEntry, "workloadentries", "we"),
    _networking(Sidecar, "sidecars"),
    _security(PeerAuthentication, "peerauthentications", "pa"),
    _security(RequestAuthentication, "requestauthentications", "ra"),
    _security(AuthorizationPolicy, "authorizationpolicies", "ap"),
)

KUBERNETES_KINDS: tuple[Kind, ...] = (
    _kubernetes(k8s.Service, "services"),
    _kubernetes(k8s.Pod, "pods"),
    _kubernetes(k8s.EndpointSlice, "endpointslices", "discovery.k8s.io"),
    _kubernetes(k8s.Namespace, "namespaces", namespaced=False),
    _kubernetes(k8s.Node, "nodes", namespaced=False),
    _kubernetes(k8s.Secret, "secrets"),
    _kubernetes(k8s.ConfigMap, "configmaps"),
    _kubernetes(k8s.ServiceAccount, "serviceaccounts"),
    _kubernetes(k8s.Deployment, "deployments", "apps"),
    _kubernetes(k8s.StatefulSet, "statefulsets", "apps"),
    _kubernetes(k8s.DaemonSet, "daemonsets", "apps"),
    _kubernetes(k8s.ReplicaSet, "replicasets", "apps"),
    _kubernetes(k8s.Job, "jobs", "batch"),
)

KINDS: tuple[Kind, ...] = MESH_KINDS + KUBERNETES_KINDS

BY_API: Mapping[tuple[str, str], Kind] = {(api, k.kind): k for k in KINDS for api in k.api_versions}
"""Kinds by (apiVersion, kind), for every version that is served."""

UNSUPPORTED_MESH_KINDS: Mapping[str, str] = {
    "EnvoyFilter": NETWORKING,
    "WorkloadGroup": NETWORKING,
    "ProxyConfig": NETWORKING,
    "Telemetry": "telemetry.istio.io",
    "WasmPlugin": "extensions.istio.io",
    "TrafficExtension": "extensions.istio.io",
    "IstioOperator": "install.istio.io",
}
"""Istio's kinds that Weft knows of and does not act upon, with their groups."""
