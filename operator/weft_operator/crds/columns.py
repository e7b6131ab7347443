"""What `kubectl get` shows of an object beside its name."""

from collections.abc import Mapping
from typing import Any, Final

from weft_core.model.kinds import Kind

Column = dict[str, Any]

_OF_SPEC: Final[Mapping[str, tuple[tuple[str, str, str], ...]]] = {
    "VirtualService": (
        ("Gateways", ".spec.gateways", "The gateways, or mesh, that follow it."),
        ("Hosts", ".spec.hosts", "The hosts whose traffic it routes."),
    ),
    "DestinationRule": (("Host", ".spec.host", "The service that it is about."),),
    "Gateway": (("Selector", ".spec.selector", "Labels of the gateway's pods."),),
    "ServiceEntry": (
        ("Hosts", ".spec.hosts", "Names of the service."),
        ("Location", ".spec.location", "Whether the service is part of the mesh."),
        ("Resolution", ".spec.resolution", "How its endpoints are found."),
    ),
    "WorkloadEntry": (("Address", ".spec.address", "Where the workload is."),),
    "Sidecar": (("Selector", ".spec.workloadSelector.labels", "Labels of the pods that it is about."),),
    "PeerAuthentication": (("Mode", ".spec.mtls.mode", "What workloads accept."),),
    "RequestAuthentication": (("Selector", ".spec.selector.matchLabels", "Labels of the pods that it is about."),),
    "AuthorizationPolicy": (("Action", ".spec.action", "What is done with requests that match."),),
}
_CONDITIONS: Final = (
    ("Accepted", "Whether it is well-formed and in force."),
    ("Programmed", "Whether the proxies that need it have taken it."),
)


def columns(kind: Kind) -> list[Column]:
    """The printer columns of a kind: what tells its objects apart, their state, and their age."""
    found = [
        {"name": name, "type": "string", "jsonPath": path, "description": words}
        for name, path, words in _OF_SPEC[kind.kind]
    ]
    found += [
        {
            "name": name,
            "type": "string",
            "jsonPath": f'.status.conditions[?(@.type=="{name}")].status',
            "description": words,
        }
        for name, words in _CONDITIONS
    ]
    age = {
        "name": "Age",
        "type": "date",
        "jsonPath": ".metadata.creationTimestamp",
        "description": "Time since it was created.",
    }
    return [*found, age]
