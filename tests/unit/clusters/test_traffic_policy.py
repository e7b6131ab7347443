"""What the blocks of a trafficPolicy come to."""

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from weft_core.ir.cluster import HttpProtocol
from weft_core.ir.service import ServiceRef
from weft_core.ir.traffic_policy import (
    UNLIMITED,
    Algorithm,
    CookieHash,
    HashPolicy,
    RetryBudget,
    SlowStart,
    TcpKeepalive,
)
from weft_core.view.connection_pool import tcp_settings
from weft_core.view.load_balancing import hash_policies

if TYPE_CHECKING:
    from tests.unit.clusters.conftest import Mesh

REF = ServiceRef("default", "reviews.default.svc.cluster.local")


def policy(mesh: "Mesh", block: str) -> None:
    mesh.rule(f"host: reviews\ntrafficPolicy: {{{block}}}")


def hashes(mesh: "Mesh") -> tuple[HashPolicy, ...]:
    return hash_policies(mesh.db, mesh.client, REF, 9080, "")


def test_rule_5_defaults_are_istios_not_envoys(mesh: "Mesh", reviews: str) -> None:
    found = mesh.cluster(reviews)
    limits = found.circuit_breakers
    assert (limits.max_connections, limits.max_pending_requests, limits.max_requests, limits.max_retries) == (
        (UNLIMITED,) * 4
    )
    assert UNLIMITED == 4294967295
    assert found.load_balancer.algorithm is Algorithm.LEAST_REQUEST
    assert found.connect_timeout == timedelta(seconds=10)
    assert found.panic_threshold is None
    policy(mesh, "outlierDetection: {consecutive5xxErrors: 3}")
    assert mesh.cluster(reviews).panic_threshold == 0, "no panic once endpoints can be ejected"


def test_connection_limits(mesh: "Mesh", reviews: str) -> None:
    policy(
        mesh,
        """connectionPool: {
            tcp: {maxConnections: 1, connectTimeout: 30ms},
            http: {http1MaxPendingRequests: 2, http2MaxRequests: 3, maxRetries: 4, maxRequestsPerConnection: 5}}""",
    )
    found = mesh.cluster(reviews)
    limits = found.circuit_breakers
    assert (limits.max_connections, limits.max_pending_requests, limits.max_requests, limits.max_retries) == (
        1,
        2,
        3,
        4,
    )
    assert found.http.max_requests_per_connection == 5
    assert found.connect_timeout == timedelta(milliseconds=30)


def test_a_limit_of_0_is_no_limit(mesh: "Mesh", reviews: str) -> None:
    policy(mesh, "connectionPool: {tcp: {maxConnections: 0}, http: {maxRetries: 0}}")
    assert mesh.cluster(reviews).circuit_breakers.max_connections == UNLIMITED
    assert mesh.cluster(reviews).circuit_breakers.max_retries == UNLIMITED


def test_retry_budget(mesh: "Mesh", reviews: str) -> None:
    policy(mesh, "retryBudget: {percent: 50}")
    budget = mesh.cluster(reviews).circuit_breakers.retry_budget
    assert budget == RetryBudget(percent=50, minimum_concurrency=3)


def test_http_idle_timeout_falls_back_to_tcps(mesh: "Mesh", reviews: str) -> None:
    policy(mesh, "connectionPool: {tcp: {idleTimeout: 5s}}")
    assert mesh.cluster(reviews).http.idle_timeout == timedelta(seconds=5)
    policy(mesh, "connectionPool: {tcp: {idleTimeout: 5s}, http: {idleTimeout: 7s}}")
    assert mesh.cluster(reviews).http.idle_timeout == timedelta(seconds=7)


def test_keepalive_of_the_rule_goes_before_the_meshs(mesh: "Mesh", reviews: str) -> None:
    assert mesh.cluster(reviews).tcp_keepalive is None
    mesh.settings("tcpKeepalive: {time: 10s}")
    assert mesh.cluster(reviews).tcp_keepalive == TcpKeepalive(time=timedelta(seconds=10))
    policy(mesh, "connectionPool: {tcp: {tcpKeepalive: {probes: 3, interval: 2s}}}")
    assert mesh.cluster(reviews).tcp_keepalive == TcpKeepalive(probes=3, interval=timedelta(seconds=2))


