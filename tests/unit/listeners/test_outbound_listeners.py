"""Which outbound listeners a sidecar has, and where connections go that they take."""

from collections.abc import Callable

import pytest

from weft_core.ir.http import HttpConnectionManager, RouteName, ServerHeader
from weft_core.ir.listener import FilterChain, Inspection, Listener, TcpProxy, UpstreamAlpn
from weft_core.proxy import LocalPorts, ProxyId
from weft_core.registry import Registry
from weft_core.view.outbound_listener import outbound_listener
from weft_core.view.outbound_listeners import HttpProxyId, OutboundListenerId, http_proxy_id, outbound_listener_ids
from weft_core.view.proxies import client_of
from weft_core.view.routes import route_ids

Make = Callable[..., Registry]


def service(name: str, ports: str, **fields: str) -> str:
    spec = "".join(f", {key}: {value}" for key, value in fields.items())
    created = ', creationTimestamp: "2026-01-01T00:00:00Z"' if name.startswith("young") else ""
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop{created}}}
spec: {{ports: [{ports}]{spec}}}
"""


def entry(name: str, ports: str, **fields: str) -> str:
    spec = "".join(f", {key}: {value}" for key, value in fields.items())
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: shop}}
spec: {{hosts: [{name}.example.com], ports: [{ports}]{spec}}}
"""


def ids(db: Registry, web: ProxyId) -> dict[str, OutboundListenerId]:
    client = client_of(db, web)
    assert client is not None
    return {key.name: key for key in outbound_listener_ids(db, client)}


def listeners(db: Registry, web: ProxyId) -> dict[str, Listener]:
    return {name: outbound_listener(db, key) for name, key in ids(db, web).items()}


def manager_of(chain: FilterChain) -> HttpConnectionManager:
    last = chain.filters[-1]
    assert isinstance(last, HttpConnectionManager)
    return last


def cluster_of(chain: FilterChain | None) -> str:
    assert chain is not None
    last = chain.filters[-1]
    assert isinstance(last, TcpProxy)
    return last.clusters[0][0]


def test_every_port_has_its_listener(registry: Make, shop: str, web: ProxyId) -> None:
    found = listeners(registry(shop), web)
    assert list(found) == ["virtualOutbound", "0.0.0.0_80", "10.0.0.1_5432", "10.0.0.1_9000"]
    assert [name for name, listener in found.items() if listener.bind] == ["virtualOutbound"]


def test_virtual_outbound_guards_against_loops_and_lets_the_rest_through(
    registry: Make, shop: str, web: ProxyId
) -> None:
    listener = listeners(registry(shop), web)["virtualOutbound"]
    guard, rest = listener.filter_chains
    assert listener.use_original_destination
    assert guard.match is not None
    assert (guard.name, guard.match.destination_port) == ("virtualOutbound-blackhole", 15001)
    assert cluster_of(guard) == "BlackHoleCluster"
    assert (rest.name, rest.match, cluster_of(rest)) == ("virtualOutbound-catchall-tcp", None, "PassthroughCluster")


@pytest.mark.parametrize("by", ["mesh", "sidecar"])
def test_registry_only_sends_unknown_destinations_nowhere(registry: Make, shop: str, web: ProxyId, by: str) -> None:
    sidecar = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: a, namespace: shop}
