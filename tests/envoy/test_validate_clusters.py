"""A stock Envoy accepts the clusters that are built, with every feature in use."""

import json
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.core.v3.base_pb2 import Node
from google.protobuf.json_format import MessageToDict

from weft_core.ir.cluster import Cluster, ClusterType, Dns, HttpProtocol, ServiceLabel, UpstreamHttp
from weft_core.ir.endpoint import Locality
from weft_core.ir.load_assignment import Endpoint, LoadAssignment, LocalityEndpoints
from weft_core.ir.tls import MeshSecret, MutualTlsByEndpoint, SystemRoots, UpstreamTls
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
from weft_core.view.clusters import special_clusters
from weft_xds.build.cluster import build_cluster

pytestmark = pytest.mark.envoy

ENDPOINTS = LoadAssignment(
    name="a",
    localities=(
        LocalityEndpoints(
            locality=Locality("r", "z"),
            weight=3,
            endpoints=(Endpoint(address="127.0.0.1", port=80, mutual_tls=True, workload="a;b;c;d;e", weight=2),),
        ),
        LocalityEndpoints(priority=1, endpoints=(Endpoint(address="unix:///a.sock", port=0),)),
    ),
)
BASE = Cluster(name="a", type=ClusterType.STATIC, load_assignment=ENDPOINTS)
MESH_TLS = UpstreamTls(
    certificate=MeshSecret(name="default"),
    roots=MeshSecret(name="ROOTCA"),
    subject_alt_names=("spiffe://cluster.local/ns/a/sa/b", "a.com", "10.0.0.1"),
    sni="outbound_.80_._.a",
    alpn=("istio-h2", "istio", "h2"),
)


def named(host: str) -> LoadAssignment:
    return LoadAssignment(name="a", localities=(LocalityEndpoints(endpoints=(Endpoint(address=host, port=80),)),))


ALL = {
    "plain": BASE,
    "described": replace(
        BASE,
        services=(ServiceLabel(host="a", name="b", namespace="c"),),
        subset="v1",
        external=True,
        config=ObjectRef(kind="DestinationRule", namespace="a", name="b"),
    ),
    "limits": replace(
        BASE,
        circuit_breakers=CircuitBreakers(max_connections=1, retry_budget=RetryBudget()),
        tcp_keepalive=TcpKeepalive(probes=1, time=timedelta(seconds=1), interval=timedelta(seconds=1)),
    ),
    "outliers": replace(
        BASE,
        outlier_detection=OutlierDetection(
            consecutive_5xx=0,
            consecutive_gateway_failure=1,
            consecutive_local_origin_failure=1,
            split_external_local_origin_errors=True,
            interval=timedelta(milliseconds=1),
            base_ejection_time=timedelta(seconds=1),
            max_ejection_percent=100,
            error_statuses=(500, 429),
        ),
        panic_threshold=0.0,
        weighs_localities=True,
    ),
    "http2": replace(BASE, http=UpstreamHttp(protocol=HttpProtocol.HTTP2, max_concurrent_streams=9)),
    "http": replace(
        BASE,
        http=UpstreamHttp(
            protocol=HttpProtocol.DOWNSTREAM,
            idle_timeout=timedelta(0),
            max_connection_duration=timedelta(hours=1),
            max_requests_per_connection=1,
        ),
    ),
    "ring": replace(BASE, load_balancer=LoadBalancer(algorithm=Algorithm.RING_HASH, minimum_ring_size=1024)),
    "maglev": replace(BASE, load_balancer=LoadBalancer(algorithm=Algorithm.MAGLEV, table_size=65537)),
    "random": replace(BASE, load_balancer=LoadBalancer(algorithm=Algorithm.RANDOM)),
    "slow": replace(BASE, load_balancer=LoadBalancer(slow_start=SlowStart(window=timedelta(seconds=9), aggression=2))),
    "mesh": replace(BASE, transport=MutualTlsByEndpoint(tls=MESH_TLS)),
    "mutual": replace(BASE, transport=MESH_TLS),
    "dual stack": replace(
        BASE,
        load_assignment=LoadAssignment(
            name="a",
            localities=(LocalityEndpoints(endpoints=(Endpoint(address="127.0.0.1", port=80, further=("::1",)),)),),
        ),
        upstream_bind=("127.0.0.6", "::6"),
    ),
    "simple": replace(
        BASE, transport=UpstreamTls(roots=SystemRoots()), http=UpstreamHttp(auto_sni=True, auto_san_validation=True)
    ),
    "unverified": replace(BASE, transport=UpstreamTls(sni="a.com")),
    "strict": Cluster(name="a", type=ClusterType.STRICT_DNS, load_assignment=named("a.com"), dns=Dns()),
    "logical": Cluster(name="a", type=ClusterType.LOGICAL_DNS, load_assignment=named("a.com"), dns=Dns()),
    "original": Cluster(
        name="a",
        type=ClusterType.ORIGINAL_DST,
        load_balancer=LoadBalancer(algorithm=Algorithm.CLUSTER_PROVIDED),
        upstream_port_override=8080,
        upstream_bind=("127.0.0.6",),
    ),
}


@pytest.fixture
def certificates(tmp_path: Path) -> None:
    """The SDS files that configuration names; what is in them matters to no validation."""
    (tmp_path / "certs").mkdir()
    for name, path in (("default", "certs/sds-default.json"), ("ROOTCA", "certs/sds-rootca.json")):
        secret = {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "name": name}
        (tmp_path / path).write_text(json.dumps({"resources": [secret]}))


@pytest.mark.usefixtures("certificates")
def test_envoy_accepts_every_feature(envoy_binary: Path, tmp_path: Path) -> None:
    bootstrap = Bootstrap(node=Node(id="sidecar~127.0.0.1~a.b~b.svc", cluster="a"))
    for name, cluster in ALL.items():
        assignment = cluster.load_assignment and replace(cluster.load_assignment, name=name)
        bootstrap.static_resources.clusters.append(
            build_cluster(replace(cluster, name=name, load_assignment=assignment))
        )
    for cluster in special_clusters():
        bootstrap.static_resources.clusters.append(build_cluster(cluster))
    config = tmp_path / "bootstrap.json"
    config.write_text(json.dumps(MessageToDict(bootstrap, preserving_proto_field_name=True)))
    result = subprocess.run(
        [envoy_binary, "--mode", "validate", "-c", config.name, "--log-level", "error"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert len(bootstrap.static_resources.clusters) == len(ALL) + 2
