"""Route configurations: names, what is in them, and what happens to unknown hosts."""

from typing import TYPE_CHECKING

from weft_core.ir.route import DirectResponse, Forward
from weft_core.view.visibility import Client

if TYPE_CHECKING:
    from tests.unit.routes.conftest import Mesh

LOCAL = Client(namespace="default", local=True)


def test_services_on_a_port_share_one_that_takes_virtual_hosts_by_themselves(mesh: "Mesh") -> None:
    mesh.service("ratings", ("http", 9080))
    mesh.service("details", ("http", 9080))
    mesh.service("db", ("tcp", 5432))
    found = mesh.configurations()
    assert sorted(found) == ["80", "9080"]
    assert all(one.vhds and one.ignore_port_in_host_matching for one in found.values())


def test_unnamed_port_on_an_own_address_has_a_configuration_of_its_own(mesh: "Mesh") -> None:
    mesh.service("plain", ("", 8000))
    name = "plain.default.svc.cluster.local:8000"
    one = mesh.configurations()[name]
    assert not one.vhds
    assert [(host.name, host.domains) for host in one.virtual_hosts] == [(name, ("*",))]
    assert not [each for each in mesh.ids() if "plain" in each]


def test_unnamed_port_of_a_headless_service_is_on_the_shared_listener(mesh: "Mesh") -> None:
    mesh.service("pods", ("", 8000), clusterIP="None")
    assert "8000" in mesh.configurations()
    assert "8000/pods.default.svc.cluster.local:8000" in mesh.ids()


def test_unknown_hosts_pass_through_without_time_limit_and_retries(mesh: "Mesh") -> None:
    (host,) = mesh.configurations()["80"].virtual_hosts
    action = host.routes[0].action
    assert (host.name, host.domains) == ("allow_any", ("*",))
    assert isinstance(action, Forward)
    assert [cluster.name for cluster in action.clusters] == ["PassthroughCluster"]
    assert action.retry is None


def test_registry_only_refuses_unknown_hosts_with_502(mesh: "Mesh") -> None:
    mesh.settings("outboundTrafficPolicy: {mode: REGISTRY_ONLY}")
    (host,) = mesh.configurations()["80"].virtual_hosts
    assert host.name == "block_all"
    assert host.routes[0].action == DirectResponse(status=502)


def test_outbound_traffic_policy_of_a_sidecar_goes_before_the_meshs(mesh: "Mesh") -> None:
    client = mesh.sidecar("outboundTrafficPolicy: {}")
    assert mesh.configurations(client)["80"].virtual_hosts[0].name == "block_all"
    mesh.service("egress", ("http", 8080))
    client = mesh.sidecar("outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: egress}}")
    action = mesh.configurations(client)["80"].virtual_hosts[0].routes[0].action
    assert isinstance(action, Forward)
    assert action.clusters[0].name == "outbound|8080||egress.default.svc.cluster.local"


def test_http_proxy_says_that_a_host_is_unknown(mesh: "Mesh") -> None:
    one = mesh.configurations(LOCAL)["http_proxy"]
    action = one.virtual_hosts[0].routes[0].action
    assert not one.ignore_port_in_host_matching
    assert isinstance(action, DirectResponse)
    assert (action.status, b"no service" in action.body) == (502, True)


def test_http_proxy_has_every_http_service(mesh: "Mesh") -> None:
    mesh.service("plain", ("", 8000))
    mesh.service("db", ("tcp", 5432))
    assert sorted(name for name in mesh.ids(LOCAL) if name.startswith("http_proxy/")) == [
        "http_proxy/plain.default.svc.cluster.local:8000",
        "http_proxy/reviews.default.svc.cluster.local:80",
    ]


def test_sidecar_egress_hosts_leave_services_out(mesh: "Mesh") -> None:
    mesh.service("ratings", ("http", 9080), namespace="other")
    client = mesh.sidecar("egress: [{hosts: ['./*']}]")
    assert sorted(mesh.ids(client)) == ["80/reviews.default.svc.cluster.local:80"]
    assert sorted(mesh.configurations(client)) == ["80"]
