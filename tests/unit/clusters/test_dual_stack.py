"""Services of two IP families: Kubernetes keeps a slice for each, and a pod in both is one endpoint."""

from collections.abc import Callable

from weft_core.ir.endpoint import Locality
from weft_core.ir.load_assignment import LoadAssignmentId
from weft_core.ir.service import ServiceRef
from weft_core.proxy import ProxyId
from weft_core.registry import Registry
from weft_core.view.endpoints import instances
from weft_core.view.load_assignment import load_assignment
from weft_core.view.outbound_listeners import outbound_listener_ids
from weft_core.view.proxies import client_of
from weft_xds.build.load_assignment import build_load_assignment

Make = Callable[..., Registry]

WEB = ServiceRef("shop", "web.shop.svc.cluster.local")


def pod(*addresses: str) -> str:
    ips = ", ".join(f"{{ip: '{address}'}}" for address in addresses)
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: web-0, namespace: shop, labels: {{app: web, security.istio.io/tlsMode: istio}}}}
spec: {{serviceAccountName: web, containers: [{{name: web}}]}}
status: {{podIPs: [{ips}]}}
"""


def service(cluster_ip: str = "10.0.0.1") -> str:
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec: {{clusterIP: "{cluster_ip}", selector: {{app: web}}, ports: [{{name: tcp, port: 7000}}]}}
"""


def endpoint_slice(family: str, address: str, target: str = "web-0") -> str:
    ref = f", targetRef: {{kind: Pod, namespace: shop, name: {target}}}" if target else ""
    return f"""
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-{family.lower()}, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}
addressType: {family}
ports: [{{name: tcp, port: 7000}}]
endpoints: [{{addresses: ['{address}'], zone: z1{ref}}}]
"""


BOTH = (endpoint_slice("IPv6", "fd00::1"), endpoint_slice("IPv4", "10.1.0.1"))


def test_a_pod_in_two_slices_is_one_endpoint_with_its_primary_address_first(registry: Make) -> None:
    (found,) = instances(registry(service(), pod("10.1.0.1", "fd00::1"), *BOTH), WEB, 7000)
    assert (found.address, found.further, found.service_account) == ("10.1.0.1", ("fd00::1",), "web")
    (found,) = instances(registry(service(), pod("fd00::1", "10.1.0.1"), *BOTH), WEB, 7000)
    assert (found.address, found.further) == ("fd00::1", ("10.1.0.1",))


def test_a_service_of_one_family_has_that_familys_address_alone(registry: Make) -> None:
    (found,) = instances(registry(service(), pod("10.1.0.1", "fd00::1"), BOTH[0]), WEB, 7000)
    assert (found.address, found.further) == ("fd00::1", ())


def test_a_pod_that_is_not_known_yet_is_one_endpoint_too(registry: Make) -> None:
    (found,) = instances(registry(service(), *BOTH), WEB, 7000)
    assert (found.address, found.further, found.locality) == ("10.1.0.1", ("fd00::1",), Locality(zone="z1"))


def test_endpoints_that_are_no_pods_stay_apart(registry: Make) -> None:
    slices = (endpoint_slice("IPv4", "10.1.0.1", ""), endpoint_slice("IPv6", "fd00::1", ""))
    assert [each.address for each in instances(registry(service(), *slices), WEB, 7000)] == ["10.1.0.1", "fd00::1"]


def test_envoy_is_told_of_both_addresses(registry: Make) -> None:
    db = registry(service(), pod("10.1.0.1", "fd00::1"), *BOTH)
    found = load_assignment(db, LoadAssignmentId(name="web", ref=WEB, port=7000))
    assert found is not None
    (group,) = build_load_assignment(found).endpoints
    (endpoint,) = group.lb_endpoints
    places = (endpoint.endpoint.address, *(each.address for each in endpoint.endpoint.additional_addresses))
    assert [(place.socket_address.address, place.socket_address.port_value) for place in places] == [
        ("10.1.0.1", 7000),
        ("fd00::1", 7000),
    ]


def test_a_headless_service_has_a_listener_for_each_address(registry: Make, web: ProxyId) -> None:
    """DNS gives clients either of them."""
    db = registry(service("None"), pod("10.1.0.1", "fd00::1"), *BOTH)
    client = client_of(db, web)
    assert client
    names = {key.name for key in outbound_listener_ids(db, client)}
    assert {"10.1.0.1_7000", "fd00::1_7000"} <= names
