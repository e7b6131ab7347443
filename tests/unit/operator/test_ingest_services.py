"""Services of every kind, as the API server gives them: what comes of them in the views, after ingest."""

import json
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from weft_core.ir.service import Protocol, Resolution, ServiceRef
from weft_core.registry import Registry
from weft_core.view.endpoints import instances
from weft_core.view.services import service
from weft_operator.ingest.kubernetes import SOURCES, TableSink
from weft_operator.ingest.metrics import IngestMetrics

REF = ServiceRef("shop", "web.shop.svc.cluster.local")
READY = {"ready": True, "serving": True, "terminating": False}
UNREADY = {"ready": False, "serving": False, "terminating": False}
LEAVING = {"ready": False, "serving": True, "terminating": True}


class Cluster:
    """Objects as JSON, through ingest's sinks, in a registry."""

    def __init__(self) -> None:
        self.db = Registry()
        metrics = IngestMetrics(CollectorRegistry())
        self._sinks: dict[str, tuple[type, TableSink[Any]]] = {
            source.kind.__name__: (
                source.kind,
                TableSink(
                    source.table(self.db),
                    shape=source.shape,
                    changed=lambda: None,
                    metrics=metrics,
                    kind=source.kind.__name__,
                    namespaced=source.resource.namespaced,
                ),
            )
            for source in SOURCES
        }

    def put(self, kind: str, name: str, labels: dict[str, str] | None = None, **document: Any) -> None:
        metadata = {"name": name, "namespace": "shop", "resourceVersion": "7", "labels": labels or {}}
        struct, sink = self._sinks[kind]
        sink.put(msgspec.json.decode(json.dumps({"metadata": metadata, **document}), type=struct))

    def service(self, *, ports: list[dict[str, Any]] | None = None, **spec: Any) -> None:
        ports = ports or [{"name": "http", "port": 80, "targetPort": "main", "protocol": "TCP"}]
        self.put("Service", "web", spec={"clusterIP": "10.96.0.1", "selector": {"app": "web"}, "ports": ports, **spec})

    def slice(self, name: str, *endpoints: dict[str, Any], family: str = "IPv4", port: int | None = 8080) -> None:
        self.put(
            "EndpointSlice",
            name,
            {"kubernetes.io/service-name": "web"},
            addressType=family,
            endpoints=list(endpoints) or None,
            ports=[{"name": "http", "port": port, "protocol": "TCP"}],
        )

    def addresses(self, number: int = 80) -> list[tuple[str, int]]:
        return [(found.address, found.port) for found in instances(self.db, REF, number)]


def endpoint(address: str, conditions: dict[str, bool] | None = None, pod: str = "", **more: Any) -> dict[str, Any]:
    target = {"targetRef": {"kind": "Pod", "namespace": "shop", "name": pod}} if pod else {}
    return {"addresses": [address], "conditions": READY if conditions is None else conditions, **target, **more}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_all_slices_of_a_service_count_each_with_its_own_port(cluster: Cluster) -> None:
    """A named target port may be another number in other pods, which then are in another slice."""
    cluster.service()
    cluster.slice("web-1", endpoint("10.0.0.1"), endpoint("10.0.0.2"))
    cluster.slice("web-2", endpoint("10.0.0.3"), port=9090)
    cluster.slice("web-3")
    assert cluster.addresses() == [("10.0.0.1", 8080), ("10.0.0.2", 8080), ("10.0.0.3", 9090)]


def test_an_endpoint_that_moves_between_slices_is_there_once(cluster: Cluster) -> None:
    """The controller writes one slice after the other; meanwhile the endpoint is in both."""
    cluster.service()
    cluster.slice("web-1", endpoint("10.0.0.1", pod="web-0"))
    cluster.slice("web-2", endpoint("10.0.0.1", pod="web-0"))
    assert cluster.addresses() == [("10.0.0.1", 8080)]


def test_what_is_not_ready_or_leaving_takes_no_traffic(cluster: Cluster) -> None:
    cluster.service()
    cluster.slice("web-1", endpoint("10.0.0.1"), endpoint("10.0.0.2", UNREADY), endpoint("10.0.0.3", LEAVING))
    cluster.slice("web-2", endpoint("10.0.0.4", {}))
    assert cluster.addresses() == [("10.0.0.1", 8080), ("10.0.0.4", 8080)]


def test_publish_not_ready_addresses_is_obeyed(cluster: Cluster) -> None:
    cluster.service(publishNotReadyAddresses=True)
    cluster.slice("web-1", endpoint("10.0.0.2", UNREADY))
    assert cluster.addresses() == [("10.0.0.2", 8080)]


def test_endpoints_without_a_pod_are_plain_addresses(cluster: Cluster) -> None:
    """A Service without selector, whose slices somebody writes by hand."""
    cluster.service(selector=None)
    cluster.slice("web-1", endpoint("192.0.2.7", zone="a"))
    (found,) = instances(cluster.db, REF, 80)
    assert (found.address, found.workload, found.mutual_tls, found.locality.zone) == ("192.0.2.7", "", False, "a")


