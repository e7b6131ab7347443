"""A small mesh with gateway pods: YAML of specs goes in, listeners and routes of a gateway come out."""

from typing import Any

import msgspec
import pytest
import yaml

from weft_core.ir.listener import Listener
from weft_core.ir.route import RouteConfiguration, VirtualHost
from weft_core.model import kubernetes as k8s
from weft_core.model.base import Model
from weft_core.model.gateway import Gateway
from weft_core.model.mesh_config import MeshConfig
from weft_core.model.meta import Config, Meta
from weft_core.model.virtual_service import VirtualService
from weft_core.proxy import LocalPorts, ProxyId, ProxyKind
from weft_core.registry import MESH, Registry
from weft_core.view.gateway_listeners import gateway_listeners
from weft_core.view.gateway_routes import gateway_route_ids, gateway_virtual_host_ids
from weft_core.view.gateways import GatewayId, gateway_id
from weft_core.view.routes import route_configuration
from weft_core.view.virtual_hosts import virtual_host

EDGE = ProxyId(ProxyKind.GATEWAY, "edge", "gateway-1")


class Edge:
    """A registry with one gateway pod, `gateway-1.edge`, and short ways in and out."""

    def __init__(self) -> None:
        self.db = Registry()
        self.put("pods", "gateway-1", "edge", k8s.Pod, labels={"istio": "edge"})

    def put(self, table: str, name: str, namespace: str, kind: type[Any], **body: Any) -> None:
        """Put a Kubernetes object."""
        metadata = {"name": name, "namespace": namespace, "labels": body.pop("labels", {})}
        getattr(self.db, table).put((namespace, name), msgspec.convert({"metadata": metadata, **body}, kind))

    def service(self, name: str, namespace: str = "default") -> None:
        """Put a Service with an HTTP port 80 and a TCP port 5432."""
        ports = [{"name": "http", "port": 80}, {"name": "tcp", "port": 5432}]
        self.put("services", name, namespace, k8s.Service, spec={"ports": ports, "clusterIP": "10.0.0.1"})

    def gateway(self, servers: str, name: str = "gateway", created: str = "", **labels: str) -> None:
        """Put a Gateway of namespace `edge` for the pod, with these servers."""
        spec = {"selector": labels or {"istio": "edge"}, "servers": yaml.safe_load(servers)}
        self.db.gateways.put(("edge", name), self._config(Gateway, spec, name, "edge", created))

    def route(self, text: str, name: str = "route", namespace: str = "default", created: str = "") -> None:
        """Put a VirtualService; it names the Gateway `edge/gateway` unless it says otherwise."""
        spec = {"gateways": ["edge/gateway"], **yaml.safe_load(text)}
        config = self._config(VirtualService, spec, name, namespace, created)
        self.db.virtual_services.put((namespace, name), config)

    def settings(self, text: str) -> None:
        """Put the MeshConfig."""
        self.db.mesh_config.put(MESH, MeshConfig.model_validate(yaml.safe_load(text)))

    def local(self, **ports: Any) -> None:
        """Let the gateway share one machine with the others."""
        self.db.local_ports.put(("edge", "gateway-1"), LocalPorts(**ports))

    @property
    def id(self) -> GatewayId:
        """What the pod is."""
        found = gateway_id(self.db, EDGE)
        assert found is not None
        return found

    def listeners(self) -> dict[str, Listener]:
        """The gateway's listeners by name."""
        return {listener.name: listener for listener in gateway_listeners(self.db, self.id)}

    def configurations(self) -> dict[str, RouteConfiguration]:
        """The gateway's route configurations by name."""
        return {key.name: route_configuration(self.db, key) for key in gateway_route_ids(self.db, self.id)}

    def hosts(self) -> dict[str, VirtualHost]:
        """The gateway's virtual hosts by resource name, those that travel by themselves."""
        found = {key.name: virtual_host(self.db, key) for key in gateway_virtual_host_ids(self.db, self.id)}
        return {name: host for name, host in found.items() if host}

    def _config(self, model: type[Model], spec: dict[str, Any], name: str, namespace: str, created: str) -> Config[Any]:
        meta = Meta(kind=model.__name__, namespace=namespace, name=name, created=created)
        return Config(meta=meta, spec=model.model_validate(spec))


@pytest.fixture
def edge() -> Edge:
    """A gateway pod and the Service `shop`."""
    edge = Edge()
    edge.service("shop")
    return edge