def test_connect_timeout_of_the_mesh(mesh: "Mesh", reviews: str) -> None:
    mesh.settings("connectTimeout: 3s")
    assert mesh.cluster(reviews).connect_timeout == timedelta(seconds=3)


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ("http", HttpProtocol.HTTP1),
        ("http2", HttpProtocol.HTTP2),
        ("grpc-api", HttpProtocol.HTTP2),
        ("grpc-web", HttpProtocol.HTTP2),
        ("tcp", HttpProtocol.HTTP1),
        ("https", HttpProtocol.HTTP1),
        ("", HttpProtocol.DOWNSTREAM),
    ],
)
def test_version_of_http_by_the_ports_protocol(mesh: "Mesh", port: str, expected: HttpProtocol) -> None:
    mesh.service("web", ports=((port, 80),))
    assert mesh.cluster("outbound|80||web.default.svc.cluster.local").http.protocol is expected


@pytest.mark.parametrize(
    ("port", "mesh_wide", "rule", "expected"),
    [
        ("http", "DO_NOT_UPGRADE", "UPGRADE", HttpProtocol.HTTP2),
        ("", "DO_NOT_UPGRADE", "UPGRADE", HttpProtocol.HTTP2),
        ("tcp", "DO_NOT_UPGRADE", "UPGRADE", HttpProtocol.HTTP1),
        ("http", "UPGRADE", "DEFAULT", HttpProtocol.HTTP2),
        ("http", "UPGRADE", "DO_NOT_UPGRADE", HttpProtocol.HTTP1),
        ("", "UPGRADE", "DEFAULT", HttpProtocol.DOWNSTREAM),
    ],
)
def test_upgrade_to_http2(mesh: "Mesh", port: str, mesh_wide: str, rule: str, expected: HttpProtocol) -> None:
    mesh.settings(f"h2UpgradePolicy: {mesh_wide}")
    mesh.service("web", ports=((port, 80),))
    mesh.rule(f"host: web\ntrafficPolicy: {{connectionPool: {{http: {{h2UpgradePolicy: {rule}}}}}}}")
    assert mesh.cluster("outbound|80||web.default.svc.cluster.local").http.protocol is expected


def test_client_protocol_goes_before_upgrade(mesh: "Mesh", reviews: str) -> None:
    policy(mesh, "connectionPool: {http: {useClientProtocol: true, h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 9}}")
    assert mesh.cluster(reviews).http.protocol is HttpProtocol.DOWNSTREAM
    assert mesh.cluster(reviews).http.max_concurrent_streams == 9


@pytest.mark.parametrize(
    ("simple", "expected"),
    [
        ("ROUND_ROBIN", Algorithm.ROUND_ROBIN),
        ("RANDOM", Algorithm.RANDOM),
        ("LEAST_CONN", Algorithm.LEAST_REQUEST),
        ("LEAST_REQUEST", Algorithm.LEAST_REQUEST),
    ],
)
def test_simple_load_balancers(mesh: "Mesh", reviews: str, simple: str, expected: Algorithm) -> None:
    policy(mesh, f"loadBalancer: {{simple: {simple}}}")
    assert mesh.cluster(reviews).load_balancer.algorithm is expected


def test_consistent_hash_is_a_ring_of_1024_unless_said_otherwise(mesh: "Mesh", reviews: str) -> None:
    policy(mesh, "loadBalancer: {consistentHash: {httpHeaderName: x-user}}")
    assert mesh.cluster(reviews).load_balancer.algorithm is Algorithm.RING_HASH
    assert mesh.cluster(reviews).load_balancer.minimum_ring_size == 1024
    policy(mesh, "loadBalancer: {consistentHash: {httpHeaderName: x-user, ringHash: {minimumRingSize: 7}}}")
    assert mesh.cluster(reviews).load_balancer.minimum_ring_size == 7
    policy(mesh, "loadBalancer: {consistentHash: {httpHeaderName: x-user, maglev: {tableSize: 251}}}")
    assert mesh.cluster(reviews).load_balancer.algorithm is Algorithm.MAGLEV
    assert mesh.cluster(reviews).load_balancer.table_size == 251


