"""DestinationRule: what is accepted, and what is refused or warned about."""

# ruff: noqa: E501  (tables of YAML read best with a case on a line)

from collections.abc import Callable

import pytest

from weft_core.model.decode import Decoded
from weft_core.model.destination_rule import DestinationRule, OutlierDetection
from weft_core.problems import Code

Listed = Callable[[str, str], list[tuple[str, str, str]]]

EVERYTHING = """
host: reviews
exportTo: ["*"]
workloadSelector: {matchLabels: {app: web}}
trafficPolicy:
  loadBalancer:
    consistentHash: {httpCookie: {name: user, path: /, ttl: 0s, attributes: [{name: Secure}]}, ringHash: {minimumRingSize: 2048}}
    localityLbSetting: {distribute: [{from: a/b/*, to: {"a/b/*": 80, "c": 20}}], enabled: true}
  connectionPool:
    tcp:
      maxConnections: 10
      connectTimeout: 30ms
      tcpKeepalive: {probes: 3, time: 7200s, interval: 75s}
      maxConnectionDuration: 1h
      idleTimeout: 0s
    http:
      http1MaxPendingRequests: 1
      http2MaxRequests: 2
      maxRequestsPerConnection: 3
      maxRetries: 4
      idleTimeout: 5s
      h2UpgradePolicy: UPGRADE
      useClientProtocol: false
      maxConcurrentStreams: 6
  outlierDetection:
    consecutive5xxErrors: 0
    consecutiveGatewayErrors: 3
    splitExternalLocalOriginErrors: true
    consecutiveLocalOriginFailures: 2
    interval: 1s
    baseEjectionTime: 3m
    maxEjectionPercent: 100
    minHealthPercent: 50
    outlierDetectionHttpErrorCodes: [429]
  tls: {mode: MUTUAL, clientCertificate: a, privateKey: b, caCertificates: c, sni: d, subjectAltNames: [e], caCrl: f}
  proxyProtocol: {version: V2}
  tunnel: {targetHost: a, targetPort: 443}
  retryBudget: {percent: 25, minRetryConcurrency: 5, budgetInterval: 10s}
subsets:
- name: v1
  labels: {version: v1}
  trafficPolicy:
    loadBalancer: {simple: LEAST_REQUEST, warmup: {duration: 30s, minimumPercent: 20, aggression: 2}}
    portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]
"""


def test_every_field_is_read(read: Callable[[str, str], Decoded]) -> None:
    decoded = read("DestinationRule", EVERYTHING)
    assert decoded.problems == ()
    spec = decoded.object.spec  # type: ignore[union-attr]
    assert isinstance(spec, DestinationRule)
    policy = spec.traffic_policy
    assert policy is not None
    assert policy.connection_pool is not None
    assert policy.connection_pool.http is not None
    assert policy.connection_pool.http.http1_max_pending_requests == 1
    assert policy.connection_pool.http.http2_max_requests == 2
    assert policy.outlier_detection is not None
    assert policy.outlier_detection.consecutive_5xx_errors == 0
    assert {spec: "usable as a key"}[spec]


def lb(text: str) -> str:
    return f"{{host: r, trafficPolicy: {{loadBalancer: {text}}}}}"


def tls(text: str) -> str:
    return f"{{host: r, trafficPolicy: {{tls: {text}}}}}"


