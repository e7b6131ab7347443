"""The inbound listener and clusters of a workload, and who shares them."""

from collections.abc import Callable

from weft_core.ir.cluster import ClusterType, HttpProtocol
from weft_core.ir.http import Cors, Fault, GrpcStats, GrpcWeb, HttpConnectionManager, InboundRoute, Router
from weft_core.ir.listener import FilterChain, Inspection, Listener
from weft_core.ir.rbac import DestinationPort, Rbac
from weft_core.ir.service import Protocol
from weft_core.proxy import LocalPorts, ProxyId, ProxyKind
from weft_core.registry import Registry
from weft_core.view.inbound import InboundId, inbound_id
from weft_core.view.inbound_clusters import inbound_clusters
from weft_core.view.inbound_listener import inbound_listener

Make = Callable[..., Registry]
PORT_POLICY = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: port, namespace: shop}
spec: {action: DENY, rules: [{to: [{operation: {ports: ["8080"]}}]}]}
"""


def identity(db: Registry, web: ProxyId) -> InboundId:
    found = inbound_id(db, web)
    assert found is not None
    return found


def chains_of(listener: Listener, port: int) -> list[FilterChain]:
    return [chain for chain in listener.filter_chains if chain.match and chain.match.destination_port == port]


def manager_of(listener: Listener, port: int) -> HttpConnectionManager:
    found = [f for c in chains_of(listener, port) for f in c.filters if isinstance(f, HttpConnectionManager)]
    return found[0]


def test_an_unknown_pod_has_no_identity(registry: Make) -> None:
    assert inbound_id(registry(), ProxyId(ProxyKind.SIDECAR, "a", "b")) is None


def test_replicas_share_their_identity_whatever_hash_their_labels_have(registry: Make, shop: str) -> None:
    db = registry(shop)
    one, other = (inbound_id(db, ProxyId(ProxyKind.SIDECAR, "shop", name)) for name in ("web-0", "web-1"))
    assert one == other
    assert one is not None
    assert one.labels == ()


def test_labels_count_once_a_policy_selects_by_them(registry: Make, shop: str, web: ProxyId) -> None:
    policy = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a, namespace: shop}
spec: {selector: {matchLabels: {app: web}}, rules: [{}]}
"""
    assert identity(registry(shop, policy), web).labels == (("app", "web"),)


def test_ports_are_the_workloads_also_where_a_service_names_them(registry: Make, shop: str, web: ProxyId) -> None:
    ports = identity(registry(shop), web).ports
    assert [(p.number, p.service_port, p.protocol) for p in ports] == [
        (5432, 5432, Protocol.TCP),
        (8080, 80, Protocol.HTTP),
        (9000, 9000, Protocol.AUTO),
    ]


def test_of_two_services_on_one_port_the_older_decides_the_protocol(registry: Make, shop: str, web: ProxyId) -> None:
    other = """
apiVersion: v1
kind: Service
metadata: {name: a-younger, namespace: shop, creationTimestamp: "2026-01-01T00:00:00Z"}
spec: {selector: {app: web}, ports: [{name: tcp, port: 99, targetPort: 8080}]}
"""
    ports = identity(registry(shop, other), web).ports
    assert {p.number: p.protocol for p in ports}[8080] is Protocol.HTTP


def test_sidecar_ingress_replaces_the_services_ports(registry: Make, shop: str, web: ProxyId) -> None:
    sidecar = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: a, namespace: shop}
spec:
  workloadSelector: {labels: {app: web}}
  ingress:
  - {port: {number: 7000, protocol: HTTP, name: h}, defaultEndpoint: "127.0.0.1:7001"}
  - {port: {number: 7002, protocol: TCP, name: t}, defaultEndpoint: "unix:///run/app.sock"}
"""
    db = registry(shop, sidecar)
    key = identity(db, web)
    assert [port.number for port in key.ports] == [7000, 7002]
    found = {c.name: c for c in inbound_clusters(db, key)}
    places = {
        name: [e.address for group in c.load_assignment.localities for e in group.endpoints]
        for name, c in found.items()
        if c.load_assignment
    }
    assert places == {"inbound|7000||": ["127.0.0.1"], "inbound|7002||": ["unix:///run/app.sock"]}


def test_in_a_pod_all_ports_are_served_and_a_loop_ends_in_the_black_hole(
    registry: Make, shop: str, web: ProxyId
) -> None:
    db = registry(shop)
    listener = inbound_listener(db, identity(db, web))
    assert (listener.name, listener.addresses[0].port, listener.bind) == ("virtualInbound", 15006, True)
    assert listener.filter_chains[0].name == "virtualInbound-blackhole"
    assert [len(chains_of(listener, port)) for port in (15006, 8080, 5432, 9000, 0)] == [1, 2, 3, 5, 5]
    assert {chain.name for chain in chains_of(listener, 0)} == {"virtualInbound", "virtualInbound-catchall-http"}
    assert {chain.name for chain in chains_of(listener, 8080)} == {"0.0.0.0_8080"}


def test_a_port_level_mode_gives_a_port_without_service_chains_of_its_own(
    registry: Make, shop: str, web: ProxyId
) -> None:
    policy = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: a, namespace: shop}
spec: {selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}, portLevelMtls: {7777: {mode: DISABLE}}}
"""
    db = registry(shop, policy)
    listener = inbound_listener(db, identity(db, web))
    assert all(chain.tls is None for chain in chains_of(listener, 7777))
    assert len(chains_of(listener, 7777)) == 3, "HTTP, bytes, and the application's own TLS"
    assert all(chain.tls for chain in chains_of(listener, 0))