def test_hash_keys_are_the_routes_affair(mesh: "Mesh", reviews: str) -> None:
    assert hashes(mesh) == ()
    policy(mesh, "loadBalancer: {consistentHash: {httpHeaderName: x-user}}")
    assert hashes(mesh) == (HashPolicy(header="x-user"),)
    policy(mesh, "loadBalancer: {consistentHash: {httpQueryParameterName: user}}")
    assert hashes(mesh) == (HashPolicy(query_parameter="user"),)
    policy(mesh, "loadBalancer: {consistentHash: {useSourceIp: true}}")
    assert hashes(mesh) == (HashPolicy(source_ip=True),)
    policy(
        mesh,
        """loadBalancer: {consistentHash: {
            httpCookie: {name: user, path: /, ttl: 0s, attributes: [{name: SameSite, value: Strict}]}}}""",
    )
    cookie = CookieHash(name="user", path="/", ttl=timedelta(), attributes=(("SameSite", "Strict"),))
    assert hashes(mesh) == (HashPolicy(cookie=cookie),)


def test_a_subset_hashes_by_its_own_policy(mesh: "Mesh", reviews: str) -> None:
    mesh.rule("""
host: reviews
trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-all}}}
subsets:
- {name: v1, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-v1}}}}
- {name: v2, trafficPolicy: {loadBalancer: {simple: RANDOM}}}
""")
    assert hashes(mesh) == (HashPolicy(header="x-all"),)
    assert hash_policies(mesh.db, mesh.client, REF, 9080, "v1") == (HashPolicy(header="x-v1"),)
    assert hash_policies(mesh.db, mesh.client, REF, 9080, "v2") == ()


def test_warm_up(mesh: "Mesh", reviews: str) -> None:
    policy(mesh, "loadBalancer: {warmupDurationSecs: 30s}")
    assert mesh.cluster(reviews).load_balancer.slow_start == SlowStart(window=timedelta(seconds=30))
    policy(mesh, "loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 9s, minimumPercent: 20, aggression: 2}}")
    expected = SlowStart(window=timedelta(seconds=9), minimum_percent=20, aggression=2)
    assert mesh.cluster(reviews).load_balancer.slow_start == expected


def test_redis_ports_shard_by_key(mesh: "Mesh") -> None:
    mesh.service("cache", ports=(("redis", 6379),))
    found = mesh.cluster("outbound|6379||cache.default.svc.cluster.local")
    assert found.load_balancer.algorithm is Algorithm.MAGLEV


def test_outlier_detection(mesh: "Mesh", reviews: str) -> None:
    policy(
        mesh,
        """outlierDetection: {
            consecutive5xxErrors: 0, consecutiveGatewayErrors: 4, interval: 1s, baseEjectionTime: 2m,
            maxEjectionPercent: 50, minHealthPercent: 30, outlierDetectionHttpErrorCodes: [500, 429]}""",
    )
    found = mesh.cluster(reviews).outlier_detection
    assert found is not None
    assert (found.consecutive_5xx, found.consecutive_gateway_failure) == (0, 4)
    assert (found.interval, found.base_ejection_time) == (timedelta(seconds=1), timedelta(minutes=2))
    assert found.max_ejection_percent == 50
    assert found.error_statuses == (500, 429)
    assert mesh.cluster(reviews).panic_threshold == 30


def test_consecutive_errors_is_an_older_name(mesh: "Mesh", reviews: str) -> None:
    policy(mesh, "outlierDetection: {consecutiveErrors: 7}")
    found = mesh.cluster(reviews).outlier_detection
    assert found is not None
    assert found.consecutive_5xx == 7


def test_tcp_settings_for_listeners(mesh: "Mesh", reviews: str) -> None:
    policy(
        mesh,
        """connectionPool: {tcp: {idleTimeout: 5s, maxConnectionDuration: 6s}},
           loadBalancer: {consistentHash: {useSourceIp: true}}""",
    )
    found = tcp_settings(mesh.db, mesh.client, REF, 9080, "")
    assert found.idle_timeout == timedelta(seconds=5)
    assert found.max_connection_duration == timedelta(seconds=6)
    assert found.use_source_ip
