"""The bootstrap's parts; that Envoy takes the whole is shown with a real one."""

import re
from datetime import timedelta

import pytest

from weft_core.proxy import ProxyId, ProxyKind
from weft_injector.bootstrap.address import duration
from weft_injector.bootstrap.control_plane import ControlPlane, MutualTls
from weft_injector.bootstrap.document import ProxyPorts, bootstrap
from weft_injector.bootstrap.node import Locality, ProxyNode
from weft_injector.bootstrap.stats import stats_config

PLAINTEXT = ControlPlane(host="127.0.0.1", port=15010, tls=None)


@pytest.fixture
def node() -> ProxyNode:
    return ProxyNode(proxy=ProxyId(ProxyKind.SIDECAR, "shop", "cart-0"), ip="10.1.2.3", cluster="cart.shop")


def test_the_node_id_is_istios_and_reads_back(node: ProxyNode) -> None:
    assert node.id == "sidecar~10.1.2.3~cart-0.shop~shop.svc.cluster.local"
    assert ProxyId.from_node_id(node.id) == node.proxy


def test_a_gateway_is_a_router() -> None:
    gateway = ProxyNode(proxy=ProxyId(ProxyKind.GATEWAY, "edge", "gw-0"), ip="10.0.0.1", cluster="gw.edge")
    assert gateway.id == "router~10.0.0.1~gw-0.edge~edge.svc.cluster.local"


def test_unknown_parts_of_a_locality_are_left_out() -> None:
    assert Locality(region="eu", sub_zone="rack-1").config() == {"region": "eu", "sub_zone": "rack-1"}


@pytest.mark.parametrize("host", ["10.0.0.1", "weft.weft-system.svc", "::", "0.0.0.0", "127.0.0.1.example.org"])
def test_plaintext_is_for_loopback_only(host: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        ControlPlane(host=host, port=15010, tls=None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_plaintext_works_on_loopback(host: str) -> None:
    assert "transport_socket" not in ControlPlane(host=host, port=15010, tls=None).cluster()


def test_without_a_control_plane_the_proxy_waits(node: ProxyNode) -> None:
    """A proxy that went ahead after a timeout would serve without the mesh's policies."""
    resources = bootstrap(node, PLAINTEXT)["dynamic_resources"]
    assert resources["lds_config"]["initial_fetch_timeout"] == "0s"
    assert resources["cds_config"]["initial_fetch_timeout"] == "0s"


def test_the_admin_interface_is_on_loopback(node: ProxyNode) -> None:
    config = bootstrap(node, PLAINTEXT, ProxyPorts(admin=15555))
    assert config["admin"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 15555}


def test_no_metrics_port_means_no_listener(node: ProxyNode) -> None:
    static = bootstrap(node, PLAINTEXT, ProxyPorts(metrics=None))["static_resources"]
    assert static["listeners"] == []
    assert [cluster["name"] for cluster in static["clusters"]] == ["xds-grpc"]


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_an_impossible_port_is_refused(node: ProxyNode, port: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 65535"):
        bootstrap(node, PLAINTEXT, ProxyPorts(admin=port))


def test_a_dns_name_is_followed() -> None:
    tls = MutualTls(server_name="weft.weft-system.svc")
    cluster = ControlPlane(host="weft.weft-system.svc", port=15012, tls=tls).cluster()
    assert cluster["cluster_type"]["typed_config"]["respect_dns_ttl"] is True
    assert "type" not in cluster


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(seconds=0.25), "0.25s"),
        (timedelta(seconds=30), "30s"),
        (timedelta(), "0s"),
        (timedelta(minutes=2), "120s"),
    ],
)
def test_durations_are_protobufs(value: timedelta, text: str) -> None:
    assert duration(value) == text


@pytest.mark.parametrize(
    ("metric", "tags"),
    [
        (
            "cluster.outbound|80|v1|a.b.svc.cluster.local;.upstream_rq_503",
            {"cluster_name": "outbound|80|v1|a.b.svc.cluster.local", "response_code": "503"},
        ),
        ("cluster.outbound|80||*.example.org.upstream_cx_total", {"cluster_name": "outbound|80||*.example.org"}),
        ("cluster.inbound|8080||;.upstream_cx_total", {"cluster_name": "inbound|8080||"}),
        ("cluster.xds-grpc.ssl.handshake", {"cluster_name": "xds-grpc"}),
        (
            "http.inbound_0.0.0.0_8080;.downstream_rq_5xx",
            {"http_conn_manager_prefix": "inbound_0.0.0.0_8080", "response_code_class": "5xx"},
        ),
        ("http.outbound_[__]_80;.downstream_cx_total", {"http_conn_manager_prefix": "outbound_[__]_80"}),
        ("http.stats.downstream_cx_total", {"http_conn_manager_prefix": "stats"}),
        ("listener.0.0.0.0_15006.downstream_cx_total", {"listener_address": "0.0.0.0_15006"}),
        ("listener.[__]_15006.downstream_cx_total", {"listener_address": "[__]_15006"}),
        (
            "listener.0.0.0.0_15006.http.inbound_0.0.0.0_8080;.downstream_rq_2xx",
            {
                "listener_address": "0.0.0.0_15006",
                "http_conn_manager_listener_prefix": "inbound_0.0.0.0_8080",
                "response_code_class": "2xx",
            },
        ),
        (
            "tcp.outbound|3306||mysql.db.svc.cluster.local.downstream_cx_total",
            {"tcp_prefix": "outbound|3306||mysql.db.svc.cluster.local"},
        ),
        ("listener_manager.lds.update_success", {}),
        ("cluster_manager.cds.update_success", {}),
    ],
)
def test_names_fall_apart_into_istios_labels(metric: str, tags: dict[str, str]) -> None:
    """Python's `re` takes these expressions as Envoy's does."""
    found = {}
    for tag in stats_config()["stats_tags"]:
        if match := re.search(tag["regex"], metric):
            found[tag["tag_name"]] = match.group(2)
    assert found == tags
