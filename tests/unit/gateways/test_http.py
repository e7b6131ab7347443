"""HTTP servers of gateways: ports, hosts, and the VirtualServices that attach to them."""

from typing import TYPE_CHECKING

import pytest

from weft_core.ir.http import ForwardClientCert, HttpConnectionManager, RouteName
from weft_core.ir.listener import Address
from weft_core.ir.route import Forward, RequireTls, Route
from weft_core.model import kubernetes as k8s
from weft_core.view.gateway_listeners import gateway_listeners
from weft_core.view.gateway_routes import gateway_route_ids, gateway_virtual_host_ids
from weft_core.view.virtual_hosts import VirtualHostId, virtual_host
from weft_xds.build.address import build_address

if TYPE_CHECKING:
    from tests.unit.gateways.conftest import Edge

HTTP = "[{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]"


def to(subset: str, match: str = "") -> str:
    return f"{{{match} route: [{{destination: {{host: shop, subset: {subset}, port: {{number: 80}}}}}}]}}"


def rule(host: str, *rules: str) -> str:
    return f"{{hosts: ['{host}'], http: [{', '.join(rules)}]}}"


def subset(route: Route) -> str:
    assert isinstance(route.action, Forward)
    return route.action.clusters[0].name.split("|")[2]


def test_listener_trusts_nobody_on_addresses_and_identities(edge: "Edge") -> None:
    edge.gateway(HTTP)
    listener = edge.listeners()["0.0.0.0_80"]
    (manager,) = listener.filter_chains[0].filters
    assert isinstance(manager, HttpConnectionManager)
    assert manager.route == RouteName("http.80")
    assert manager.use_remote_address
    assert manager.forward_client_cert is ForwardClientCert.SANITIZE_SET


def test_trusted_proxies_in_front_are_counted_and_may_tell_identities(edge: "Edge") -> None:
    edge.gateway(HTTP)
    topology = "{numTrustedProxies: 2, forwardClientCertDetails: APPEND_FORWARD}"
    edge.settings(f"defaultConfig: {{gatewayTopology: {topology}}}")
    manager = edge.listeners()["0.0.0.0_80"].filter_chains[0].filters[-1]
    assert isinstance(manager, HttpConnectionManager)
    assert manager.use_remote_address
    assert manager.trusted_hops == 2
    assert manager.forward_client_cert is ForwardClientCert.APPEND_FORWARD


def test_a_server_may_be_a_unix_socket(edge: "Edge") -> None:
    edge.gateway("[{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*'], bind: 'unix:///run/edge.sock'}]")
    (listener,) = edge.listeners().values()
    (address,) = listener.addresses
    assert build_address(address).pipe.path == "/run/edge.sock"