spec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}
"""
    if by == "mesh":
        db = registry(shop, settings="outboundTrafficPolicy: {mode: REGISTRY_ONLY}")
    else:
        db = registry(shop, sidecar)
    found = listeners(db, web)
    assert cluster_of(found["virtualOutbound"].filter_chains[1]) == "BlackHoleCluster"
    assert cluster_of(found["0.0.0.0_80"].default_filter_chain) == "BlackHoleCluster"


def test_http_ports_share_a_listener_and_its_routes(registry: Make, shop: str, web: ProxyId) -> None:
    other = service("other", "{name: http, port: 80}", clusterIP="10.0.0.2")
    db = registry(shop, other)
    listener = listeners(db, web)["0.0.0.0_80"]
    (chain,) = listener.filter_chains
    assert chain.match is not None
    assert (chain.match.transport_protocol, chain.match.application_protocols) == ("raw_buffer", ("http/1.1", "h2c"))
    manager = manager_of(chain)
    assert manager.route == RouteName("80")
    assert manager.server_header is ServerHeader.PASS_THROUGH
    assert manager.stat_prefix == "outbound_0.0.0.0_80;"
    assert listener.default_filter_chain is not None
    assert listener.default_filter_chain.name == "PassthroughFilterChain"
    assert [f.inspection for f in listener.listener_filters] == [Inspection.TLS, Inspection.HTTP]


def test_shared_http_listeners_are_the_same_for_every_namespace(registry: Make, shop: str, web: ProxyId) -> None:
    """Their key names no client, so that the mesh builds and keeps each once."""
    db = registry(shop)
    client = client_of(db, web)
    assert client is not None
    assert "shop" not in repr(ids(db, web)["0.0.0.0_80"])


def test_tcp_ports_lead_straight_to_their_service(registry: Make, shop: str, web: ProxyId) -> None:
    listener = listeners(registry(shop), web)["10.0.0.1_5432"]
    (chain,) = listener.filter_chains
    assert chain.match is None
    assert cluster_of(chain) == "outbound|5432||web.shop.svc.cluster.local"
    assert listener.listener_filters == ()
    assert listener.default_filter_chain is None


def test_unnamed_ports_are_sniffed_and_say_upstream_what_was_found(registry: Make, shop: str, web: ProxyId) -> None:
    """One cluster serves HTTP/1, HTTP/2 and bytes: the ALPN that it offers depends on the connection."""
    db = registry(shop)
    listener = listeners(db, web)["10.0.0.1_9000"]
    http1, http2 = listener.filter_chains
    assert manager_of(http1).route == RouteName("web.shop.svc.cluster.local:9000")
    assert http1.filters == (manager_of(http1),)
    assert http2.filters[0] == UpstreamAlpn(("istio-h2", "istio", "h2"))
    assert listener.default_filter_chain is not None
    assert listener.default_filter_chain.filters[0] == UpstreamAlpn(("istio-peer-exchange", "istio"))


def test_every_route_configuration_that_a_listener_names_exists(registry: Make, shop: str, web: ProxyId) -> None:
    headless = service("pods", "{name: unsaid, port: 7000}", clusterIP="None", selector="{app: web}")
    db = registry(shop, headless, entry("lone", "{name: a, number: 81, protocol: HTTP}", resolution="NONE"))
    client = client_of(db, web)
    assert client is not None
    known = {key.name for key in route_ids(db, client)}
    named = {
        f.route.name
        for listener in listeners(db, web).values()
        for chain in listener.filter_chains
        for f in chain.filters
        if isinstance(f, HttpConnectionManager) and isinstance(f.route, RouteName)
    }
    assert named == known


def test_http_and_tcp_of_two_services_on_one_port_are_told_apart(registry: Make, shop: str, web: ProxyId) -> None:
    tcp = entry("queue", "{name: q, number: 80, protocol: TCP}", resolution="NONE")
    listener = listeners(registry(shop, tcp), web)["0.0.0.0_80"]
    assert manager_of(listener.filter_chains[0]).route == RouteName("80")
    assert cluster_of(listener.default_filter_chain) == "outbound|80||queue.example.com"


def test_of_two_tcp_services_without_address_the_older_has_the_port(registry: Make, shop: str, web: ProxyId) -> None:
    ports = "{name: q, number: 99, protocol: TCP}"
    db = registry(shop, entry("b", ports, resolution="NONE"), entry("a", ports, resolution="NONE"))
    (chain,) = listeners(db, web)["0.0.0.0_99"].filter_chains
    assert cluster_of(chain) == "outbound|99||a.example.com"


def test_of_http_and_a_server_that_speaks_first_the_older_has_the_port(registry: Make, shop: str, web: ProxyId) -> None:
    mysql = entry("db", "{name: q, number: 80, protocol: MYSQL}", resolution="NONE")
    young = service("young", "{name: http, port: 81}", clusterIP="10.0.0.2")
    older = entry("old", "{name: q, number: 81, protocol: MYSQL}", resolution="NONE")
    found = listeners(registry(shop, mysql, young, older), web)
    # Objects without a creation time sort by name before those that have one: db before web, old before young.
    assert cluster_of(found["0.0.0.0_80"].filter_chains[0]) == "outbound|80||db.example.com"
    assert cluster_of(found["0.0.0.0_81"].filter_chains[0]) == "outbound|81||old.example.com"


def test_tls_services_without_address_are_told_apart_by_server_name(registry: Make, shop: str, web: ProxyId) -> None:
    ports = "{name: tls, number: 443, protocol: TLS}"
    db = registry(shop, entry("b", ports, resolution="DNS"), entry("a", ports, resolution="DNS"))
    listener = listeners(db, web)["0.0.0.0_443"]
    names = {c.match.server_names: cluster_of(c) for c in listener.filter_chains if c.match}
    assert names == {
        ("a.example.com",): "outbound|443||a.example.com",
        ("b.example.com",): "outbound|443||b.example.com",
    }
    assert cluster_of(listener.default_filter_chain) == "PassthroughCluster"
    assert [f.inspection for f in listener.listener_filters] == [Inspection.TLS]


def test_blocks_of_addresses_are_chains_of_the_shared_listener(registry: Make, shop: str, web: ProxyId) -> None:
    db = registry(
        shop, entry("net", "{name: q, number: 99, protocol: TCP}", addresses="[10.9.0.7/24]", resolution="NONE")
    )
    (chain,) = listeners(db, web)["0.0.0.0_99"].filter_chains
    assert chain.match is not None
    assert chain.match.prefix_ranges == ("10.9.0.0/24",)


def test_an_entry_with_addresses_and_blocks_of_them_has_both(registry: Make, shop: str, web: ProxyId) -> None:
    ports = "{name: q, number: 99, protocol: TCP}"
    db = registry(shop, entry("net", ports, addresses="[10.9.0.0/24, 10.8.0.1]", resolution="NONE"))
    found = listeners(db, web)
    [chain] = found["0.0.0.0_99"].filter_chains
    [other] = found["10.8.0.1_99"].filter_chains
    assert chain.match is not None
    assert chain.match.prefix_ranges == ("10.9.0.0/24",)
    assert other.match is None
    assert cluster_of(chain) == cluster_of(other) == "outbound|99||net.example.com"


def test_headless_services_have_a_listener_for_each_endpoint(registry: Make, shop: str, web: ProxyId) -> None:
    headless = service("pods", "{name: tcp, port: 7000}", clusterIP="None", selector="{app: web}")
    slices = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: pods-1, namespace: shop, labels: {kubernetes.io/service-name: pods}}
addressType: IPv4
ports: [{name: tcp, port: 7000}]
endpoints: [{addresses: [10.1.0.1]}, {addresses: [10.1.0.2]}]
"""
    found = listeners(registry(shop, headless, slices), web)
    assert [name for name in found if name.endswith("_7000")] == ["10.1.0.1_7000", "10.1.0.2_7000"]
    assert cluster_of(found["10.1.0.2_7000"].filter_chains[0]) == "outbound|7000||pods.shop.svc.cluster.local"


