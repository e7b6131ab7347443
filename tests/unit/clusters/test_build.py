"""Envoy's messages for clusters and load assignments."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf import any_pb2
from google.protobuf.json_format import MessageToDict

from weft_core.ir.cluster import Cluster, ClusterType, Dns, HttpProtocol, ServiceLabel, UpstreamHttp
from weft_core.ir.endpoint import Locality
from weft_core.ir.load_assignment import Endpoint, LoadAssignment, LocalityEndpoints
from weft_core.ir.tls import (
    CertificateFiles,
    MeshSecret,
    MutualTlsByEndpoint,
    PushedSecret,
    RootsFile,
    SystemRoots,
    UpstreamTls,
)
from weft_core.ir.traffic_policy import (
    Algorithm,
    CircuitBreakers,
    LoadBalancer,
    OutlierDetection,
    RetryBudget,
    SlowStart,
    TcpKeepalive,
)
from weft_core.problems import ObjectRef
from weft_xds.build.cluster import build_cluster
from weft_xds.build.load_assignment import build_load_assignment

EDS = Cluster(name="outbound|80||a", type=ClusterType.EDS)
MESH_TLS = UpstreamTls(
    certificate=MeshSecret(name="default"),
    roots=MeshSecret(name="ROOTCA"),
    subject_alt_names=("spiffe://td/ns/a/sa/b",),
    sni="outbound_.80_._.a",
    alpn=("istio",),
)


def built(cluster: Cluster) -> dict[str, Any]:
    return MessageToDict(build_cluster(cluster), preserving_proto_field_name=True)


def with_tls(tls: UpstreamTls) -> dict[str, Any]:
    socket = built(replace(EDS, transport=tls))["transport_socket"]
    assert socket["name"] == "envoy.transport_sockets.tls"
    context: dict[str, Any] = socket["typed_config"]
    return context


def options(http: UpstreamHttp) -> dict[str, Any]:
    found = built(replace(EDS, http=http))["typed_extension_protocol_options"]
    value: dict[str, Any] = found["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
    return value


def test_an_eds_cluster() -> None:
    message = built(EDS)
    assert message["name"] == "outbound|80||a"
    assert message["alt_stat_name"] == "outbound|80||a;"
    assert message["type"] == "EDS"
    assert message["lb_policy"] == "LEAST_REQUEST"
    assert message["connect_timeout"] == "10s"
    config = message["eds_cluster_config"]["eds_config"]
    assert config == {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}


def test_rule_5_all_of_envoys_limits_are_lifted_in_words() -> None:
    (thresholds,) = built(EDS)["circuit_breakers"]["thresholds"]
    assert thresholds == {
        "max_connections": 4294967295,
        "max_pending_requests": 4294967295,
        "max_requests": 4294967295,
        "max_retries": 4294967295,
        "track_remaining": True,
    }


def test_a_cluster_is_small() -> None:
    plain = replace(EDS, name="outbound|9080||reviews.default.svc.cluster.local")
    assert len(build_cluster(plain).SerializeToString()) < 200
    secured = replace(
        plain,
        transport=MutualTlsByEndpoint(tls=MESH_TLS),
        services=(ServiceLabel(host="reviews.default.svc.cluster.local", name="reviews", namespace="default"),),
    )
    assert len(build_cluster(secured).SerializeToString()) < 1000


def test_equal_clusters_have_equal_bytes() -> None:
    first, second = (
        build_cluster(replace(EDS, subset="v1", services=(ServiceLabel(host="a", name="b", namespace="c"),)))
        for _ in range(2)
    )
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)


def test_circuit_breakers_with_a_retry_budget() -> None:
    limits = CircuitBreakers(max_connections=1, retry_budget=RetryBudget(percent=25, minimum_concurrency=4))
    (thresholds,) = built(replace(EDS, circuit_breakers=limits))["circuit_breakers"]["thresholds"]
    assert thresholds["max_connections"] == 1
    assert thresholds["retry_budget"] == {"budget_percent": {"value": 25.0}, "min_retry_concurrency": 4}


def test_outlier_detection_enforces_what_is_set_and_nothing_else() -> None:
    found = OutlierDetection(consecutive_5xx=0, consecutive_gateway_failure=3, interval=timedelta(seconds=1))
    message = built(replace(EDS, outlier_detection=found, panic_threshold=0.0))
    assert message["outlier_detection"] == {
        "consecutive_5xx": 0,
        "enforcing_consecutive_5xx": 0,
        "consecutive_gateway_failure": 3,
        "enforcing_consecutive_gateway_failure": 100,
        "enforcing_success_rate": 0,
        "interval": "1s",
    }
    assert message["common_lb_config"] == {"healthy_panic_threshold": {}}


def test_local_origin_failures_count_by_themselves_only_when_split() -> None:
    found = OutlierDetection(consecutive_local_origin_failure=3)
    assert "consecutive_local_origin_failure" not in built(replace(EDS, outlier_detection=found))["outlier_detection"]
    split = replace(found, split_external_local_origin_errors=True)
    message = built(replace(EDS, outlier_detection=split))["outlier_detection"]
    assert message["consecutive_local_origin_failure"] == 3
    assert message["enforcing_consecutive_local_origin_failure"] == 100


@pytest.mark.parametrize("statuses", [(500,), (500, 429)])
def test_statuses_that_count_as_errors(statuses: tuple[int, ...]) -> None:
    message = built(replace(EDS, outlier_detection=OutlierDetection(error_statuses=statuses)))
    (value,) = message["typed_extension_protocol_options"].values()
    matcher = value["outlier_detection"]["error_matcher"]
    rules = matcher["or_match"]["rules"] if len(statuses) > 1 else [matcher]
    matched = [rule["http_response_headers_match"]["headers"][0]["string_match"]["exact"] for rule in rules]
    assert matched == [str(status) for status in statuses]


def test_http1_without_wishes_needs_no_options() -> None:
    assert "typed_extension_protocol_options" not in built(EDS)


def test_versions_of_http() -> None:
    assert options(UpstreamHttp(protocol=HttpProtocol.HTTP2, max_concurrent_streams=9))["explicit_http_config"] == {
        "http2_protocol_options": {"max_concurrent_streams": 9}
    }
    assert options(UpstreamHttp(protocol=HttpProtocol.DOWNSTREAM))["use_downstream_protocol_config"] == {
        "http_protocol_options": {},
        "http2_protocol_options": {},
    }


def test_life_of_connections() -> None:
    message = options(
        UpstreamHttp(
            idle_timeout=timedelta(0), max_connection_duration=timedelta(hours=1), max_requests_per_connection=1
        )
    )
    assert message["explicit_http_config"] == {"http_protocol_options": {}}, "Envoy demands one version or another"
    assert message["common_http_protocol_options"] == {
        "idle_timeout": "0s",
        "max_connection_duration": "3600s",
        "max_requests_per_connection": 1,
    }


def test_server_name_from_requests() -> None:
    message = options(UpstreamHttp(auto_sni=True, auto_san_validation=True))
    assert message["upstream_http_protocol_options"] == {"auto_sni": True, "auto_san_validation": True}


def test_automatic_mutual_tls_chooses_by_endpoint() -> None:
    matches = built(replace(EDS, transport=MutualTlsByEndpoint(tls=MESH_TLS)))["transport_socket_matches"]
    assert [(match["name"], match["match"]) for match in matches] == [
        ("tlsMode-istio", {"tlsMode": "istio"}),
        ("tlsMode-disabled", {}),
    ]
    assert matches[0]["transport_socket"]["name"] == "envoy.transport_sockets.tls"
    assert matches[1]["transport_socket"]["name"] == "envoy.transport_sockets.raw_buffer"


def test_mesh_certificates_come_from_watched_files() -> None:
    context = with_tls(MESH_TLS)
    common = context["common_tls_context"]
    (certificate,) = common["tls_certificate_sds_secret_configs"]
    assert certificate["name"] == "default"
    source = certificate["sds_config"]["path_config_source"]
    assert source == {"path": "certs/sds-default.json", "watched_directory": {"path": "certs"}}
    combined = common["combined_validation_context"]
    assert combined["validation_context_sds_secret_config"]["name"] == "ROOTCA"
    assert combined["default_validation_context"]["match_typed_subject_alt_names"] == [
        {"san_type": "URI", "matcher": {"exact": "spiffe://td/ns/a/sa/b"}}
    ]
    assert common["tls_params"] == {
        "tls_minimum_protocol_version": "TLSv1_2",
        "tls_maximum_protocol_version": "TLSv1_3",
    }
    assert (common["alpn_protocols"], context["sni"]) == (["istio"], "outbound_.80_._.a")


def test_certificates_from_files_and_the_control_plane() -> None:
    files = with_tls(
        UpstreamTls(
            certificate=CertificateFiles(certificate="/c", private_key="/k"),
            roots=RootsFile(path="/ca", revoked="/crl"),
            subject_alt_names=("a.com", "1.2.3.4"),
        )
    )["common_tls_context"]
    assert files["tls_certificates"] == [{"certificate_chain": {"filename": "/c"}, "private_key": {"filename": "/k"}}]
    validation = files["validation_context"]
    assert (validation["trusted_ca"], validation["crl"]) == ({"filename": "/ca"}, {"filename": "/crl"})
    assert [name["san_type"] for name in validation["match_typed_subject_alt_names"]] == ["DNS", "IP_ADDRESS"]
    pushed = with_tls(UpstreamTls(roots=PushedSecret(name="kubernetes://a-cacert")))["common_tls_context"]
    secret = pushed["combined_validation_context"]["validation_context_sds_secret_config"]
    assert secret == {
        "name": "kubernetes://a-cacert",
        "sds_config": {"ads": {}, "resource_api_version": "V3"},
    }


def test_the_systems_roots_and_none() -> None:
    system = with_tls(UpstreamTls(roots=SystemRoots()))["common_tls_context"]
    assert system["validation_context"]["trusted_ca"] == {"filename": "/etc/ssl/certs/ca-certificates.crt"}
    assert "validation_context" not in with_tls(UpstreamTls())["common_tls_context"]


def test_load_balancers() -> None:
    ring = built(replace(EDS, load_balancer=LoadBalancer(algorithm=Algorithm.RING_HASH, minimum_ring_size=7)))
    assert (ring["lb_policy"], ring["ring_hash_lb_config"]) == ("RING_HASH", {"minimum_ring_size": "7"})
    maglev = built(replace(EDS, load_balancer=LoadBalancer(algorithm=Algorithm.MAGLEV, table_size=251)))
    assert (maglev["lb_policy"], maglev["maglev_lb_config"]) == ("MAGLEV", {"table_size": "251"})


@pytest.mark.parametrize(
    ("algorithm", "field"),
    [(Algorithm.ROUND_ROBIN, "round_robin_lb_config"), (Algorithm.LEAST_REQUEST, "least_request_lb_config")],
)
def test_slow_start(algorithm: Algorithm, field: str) -> None:
    start = SlowStart(window=timedelta(seconds=30), aggression=2)
    message = built(replace(EDS, load_balancer=LoadBalancer(algorithm=algorithm, slow_start=start)))
    config = message[field]["slow_start_config"]
    assert config["slow_start_window"] == "30s"
    assert config["min_weight_percent"] == {"value": 10.0}
    assert config["aggression"]["default_value"] == 2.0


def test_dns_and_original_destination() -> None:
    endpoints = LoadAssignment(
        name="a", localities=(LocalityEndpoints(endpoints=(Endpoint(address="a.com", port=80),)),)
    )
    dns = built(Cluster(name="a", type=ClusterType.STRICT_DNS, load_assignment=endpoints, dns=Dns()))
    assert (dns["type"], dns["dns_refresh_rate"], dns["respect_dns_ttl"]) == ("STRICT_DNS", "60s", True)
    assert dns["load_assignment"]["cluster_name"] == "a"
    original = built(
        Cluster(
            name="a",
            type=ClusterType.ORIGINAL_DST,
            load_balancer=LoadBalancer(algorithm=Algorithm.CLUSTER_PROVIDED),
            upstream_port_override=8080,
        )
    )
    assert (original["lb_policy"], original["original_dst_lb_config"]) == (
        "CLUSTER_PROVIDED",
        {"upstream_port_override": 8080},
    )


def test_inbound_connections_can_be_told_by_their_source() -> None:
    bind = built(replace(EDS, upstream_bind=("127.0.0.6",)))["upstream_bind_config"]
    assert bind == {"source_address": {"address": "127.0.0.6", "port_value": 0}}
    both = built(replace(EDS, upstream_bind=("127.0.0.6", "::6")))["upstream_bind_config"]
    assert both["source_address"] == bind["source_address"]
    assert both["extra_source_addresses"] == [{"address": {"address": "::6", "port_value": 0}}]


def test_keepalive_in_whole_seconds() -> None:
    keepalive = TcpKeepalive(probes=3, time=timedelta(seconds=5), interval=timedelta(seconds=2))
    message = built(replace(EDS, tcp_keepalive=keepalive))["upstream_connection_options"]["tcp_keepalive"]
    assert message == {"keepalive_probes": 3, "keepalive_time": 5, "keepalive_interval": 2}


def test_metadata_is_where_istios_is() -> None:
    message = built(
        replace(
            EDS,
            services=(ServiceLabel(host="a.b.svc", name="a", namespace="b"),),
            subset="v1",
            external=True,
            config=ObjectRef(kind="DestinationRule", namespace="b", name="r"),
        )
    )
    assert message["metadata"]["filter_metadata"]["istio"] == {
        "services": [{"host": "a.b.svc", "name": "a", "namespace": "b"}],
        "subset": "v1",
        "external": True,
        "config": "/apis/networking.istio.io/v1/namespaces/b/destination-rule/r",
    }


def test_a_load_assignment() -> None:
    assignment = LoadAssignment(
        name="a",
        localities=(
            LocalityEndpoints(
                locality=Locality("r", "z", "s"),
                priority=1,
                weight=7,
                endpoints=(
                    Endpoint(address="1.2.3.4", port=80, mutual_tls=True, workload="a;b;a;v1;Kubernetes", weight=2),
                    Endpoint(address="unix:///run/a.sock", port=0),
                ),
            ),
        ),
    )
    message = MessageToDict(build_load_assignment(assignment), preserving_proto_field_name=True)
    assert message["cluster_name"] == "a"
    (group,) = message["endpoints"]
    assert (group["priority"], group["load_balancing_weight"]) == (1, 7)
    assert group["locality"] == {"region": "r", "zone": "z", "sub_zone": "s"}
    tcp, unix = group["lb_endpoints"]
    assert tcp["endpoint"]["address"]["socket_address"] == {"address": "1.2.3.4", "port_value": 80}
    assert tcp["load_balancing_weight"] == 2
    assert tcp["metadata"]["filter_metadata"] == {
        "istio": {"workload": "a;b;a;v1;Kubernetes"},
        "envoy.transport_socket_match": {"tlsMode": "istio"},
    }
    assert unix == {"endpoint": {"address": {"pipe": {"path": "/run/a.sock"}}}}


def test_options_are_shared_and_not_changed_by_use() -> None:
    one, other = (build_cluster(replace(EDS, http=UpstreamHttp(protocol=HttpProtocol.HTTP2))) for _ in range(2))
    one.typed_extension_protocol_options.clear()
    assert isinstance(next(iter(other.typed_extension_protocol_options.values())), any_pb2.Any)