def test_server_port_is_the_services_and_the_pods_port_is_opened(edge: "Edge") -> None:
    edge.gateway(HTTP)
    spec = {"selector": {"istio": "edge"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
    edge.put("services", "gateway", "edge", k8s.Service, spec=spec)
    assert edge.listeners()["0.0.0.0_8080"].addresses == (Address("0.0.0.0", 8080),)
    assert list(edge.configurations()) == ["http.8080"]


def test_gateways_on_a_shared_machine_listen_on_loopback_at_their_own_port(edge: "Edge") -> None:
    edge.local(application=((80, 31080),))
    edge.gateway(HTTP)
    assert edge.listeners()["127.0.0.1_80"].addresses == (Address("127.0.0.1", 31080),)
    assert list(edge.configurations()) == ["http.80"]


def test_no_routes_answer_404(edge: "Edge") -> None:
    edge.gateway(HTTP)
    (host,) = edge.configurations()["http.80"].virtual_hosts
    assert (host.name, host.domains, host.routes) == ("blackhole:80", ("*",), ())


def test_each_host_travels_by_itself_and_the_one_for_all_lies_inside(edge: "Edge") -> None:
    edge.gateway(HTTP)
    edge.route(rule("a.example", to("a")), name="a")
    edge.route(rule("*", to("all")), name="all")
    assert [host.domains for host in edge.hosts().values()] == [("a.example",)]
    assert list(edge.hosts()) == ["http.80/a.example:80"]
    (inside,) = edge.configurations()["http.80"].virtual_hosts
    assert (inside.name, subset(inside.routes[0])) == ("*:80", "all")
    assert edge.configurations()["http.80"].vhds


def test_rule_2_gateways_concatenate_and_move_catch_alls_last(edge: "Edge") -> None:
    edge.gateway(HTTP)
    edge.route(rule("a.example", to("old", "match: [{uri: {prefix: /old}}],"), to("rest")), name="b", created="2024-01")
    edge.route(rule("a.example", to("young", "match: [{uri: {prefix: /young}}],")), name="a", created="2024-02")
    routes = edge.hosts()["http.80/a.example:80"].routes
    assert [subset(route) for route in routes] == ["old", "young", "rest"]


def test_the_more_specific_of_two_hosts_that_meet_is_served(edge: "Edge") -> None:
    edge.gateway("[{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*.example', b.test]}]")
    edge.route(rule("a.example", to("a")), name="a")
    edge.route(rule("*", to("all")), name="all")
    edge.route(rule("elsewhere.test", to("none")), name="no")
    assert sorted(edge.hosts()) == ["http.80/*.example:80", "http.80/a.example:80", "http.80/b.test:80"]


def test_namespace_before_the_host_says_whose_virtual_services_attach(edge: "Edge") -> None:
    edge.gateway("[{port: {number: 80, name: http, protocol: HTTP}, hosts: [./a.example, shop/b.example]}]")
    for host, namespace in (("a.example", "shop"), ("b.example", "shop")):
        edge.route(rule(host, to("v1")), name=host, namespace=namespace)
    assert list(edge.hosts()) == ["http.80/b.example:80"]
    edge.route("{hosts: [a.example], gateways: [gateway], http: [{redirect: {uri: /}}]}", namespace="edge")
    assert sorted(edge.hosts()) == ["http.80/a.example:80", "http.80/b.example:80"]


@pytest.mark.parametrize("name", ["edge/gateway", "gateway.edge", "gateway.edge.svc.cluster.local"])
def test_a_gateway_of_another_namespace_has_three_names(edge: "Edge", name: str) -> None:
    """Those with dots are how Istio began, and they are still about."""
    edge.gateway(HTTP)
    edge.route(f"{{hosts: [a.example], gateways: [{name}], http: [{{redirect: {{uri: /}}}}]}}", namespace="shop")
    assert list(edge.hosts()) == ["http.80/a.example:80"]


def test_virtual_services_must_be_exported_to_the_gateways_namespace(edge: "Edge") -> None:
    edge.gateway(HTTP)
    edge.route(rule("a.example", to("v1")).replace("hosts", "exportTo: [.], hosts", 1))
    assert edge.hosts() == {}


def test_https_redirect_needs_no_virtual_service(edge: "Edge") -> None:
    edge.gateway("[{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.example], tls: {httpsRedirect: true}}]")
    host = edge.hosts()["http.80/a.example:80"]
    assert (host.require_tls, host.routes) == (RequireTls.ALL, ())


def test_several_gateways_share_a_port(edge: "Edge") -> None:
    edge.gateway("[{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.example]}]", name="one")
    edge.gateway("[{port: {number: 80, name: web, protocol: HTTP}, hosts: [b.example]}]", name="two")
    edge.route("{hosts: [a.example, b.example], gateways: [edge/one, edge/two], http: [{redirect: {uri: /}}]}")
    assert list(edge.listeners()) == ["0.0.0.0_80"]
    assert sorted(edge.hosts()) == ["http.80/a.example:80", "http.80/b.example:80"]


def test_match_on_a_gateway_holds_there_alone(edge: "Edge") -> None:
    edge.gateway("[{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.example]}]", name="one")
    edge.gateway("[{port: {number: 81, name: web, protocol: HTTP}, hosts: [a.example]}]", name="two")
    edge.route(
        "{hosts: [a.example], gateways: [edge/one, edge/two],"
        " http: [{match: [{gateways: [edge/two]}], redirect: {uri: /}}]}"
    )
    assert list(edge.hosts()) == ["http.81/a.example:81"]


def test_gateways_for_other_pods_do_not_count(edge: "Edge") -> None:
    edge.gateway(HTTP, istio="elsewhere")
    assert edge.listeners() == {}


def test_one_virtual_service_changes_one_virtual_host(edge: "Edge") -> None:
    edge.gateway(HTTP)
    for index in range(50):
        edge.route(rule(f"h{index}.example", to("v1")), name=f"h{index}")
    edge.db.observe(gateway_listeners, edge.id)
    edge.db.observe(gateway_route_ids, edge.id)
    edge.db.observe(gateway_virtual_host_ids, edge.id)
    for key in gateway_virtual_host_ids(edge.db, edge.id):
        edge.db.observe(virtual_host, key)
    edge.db.commit()
    edge.db.runs = {}
    edge.route(rule("h7.example", to("v2")), name="h7")
    changed = [key for node in edge.db.commit() for key in node.args]
    assert [key.host for key in changed if isinstance(key, VirtualHostId)] == ["h7.example"]
    assert len(changed) == 1
    assert sum(edge.db.runs.values()) <= 10, edge.db.runs