def test_endpoints_learn_labels_account_and_place_from_their_pod_and_its_node(cluster: Cluster) -> None:
    cluster.service()
    cluster.slice("web-1", endpoint("10.0.0.1", pod="web-0"))
    labels = {"app": "web", "security.istio.io/tlsMode": "istio"}
    spec = {"nodeName": "n", "serviceAccountName": "shopkeeper", "containers": [{"name": "app"}]}
    cluster.put("Pod", "web-0", labels, spec=spec, status={"podIP": "10.0.0.1", "phase": "Running"})
    cluster.put("Node", "n", {"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "z"})
    (found,) = instances(cluster.db, REF, 80)
    assert (found.service_account, found.mutual_tls) == ("shopkeeper", True)
    assert (found.locality.region, found.locality.zone) == ("r", "z")


def test_a_slice_that_comes_before_its_pod_is_completed_by_it(cluster: Cluster) -> None:
    cluster.service()
    cluster.slice("web-1", endpoint("10.0.0.1", pod="web-0"))
    (found,) = instances(cluster.db, REF, 80)
    assert not found.mutual_tls
    cluster.put("Pod", "web-0", {"security.istio.io/tlsMode": "istio"}, status={"podIP": "10.0.0.1"})
    (found,) = instances(cluster.db, REF, 80)
    assert found.mutual_tls


def test_a_dual_stack_service_has_both_addresses_and_endpoints_of_both_families(cluster: Cluster) -> None:
    cluster.service(clusterIPs=["10.96.0.1", "fd00::1"], ipFamilies=["IPv4", "IPv6"])
    cluster.slice("web-1", endpoint("10.0.0.1"))
    cluster.slice("web-2", endpoint("fd00::a"), family="IPv6")
    found = service(cluster.db, REF)
    assert found is not None
    assert found.addresses == ("10.96.0.1", "fd00::1")
    assert cluster.addresses() == [("10.0.0.1", 8080), ("fd00::a", 8080)]


def test_host_names_are_no_endpoints(cluster: Cluster) -> None:
    """EDS takes addresses only: with a name among them Envoy would refuse all."""
    cluster.service()
    cluster.slice("web-1", endpoint("10.0.0.1"))
    cluster.slice("web-2", endpoint("db.example.com"), family="FQDN")
    assert cluster.addresses() == [("10.0.0.1", 8080)]


def test_a_slice_of_all_ports_is_of_none_that_could_be_dialled(cluster: Cluster) -> None:
    cluster.service()
    cluster.slice("web-1", endpoint("10.0.0.1"), port=None)
    assert cluster.addresses() == []


def test_a_headless_service_has_no_address_of_its_own(cluster: Cluster) -> None:
    """Of a StatefulSet: clients dial its pods, by addresses or by names below the Service's."""
    cluster.service(clusterIP="None", clusterIPs=["None"])
    cluster.slice("web-1", endpoint("10.0.0.1", pod="web-0", hostname="web-0"))
    found = service(cluster.db, REF)
    assert found is not None
    assert (found.headless, found.addresses, found.resolution) == (True, (), Resolution.PASSTHROUGH)
    assert cluster.addresses() == [("10.0.0.1", 8080)]


def test_an_external_name_is_another_name(cluster: Cluster) -> None:
    cluster.put("Service", "web", spec={"type": "ExternalName", "externalName": "example.com"})
    found = service(cluster.db, REF)
    assert found is not None
    assert (found.external_name, found.ports, found.addresses) == ("example.com", (), ())


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({"name": "x", "appProtocol": "kubernetes.io/h2c"}, Protocol.HTTP2),
        ({"name": "http", "appProtocol": "tcp"}, Protocol.TCP),
        ({"name": "grpc-web"}, Protocol.GRPC_WEB),
        ({"name": "x", "appProtocol": "https"}, Protocol.HTTPS),
        ({"name": "dns", "protocol": "UDP"}, Protocol.UDP),
    ],
)
def test_app_protocol_goes_before_the_ports_name(cluster: Cluster, port: dict[str, Any], expected: Protocol) -> None:
    cluster.service(ports=[{"port": 80, **port}])
    found = service(cluster.db, REF)
    assert found is not None
    assert found.ports[0].protocol is expected


@pytest.mark.parametrize("turned", [False, True])
def test_tcp_and_udp_may_share_a_number(cluster: Cluster, turned: bool) -> None:
    """As kube-dns does, with UDP first."""
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    cluster.service(ports=ports[::-1] if turned else ports)
    cluster.put(
        "EndpointSlice",
        "web-1",
        {"kubernetes.io/service-name": "web"},
        addressType="IPv4",
        endpoints=[endpoint("10.0.0.1")],
        ports=[{"name": "dns", "port": 5354, "protocol": "UDP"}, {"name": "dns-tcp", "port": 5353, "protocol": "TCP"}],
    )
    assert cluster.addresses(53) == [("10.0.0.1", 5353)]


def test_a_port_without_name_has_slices_with_a_port_without_name(cluster: Cluster) -> None:
    cluster.service(ports=[{"port": 80, "targetPort": 8080}])
    cluster.put(
        "EndpointSlice",
        "web-1",
        {"kubernetes.io/service-name": "web"},
        addressType="IPv4",
        endpoints=[endpoint("10.0.0.1")],
        ports=[{"name": "", "port": 8080}],
    )
    assert cluster.addresses() == [("10.0.0.1", 8080)]