def test_inspections_leave_out_the_ports_that_need_none(registry: Make, shop: str, web: ProxyId) -> None:
    db = registry(shop)
    listener = inbound_listener(db, identity(db, web))
    assert [(f.inspection, f.disabled_ports) for f in listener.listener_filters] == [
        (Inspection.ORIGINAL_DESTINATION, ()),
        (Inspection.TLS, ()),
        (Inspection.HTTP, (5432, 8080)),
    ]


def test_the_http_manager_is_istios(registry: Make, shop: str, web: ProxyId) -> None:
    db = registry(shop)
    manager = manager_of(inbound_listener(db, identity(db, web)), 8080)
    assert manager.stat_prefix == "inbound_0.0.0.0_8080;"
    assert manager.route == InboundRoute(
        cluster="inbound|8080||", virtual_host="inbound|http|80", operation="web.shop.svc.cluster.local:80/*"
    )
    assert manager.filters == (GrpcStats(), Fault(), Cors(), Router())
    assert manager.describe_client_cert
    assert not manager.use_remote_address


def test_grpc_web_ports_translate_and_never_retry(registry: Make, shop: str, web: ProxyId) -> None:
    service = """
apiVersion: v1
kind: Service
metadata: {name: grpc, namespace: shop}
spec: {selector: {app: web}, ports: [{name: grpc-web, port: 7000}]}
"""
    db = registry(shop, service)
    manager = manager_of(inbound_listener(db, identity(db, web)), 7000)
    assert isinstance(manager.filters[0], GrpcWeb)
    assert isinstance(manager.route, InboundRoute)
    assert not manager.route.retry


def test_policies_stand_in_front_of_http_and_of_tcp(registry: Make, shop: str, web: ProxyId) -> None:
    db = registry(shop, PORT_POLICY)
    listener = inbound_listener(db, identity(db, web))
    assert isinstance(manager_of(listener, 8080).filters[0], Rbac)
    assert all(isinstance(chain.filters[0], Rbac) for chain in chains_of(listener, 5432))
    assert [str(origin) for origin in listener.origins] == ["AuthorizationPolicy shop/port"]


def test_clusters_lead_to_the_address_dialled_from_the_address_that_passes(
    registry: Make, shop: str, web: ProxyId
) -> None:
    db = registry(shop)
    found = {c.name: c for c in inbound_clusters(db, identity(db, web))}
    assert list(found) == ["inbound|5432||", "inbound|8080||", "inbound|9000||", "InboundPassthroughCluster"]
    assert {c.type for c in found.values()} == {ClusterType.ORIGINAL_DST}
    assert {c.upstream_bind for c in found.values()} == {("127.0.0.6",)}
    assert {c.transport for c in found.values()} == {None}
    assert found["inbound|8080||"].http.protocol is HttpProtocol.HTTP1
    assert found["inbound|9000||"].http.protocol is HttpProtocol.DOWNSTREAM


def test_limits_come_from_the_namespaces_own_destination_rule(registry: Make, shop: str, web: ProxyId) -> None:
    rule = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec:
  host: web
  trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}, http: {h2UpgradePolicy: UPGRADE}}}
"""
    db = registry(shop, rule)
    cluster = {c.name: c for c in inbound_clusters(db, identity(db, web))}["inbound|8080||"]
    assert cluster.circuit_breakers.max_connections == 7
    assert cluster.http.protocol is HttpProtocol.HTTP1


def local(db: Registry) -> None:
    ports = LocalPorts(
        inbound=((8080, 20001), (6000, 20002)), application=((8080, 30001),), proxy=20003, readiness=20004
    )
    db.local_ports.put(("shop", "web-0"), ports)


def test_on_a_shared_machine_each_port_has_a_loopback_port(registry: Make, shop: str, web: ProxyId) -> None:
    db = registry(shop)
    local(db)
    key = identity(db, web)
    listener = inbound_listener(db, key)
    assert [(a.host, a.port) for a in listener.addresses] == [("127.0.0.1", 20001), ("127.0.0.1", 20002)]
    assert {c.match.destination_port for c in listener.filter_chains if c.match} == {20001, 20002}
    found = {c.name: c for c in inbound_clusters(db, key)}
    assert "InboundPassthroughCluster" not in found
    assignment = found["inbound|8080||"].load_assignment
    assert assignment is not None
    assert [(e.address, e.port) for g in assignment.localities for e in g.endpoints] == [("127.0.0.1", 30001)]


def test_on_a_shared_machine_policies_compare_the_port_that_traffic_arrives_on(
    registry: Make, shop: str, web: ProxyId
) -> None:
    """The policy says 8080, the connection is made to 20001: a DENY must not be lost on the way."""
    db = registry(shop, PORT_POLICY)
    local(db)
    rbac = manager_of(inbound_listener(db, identity(db, web)), 20001).filters[0]
    assert isinstance(rbac, Rbac)
    assert "DestinationPort(port=20001)" in repr(rbac)
    assert repr(DestinationPort(8080)) not in repr(rbac)


def test_an_endpoint_change_disturbs_no_inbound_listener(registry: Make, shop: str, web: ProxyId) -> None:
    db = registry(shop)
    key = identity(db, web)
    db.observe(inbound_listener, key)
    db.observe(inbound_clusters, key)
    db.pods.put(("shop", "web-1"), None)
    assert db.commit() == []
