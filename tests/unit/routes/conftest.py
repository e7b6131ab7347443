"""A small mesh in memory: YAML of specs goes in, virtual hosts and route configurations come out."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import yaml

from weft_core.ir.route import Forward, Route, RouteConfiguration, VirtualHost
from weft_core.model import kubernetes as k8s
from weft_core.model.base import Model
from weft_core.model.destination_rule import DestinationRule
from weft_core.model.gateway import Gateway
from weft_core.model.mesh_config import MeshConfig
from weft_core.model.meta import Config, Meta
from weft_core.model.service_entry import ServiceEntry
from weft_core.model.sidecar import Sidecar
from weft_core.model.virtual_service import VirtualService
from weft_core.problems import Problem
from weft_core.registry import MESH, Registry
from weft_core.view.routes import route_configuration, route_ids
from weft_core.view.virtual_hosts import VirtualHostId, virtual_host, virtual_host_ids
from weft_core.view.virtual_service_problems import virtual_service_problems
from weft_core.view.visibility import Client


class Mesh:
    """A registry with short ways in and out; all names default to namespace `default`."""

    def __init__(self) -> None:
        self.db = Registry()
        self.client = Client(namespace="default")

    def settings(self, text: str) -> None:
        """Put the MeshConfig."""
        self.db.mesh_config.put(MESH, MeshConfig.model_validate(yaml.safe_load(text)))

    def route(self, text: str, name: str = "route", namespace: str = "default", created: str = "") -> None:
        """Put a VirtualService."""
        self.db.virtual_services.put((namespace, name), self._config(VirtualService, text, name, namespace, created))

    def rule(self, text: str, name: str = "rule", namespace: str = "default") -> None:
        """Put a DestinationRule."""
        self.db.destination_rules.put((namespace, name), self._config(DestinationRule, text, name, namespace))

    def entry(self, text: str, name: str = "entry", namespace: str = "default") -> None:
        """Put a ServiceEntry."""
        self.db.service_entries.put((namespace, name), self._config(ServiceEntry, text, name, namespace))

    def sidecar(self, text: str, name: str = "sidecar", namespace: str = "default") -> Client:
        """Put a Sidecar, and give the client that it is in force for."""
        self.db.sidecars.put((namespace, name), self._config(Sidecar, text, name, namespace))
        return Client(namespace=namespace, sidecar=(namespace, name))

    def gateway(self, text: str, name: str = "gateway", namespace: str = "default") -> None:
        """Put a Gateway."""
        self.db.gateways.put((namespace, name), self._config(Gateway, text, name, namespace))

    def service(self, name: str, *ports: tuple[str, int], namespace: str = "default", **spec: Any) -> None:
        """Put a Service with these (name, number) ports; `http` on 80 where none is given."""
        wanted = {
            "clusterIP": f"10.0.0.{len(self.db.services) + 1}",
            "ports": [{"name": label, "port": number} for label, number in ports or (("http", 80),)],
            **spec,
        }
        body = {"metadata": {"name": name, "namespace": namespace}, "spec": wanted}
        self.db.services.put((namespace, name), msgspec.convert(body, k8s.Service))

    def ids(self, client: Client | None = None) -> dict[str, VirtualHostId]:
        """A client's virtual hosts by resource name."""
        return {key.name: key for key in virtual_host_ids(self.db, client or self.client)}

    def host(self, name: str, client: Client | None = None, port: int = 80, rds: str = "") -> VirtualHost:
        """A client's virtual host; a name without dots is a Service of namespace `default`."""
        full = name if "." in name else f"{name}.default.svc.cluster.local"
        found = virtual_host(self.db, self.ids(client)[f"{rds or port}/{full}:{port}"])
        assert found is not None
        return found

    def only(self, text: str, client: Client | None = None, port: int = 80) -> Route:
        """The only route of the Service `reviews` under a VirtualService with this one rule."""
        self.route(yaml.safe_dump({"hosts": ["reviews"], "http": [yaml.safe_load(text)]}))
        (route,) = self.host("reviews", client, port).routes
        return route

    def forward(self, text: str) -> Forward:
        """The action of `only`, which sends requests on."""
        action = self.only(text).action
        assert isinstance(action, Forward)
        return action

    def configurations(self, client: Client | None = None) -> dict[str, RouteConfiguration]:
        """A client's route configurations by name."""
        keys = route_ids(self.db, client or self.client)
        return {key.name: route_configuration(self.db, key) for key in keys}

    def problems(self, name: str = "route", namespace: str = "default") -> tuple[Problem, ...]:
        """The findings about one VirtualService."""
        return virtual_service_problems(self.db, (namespace, name))

    def _config(self, model: type[Model], text: str, name: str, namespace: str, created: str = "") -> Config[Any]:
        meta = Meta(kind=model.__name__, namespace=namespace, name=name, created=created)
        return Config(meta=meta, spec=model.model_validate(yaml.safe_load(text)))


@pytest.fixture
def mesh() -> Mesh:
    """A mesh with the Service `reviews`."""
    mesh = Mesh()
    mesh.service("reviews")
    return mesh


@pytest.fixture
def clusters() -> Callable[[Route], list[str]]:
    """Gives the clusters that a route sends requests to, without `outbound|`."""

    def of(route: Route) -> list[str]:
        assert isinstance(route.action, Forward)
        return [cluster.name.removeprefix("outbound|") for cluster in route.action.clusters]

    return of