LB = "spec.trafficPolicy.loadBalancer"
TLS = "spec.trafficPolicy.tls"
REFUSED = {
    "no host": ("{}", "spec.host", "`host` is missing"),
    "subset without name": ("{host: r, subsets: [{labels: {a: b}}]}", "spec.subsets[0].name", "missing"),
    "subset twice": ("{host: r, subsets: [{name: a}, {name: a}]}", "spec.subsets[1].name", "already defined"),
    "simple and hash": (lb("{simple: RANDOM, consistentHash: {useSourceIp: true}}"), LB, "exclude each other"),
    "hash without key": (lb("{consistentHash: {}}"), f"{LB}.consistentHash", "no key"),
    "two keys": (lb("{consistentHash: {useSourceIp: true, httpHeaderName: a}}"), f"{LB}.consistentHash", "exclude"),
    "two tables": (
        lb("{consistentHash: {useSourceIp: true, maglev: {}, ringHash: {}}}"),
        f"{LB}.consistentHash",
        "ringHash and maglev",
    ),
    "table not prime": (
        lb("{consistentHash: {useSourceIp: true, maglev: {tableSize: 100}}}"),
        f"{LB}.consistentHash.maglev.tableSize",
        "not prime",
    ),
    "ring too large": (
        lb("{consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 9000000}}}"),
        f"{LB}.consistentHash.ringHash.minimumRingSize",
        "above 8388608",
    ),
    "shares": (
        lb("{localityLbSetting: {distribute: [{from: a, to: {a: 50, b: 49}}]}}"),
        f"{LB}.localityLbSetting.distribute[0].to",
        "sum to 99, not 100",
    ),
    "share of zero": (
        lb("{localityLbSetting: {distribute: [{from: a, to: {a: 100, b: 0}}]}}"),
        f"{LB}.localityLbSetting.distribute[0].to.b",
        "share of 0",
    ),
    "star inside": (
        lb("{localityLbSetting: {distribute: [{from: '*/a', to: {a: 100}}]}}"),
        f"{LB}.localityLbSetting.distribute[0].from",
        "elsewhere",
    ),
    "failover to itself": (
        lb("{localityLbSetting: {failover: [{from: a, to: a}]}}, outlierDetection: {interval: 1s}"),
        f"{LB}.localityLbSetting.failover[0].to",
        "to itself",
    ),
    "distribute and failover": (
        lb(
            "{localityLbSetting: {distribute: [{from: a, to: {a: 100}}], failoverPriority: [x]}}, outlierDetection: {interval: 1s}"
        ),
        f"{LB}.localityLbSetting",
        "distribute and failoverPriority",
    ),
    "port twice": (
        "{host: r, trafficPolicy: {portLevelSettings: [{port: {number: 80}}, {port: {number: 80}}]}}",
        "spec.trafficPolicy.portLevelSettings[1].port",
        "already set",
    ),
    "port level without port": (
        "{host: r, trafficPolicy: {portLevelSettings: [{tls: {mode: SIMPLE}}]}}",
        "spec.trafficPolicy.portLevelSettings[0].port",
        "missing",
    ),
    "mutual without key": (tls("{mode: MUTUAL, clientCertificate: a}"), f"{TLS}.privateKey", "MUTUAL needs privateKey"),
    "istio mutual with files": (tls("{mode: ISTIO_MUTUAL, caCertificates: a}"), f"{TLS}.caCertificates", "its own"),
    "unverified roots": (
        tls("{mode: SIMPLE, insecureSkipVerify: true, caCertificates: a}"),
        f"{TLS}.insecureSkipVerify",
        "void",
    ),
    "ejection percent": (
        "{host: r, trafficPolicy: {outlierDetection: {maxEjectionPercent: 101}}}",
        "spec.trafficPolicy.outlierDetection.maxEjectionPercent",
        "101 is above 100",
    ),
    "interval of zero": (
        "{host: r, trafficPolicy: {outlierDetection: {interval: 0s}}}",
        "spec.trafficPolicy.outlierDetection.interval",
        "below 1ms",
    ),
    "not a status": (
        "{host: r, trafficPolicy: {outlierDetection: {outlierDetectionHttpErrorCodes: [42]}}}",
        "spec.trafficPolicy.outlierDetection.outlierDetectionHttpErrorCodes[0]",
        "42 is no HTTP status",
    ),
    "negative limit": (
        "{host: r, trafficPolicy: {connectionPool: {tcp: {maxConnections: -1}}}}",
        "spec.trafficPolicy.connectionPool.tcp.maxConnections",
        "-1 is below 0",
    ),
    "wildcard label": (
        "{host: r, workloadSelector: {matchLabels: {app: 'a*'}}}",
        "spec.workloadSelector.matchLabels.app",
        "no wildcards",
    ),
}


@pytest.mark.parametrize(("spec", "path", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(errors: Listed, spec: str, path: str, words: str) -> None:
    [(at, message, fix)] = errors("DestinationRule", spec)
    assert at == path
    assert words in message
    assert fix


WARNED = {
    "failover without outlier detection": (
        lb("{localityLbSetting: {failover: [{from: a, to: b}]}}"),
        f"{LB}.localityLbSetting",
        Code.LOCALITY_WITHOUT_OUTLIER_DETECTION,
    ),
    "Secret without selector": (
        tls("{mode: SIMPLE, credentialName: a}"),
        f"{TLS}.credentialName",
        Code.INEFFECTIVE_SELECTOR,
    ),
    "port settings drop a block": (
        "{host: r, trafficPolicy: {loadBalancer: {simple: RANDOM}, portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}]}}",
        "spec.trafficPolicy.portLevelSettings[0]",
        Code.DESTINATION_RULE_SHADOWS_PORT,
    ),
    "empty policy": ("{host: r, trafficPolicy: {}}", "spec.trafficPolicy", Code.SCHEMA_WARNING),
    "empty pool": (
        "{host: r, trafficPolicy: {connectionPool: {}}}",
        "spec.trafficPolicy.connectionPool",
        Code.SCHEMA_WARNING,
    ),
    "zone-aware balancing": (
        lb("{simple: RANDOM, zoneAwareLbSetting: {}}"),
        f"{LB}.zoneAwareLbSetting",
        Code.UNSUPPORTED_FIELD,
    ),
    "minimumRingSize": (
        lb("{consistentHash: {useSourceIp: true, minimumRingSize: 10}}"),
        f"{LB}.consistentHash.minimumRingSize",
        Code.DEPRECATED,
    ),
}


@pytest.mark.parametrize(("spec", "path", "code"), WARNED.values(), ids=WARNED)
def test_warned_about_and_accepted(warnings: Listed, spec: str, path: str, code: str) -> None:
    [(at, found, fix)] = warnings("DestinationRule", spec)
    assert (at, found) == (path, code)
    assert fix


def test_a_subsets_failover_counts_the_destinations_outlier_detection(warnings: Listed) -> None:
    spec = """
    host: r
    trafficPolicy: {outlierDetection: {interval: 1s}}
    subsets: [{name: a, trafficPolicy: {loadBalancer: {localityLbSetting: {failover: [{from: x, to: y}]}}}}]
    """
    assert warnings("DestinationRule", spec) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({}, None), ({"consecutive_errors": 3}, 3), ({"consecutive_errors": 3, "consecutive_5xx_errors": 0}, 0)],
)
def test_the_successor_of_consecutive_errors_wins(fields: dict[str, int], expected: int | None) -> None:
    assert OutlierDetection(**fields).effective_consecutive_5xx == expected
