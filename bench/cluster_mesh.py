"""The mesh of `bench.mesh` as objects of a cluster, and changes to it: written through the API server, as people do.

Each service has its endpoints in one EndpointSlice, and for each endpoint a Pod that runs. Every ninth service has a
VirtualService and a DestinationRule. Nothing limits what a sidecar sees: there is no Sidecar resource, and everything
is exported to everybody.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from bench.cluster_ingest import pod
from bench.mesh import NAMESPACES, PORT, address, name, namespace

from weft_kube import resource
from weft_kube.client import Api
from weft_kube.login import login
from weft_kube.resource import Resource

SERVICE_ACCOUNT: Final = "app"
RULED: Final = 9
"""One service in so many has a VirtualService and a DestinationRule; no divisor of NAMESPACES, so all have some."""
_LABELS: Final = {"istio-injection": "enabled", "weft.dev/injection": "enabled"}
_WRITERS: Final = 16

_SERVICES = Resource(plural="services", kind="Service")
_SLICES = Resource(group="discovery.k8s.io", plural="endpointslices", kind="EndpointSlice")
_VIRTUAL_SERVICES = Resource(group="networking.istio.io", plural="virtualservices", kind="VirtualService")
_DESTINATION_RULES = Resource(group="networking.istio.io", plural="destinationrules", kind="DestinationRule")


@dataclass(frozen=True, slots=True)
class _Written:
    """An object, and where it goes."""

    kind: Resource
    namespace: str
    body: dict[str, Any]


class ClusterMesh:
    """`services` services of `endpoints` endpoints in ten namespaces."""

    def __init__(self, api: Api, *, services: int, endpoints: int) -> None:
        self._api = api
        self._services = services
        self._endpoints = endpoints
        self._changes = 0

    @classmethod
    @asynccontextmanager
    async def of(cls, kubeconfig: Path, *, services: int, endpoints: int) -> AsyncIterator[Self]:
        """The mesh of this cluster, which is empty so far."""
        async with Api(login(kubeconfig)) as api:
            yield cls(api, services=services, endpoints=endpoints)

    async def fill(self) -> None:
        """Write everything, many objects at a time."""
        for number in range(NAMESPACES):
            await self._api.create(resource.NAMESPACES, {"metadata": {"name": namespace(number), "labels": _LABELS}})
        waiting = self._objects()
        await asyncio.gather(*(self._write(waiting) for _ in range(_WRITERS)))

    async def change_endpoint(self, number: int) -> None:
        """One pod of a service is replaced by one with another address; returns when the API server has said yes."""
        self._changes += 1
        first = f"10.200.{self._changes >> 8 & 255}.{self._changes & 255}"
        endpoints = self._endpoints_of(number, first)
        await self._api.patch(_SLICES, name(number), {"endpoints": endpoints}, namespace(number))

    async def change_route(self, number: int) -> None:
        """A VirtualService that is there gets another timeout; `number` counts those services that have one."""
        self._changes += 1
        number = number * RULED % (self._services // RULED * RULED)
        await self._api.patch(_VIRTUAL_SERVICES, name(number), {"spec": self._route(number)}, namespace(number))

    async def _write(self, waiting: Iterator[_Written]) -> None:
        for each in waiting:
            typed = {"apiVersion": each.kind.api_version, "kind": each.kind.kind, **each.body}
            await self._api.create(each.kind, typed, each.namespace)
            if each.kind is resource.PODS:  # what its kubelet would say
                called, status = each.body["metadata"]["name"], {"status": each.body["status"]}
                await self._api.patch(each.kind, called, status, each.namespace, subresource="status")

    def _objects(self) -> Iterator[_Written]:
        for number in range(self._services):
            where = namespace(number)
            yield _Written(_SERVICES, where, _service(number))
            yield _Written(_SLICES, where, self._slice(number))
            for index in range(self._endpoints):
                yield _Written(resource.PODS, where, _running(number, index))
            if number % RULED == 0:
                yield _Written(
                    _VIRTUAL_SERVICES, where, {"metadata": {"name": name(number)}, "spec": self._route(number)}
                )
                yield _Written(_DESTINATION_RULES, where, _destination_rule(number))

    def _slice(self, number: int) -> dict[str, Any]:
        return {
            "metadata": {"name": name(number), "labels": {"kubernetes.io/service-name": name(number)}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
            "endpoints": self._endpoints_of(number, address(number, 0)),
        }

    def _endpoints_of(self, number: int, first: str) -> list[dict[str, Any]]:
        addresses = [first, *(address(number, index) for index in range(1, self._endpoints))]
        return [
            {
                "addresses": [each],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "targetRef": {"kind": "Pod", "namespace": namespace(number), "name": pod_name(number, index)},
            }
            for index, each in enumerate(addresses)
        ]

    def _route(self, number: int) -> dict[str, Any]:
        destination = {"destination": {"host": name(number)}}
        return {"hosts": [name(number)], "http": [{"timeout": f"{5 + self._changes}s", "route": [destination]}]}


def pod_name(number: int, index: int) -> str:
    """The pod behind a service's endpoint."""
    return f"{name(number)}-{index}"


def pod_labels(number: int) -> dict[str, str]:
    """The labels of a service's pods."""
    labels: dict[str, str] = pod("", name(number))["metadata"]["labels"]
    return labels


def _service(number: int) -> dict[str, Any]:
    ports = [{"name": "http", "port": PORT, "targetPort": PORT}]
    return {"metadata": {"name": name(number)}, "spec": {"selector": {"app": name(number)}, "ports": ports}}


def _running(number: int, index: int) -> dict[str, Any]:
    body = pod(pod_name(number, index), name(number))
    body["spec"]["serviceAccountName"] = SERVICE_ACCOUNT
    body["spec"]["containers"].append({"name": "istio-proxy", "image": "registry.example/proxy:1.2.3"})
    found = address(number, index)
    ready = {"type": "Ready", "status": "True"}
    body["status"] = {"phase": "Running", "podIP": found, "podIPs": [{"ip": found}], "conditions": [ready]}
    return body


def _destination_rule(number: int) -> dict[str, Any]:
    policy = {
        "connectionPool": {"http": {"http2MaxRequests": 100}},
        "outlierDetection": {"consecutive5xxErrors": 5, "interval": "10s"},
    }
    return {"metadata": {"name": name(number)}, "spec": {"host": name(number), "trafficPolicy": policy}}