def test_virtual_services_split_tcp_by_weight(registry: Make, shop: str, web: ProxyId) -> None:
    route = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: split, namespace: shop}
spec:
  hosts: [web]
  tcp:
  - route:
    - {destination: {host: web, subset: v1}, weight: 30}
    - {destination: {host: web, subset: v2}, weight: 70}
"""
    listener = listeners(registry(shop, route), web)["10.0.0.1_5432"]
    proxy = listener.filter_chains[0].filters[-1]
    assert isinstance(proxy, TcpProxy)
    assert [weight for _, weight in proxy.clusters] == [30, 70]
    assert [str(origin) for origin in listener.origins] == ["VirtualService shop/split"]


def test_an_http_rule_disturbs_no_listener(registry: Make, shop: str, web: ProxyId) -> None:
    db = registry(shop)
    keys = ids(db, web)
    for key in keys.values():
        db.observe(outbound_listener, key)
    client = client_of(db, web)
    assert client is not None
    db.observe(outbound_listener_ids, client)
    rules = registry("""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: shop}
spec: {hosts: [web], http: [{timeout: 3s, route: [{destination: {host: web}}]}]}
""").virtual_services.peek(("shop", "a"))
    db.virtual_services.put(("shop", "a"), rules)
    assert db.commit() == []


def test_udp_and_external_names_have_none(registry: Make, shop: str, web: ProxyId) -> None:
    udp = service("dns", "{name: udp, port: 53, protocol: UDP}", clusterIP="10.0.0.9")
    alias = service("alias", "{name: http, port: 81}", type="ExternalName", externalName="web.shop.svc.cluster.local")
    assert len(listeners(registry(shop, udp, alias), web)) == 4


def test_on_a_shared_machine_nothing_is_bound_but_the_http_proxy(registry: Make, shop: str, web: ProxyId) -> None:
    db = registry(shop)
    db.local_ports.put(("shop", "web-0"), LocalPorts(proxy=20003))
    assert not any(listener.bind for listener in listeners(db, web).values())
    assert http_proxy_id(20003) == HttpProxyId(port=20003)
    listener = outbound_listener(db, http_proxy_id(20003))
    assert (listener.name, listener.addresses[0].host, listener.addresses[0].port) == ("http_proxy", "127.0.0.1", 20003)
    assert manager_of(listener.filter_chains[0]).route == RouteName("http_proxy")


def test_requests_to_an_http_proxy_are_http(registry: Make, web: ProxyId) -> None:
    pod = "{apiVersion: v1, kind: Pod, metadata: {name: web-0, namespace: shop}}"
    port = "{number: 3128, name: proxy, protocol: HTTP_PROXY}"
    found = listeners(registry(pod, entry("squid", port, resolution="DNS")), web)
    (chain,) = found["0.0.0.0_3128"].filter_chains
    assert manager_of(chain).route == RouteName("3128")
