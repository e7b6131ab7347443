"""One change among 1,000 services runs a handful of queries, however many services and proxies there are.

Budgets are upper bounds with little room. A test that fails because one more query runs asks: does it have to?
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from weft_core.proxy import ProxyId, ProxyKind
from weft_xds.fanout import Fanout, Marks
from weft_xds.quarantine import Quarantine
from weft_xds.resources import CATALOG
from weft_xds.types import CDS, EDS, LDS, VHDS

if TYPE_CHECKING:
    from tests.property.conftest import Mesh

    NewMesh = Callable[[Iterable[Any]], Mesh]

NAMESPACES = ("ns-0", "ns-1", "ns-2", "ns-3")


@dataclass(slots=True, eq=False)
class Told:
    """A stream that notes what it is told to look at."""

    names: set[tuple[str, str]] = field(default_factory=set)

    def mark(self, marks: Marks) -> None:
        self.names.update((type_url, name) for type_url, names in marks.items() for name in names)

    def acknowledged(self, type_url: str, name: str, version: str) -> bool:
        del type_url, name, version
        return False

    def has(self, type_url: str, name: str, version: str) -> bool:
        return self.acknowledged(type_url, name, version)

    def settled(self) -> bool:
        return False


class Large:
    """Many services of five endpoints, each with routes and a rule, seen by proxies of every namespace."""

    def __init__(self, new_mesh: "NewMesh", services: int, proxies: int) -> None:
        self.mesh = new_mesh([])
        self.mesh.write("PeerAuthentication", "istio-system", "all", {"spec": {"mtls": {"mode": "STRICT"}}})
        for index in range(services):
            self.service(index)
        for index in range(proxies):
            self.pod(NAMESPACES[index % len(NAMESPACES)], f"proxy-{index}", f"10.2.0.{index}", {"app": "proxy"})
        failures: list[Any] = []
        registry = self.mesh.registry
        self.fanout = Fanout(registry, CATALOG, Quarantine(failures.append), failed=lambda *args: failures.append(args))
        self.streams = [Told() for _ in range(proxies)]
        for index, stream in enumerate(self.streams):
            namespace = NAMESPACES[index % len(NAMESPACES)]
            self.fanout.join(ProxyId(ProxyKind.SIDECAR, namespace, f"proxy-{index}"), stream)
        assert failures == []

    def service(self, index: int) -> None:
        namespace, name = NAMESPACES[index % len(NAMESPACES)], f"s{index}"
        ports = [{"name": "http", "port": 80, "targetPort": 8080}]
        address = f"10.{100 + (index >> 8)}.{index & 255}.1"
        self.mesh.write(
            "Service", namespace, name, {"spec": {"clusterIP": address, "ports": ports, "selector": {"app": name}}}
        )
        self.endpoints(index)
        self.route(index)
        self.rule(index)

    def pod(self, namespace: str, name: str, address: str, labels: dict[str, str]) -> None:
        labels = {**labels, "security.istio.io/tlsMode": "istio"}
        status = {"podIP": address, "conditions": [{"type": "Ready", "status": "True"}]}
        self.mesh.write("Pod", namespace, name, {"metadata": {"labels": labels}, "spec": {}, "status": status})

    def endpoints(self, index: int, count: int = 5) -> None:
        name = f"s{index}"
        ends = [{"addresses": [f"10.{10 + (index >> 8)}.{index & 255}.{n}"]} for n in range(1, count + 1)]
        labels = {"kubernetes.io/service-name": name}
        content = {"metadata": {"labels": labels}, "endpoints": ends, "ports": [{"name": "http", "port": 8080}]}
        self.mesh.write("EndpointSlice", NAMESPACES[index % len(NAMESPACES)], name, content)

    def route(self, index: int, timeout: str = "1s") -> None:
        name = f"s{index}"
        rule = {"timeout": timeout, "route": [{"destination": {"host": name, "subset": "v1"}}]}
        self.mesh.write(
            "VirtualService", NAMESPACES[index % len(NAMESPACES)], name, {"spec": {"hosts": [name], "http": [rule]}}
        )

    def rule(self, index: int, connections: int = 10) -> None:
        name = f"s{index}"
        policy = {"connectionPool": {"tcp": {"maxConnections": connections}}}
        spec = {"host": name, "trafficPolicy": policy, "subsets": [{"name": "v1", "labels": {"version": "v1"}}]}
        self.mesh.write("DestinationRule", NAMESPACES[index % len(NAMESPACES)], name, {"spec": spec})

    def changed(self) -> tuple[dict[str, int], set[tuple[str, str]]]:
        """Commit: the queries that run, with their counts, and what any stream is told."""
        for stream in self.streams:
            stream.names.clear()
        self.mesh.registry.runs = {}
        self.fanout.commit()
        runs, self.mesh.registry.runs = self.mesh.registry.runs, None
        return runs, {name for stream in self.streams for name in stream.names}

    def policy(self, path: str, app: str = "proxy", *, readable: bool = True) -> None:
        operation = {"operation": {"paths": [path]}}
        spec: dict[str, Any] = {
            "selector": {"matchLabels": {"app": app}},
            "action": "DENY",
            "rules": [{"to": [operation]}],
        }
        if not readable:
            spec["frobnicate"] = True
        self.mesh.write("AuthorizationPolicy", "ns-3", f"deny-{app}", {"spec": spec})

    def peers(self, mode: str) -> None:
        spec = {"selector": {"matchLabels": {"app": "proxy"}}, "mtls": {"mode": mode}}
        self.mesh.write("PeerAuthentication", "ns-3", "peers", {"spec": spec})


@pytest.fixture(scope="module")
def large(new_mesh: "NewMesh") -> Large:
    return Large(new_mesh, services=1000, proxies=12)


@pytest.fixture(scope="module")
def small(new_mesh: "NewMesh") -> Large:
    return Large(new_mesh, services=40, proxies=4)


HOST = "s7.ns-3.svc.cluster.local"
CLUSTER, SUBSET = f"outbound|80||{HOST}", f"outbound|80|v1|{HOST}"
CHANGES: dict[str, tuple[Callable[[Large, int], None], int, Collection[tuple[str, str]]]] = {
    "endpoint": (lambda mesh, n: mesh.endpoints(7, n + 1), 6, {(EDS, CLUSTER)}),
    "VirtualService": (lambda mesh, n: mesh.route(7, f"{n + 1}s"), 12, {(VHDS, f"80/{HOST}:80")}),
    "DestinationRule": (lambda mesh, n: mesh.rule(7, n + 1), 18, {(CDS, CLUSTER), (CDS, SUBSET)}),
    "AuthorizationPolicy": (lambda mesh, n: mesh.policy(f"/{n}"), 10, {(LDS, "virtualInbound")}),
    "AuthorizationPolicy of no proxy": (lambda mesh, n: mesh.policy(f"/{n}", "other"), 3, set()),
    "AuthorizationPolicy that can't be read": (
        lambda mesh, n: mesh.policy("/", readable=not n),
        10,
        {(LDS, "virtualInbound")},
    ),
    "AuthorizationPolicy of no proxy that can't be read": (
        lambda mesh, n: mesh.policy("/", "other", readable=not n),
        4,
        set(),
    ),
    "PeerAuthentication": (lambda mesh, n: mesh.peers(("STRICT", "PERMISSIVE")[n]), 10, {(LDS, "virtualInbound")}),
    "Pod that no slice names": (lambda mesh, n: mesh.pod("ns-3", "other", f"10.3.0.{n}", {"app": "other"}), 1, set()),
}
"""Change → how to make it (in two ways), how many queries it may run, and what streams are told of."""


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_stays_in_its_budget(change: str, large: Large, small: Large) -> None:
    make, budget, told = CHANGES[change]
    for mesh in (large, small):
        make(mesh, 0)
        mesh.changed()
        make(mesh, 1)
    runs, names = large.changed()
    assert names == set(told)
    assert sum(runs.values()) <= budget, runs
    assert (runs, names) == small.changed(), "what it costs depends on how many services or proxies there are"


def test_an_equal_object_runs_nothing(large: Large) -> None:
    large.changed()
    large.pod("ns-0", "proxy-0", "10.2.0.0", {"app": "proxy"})
    assert large.changed() == ({}, set())
