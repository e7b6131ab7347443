"""MeshConfig: defaults, what is supported, and that the rest is named."""

# ruff: noqa: E501  (tables of YAML read best with a case on a line)

from datetime import timedelta
from typing import Any

import yaml

from weft_core.model.explain import parse
from weft_core.model.mesh_config import MeshConfig, PathNormalizationType
from weft_core.model.sidecar import OutboundMode
from weft_core.problems import Code, Severity

SUPPORTED = """
trustDomain: shop.example
trustDomainAliases: [old.example]
rootNamespace: mesh
outboundTrafficPolicy: {mode: REGISTRY_ONLY}
accessLogFile: /dev/stdout
accessLogFormat: "%REQ(:PATH)%"
accessLogEncoding: JSON
connectTimeout: 3s
tcpKeepalive: {time: 10s}
localityLbSetting: {enabled: false}
pathNormalization: {normalization: MERGE_SLASHES}
enableAutoMtls: false
enableTracing: false
dnsRefreshRate: 5s
h2UpgradePolicy: UPGRADE
defaultServiceExportTo: [.]
defaultHttpRetryPolicy: {attempts: 3}
defaultConfig:
  gatewayTopology: {numTrustedProxies: 1, forwardClientCertDetails: APPEND_FORWARD}
  concurrency: 2
  holdApplicationUntilProxyStarts: true
  proxyMetadata: {A: b}
  terminationDrainDuration: 10s
"""
CHECKED = """
enableTracing: true
defaultProviders: {tracing: [otel]}
defaultConfig:
  discoveryAddress: istiod.istio-system.svc:15012
  drainDuration: 45s
  interceptionMode: TPROXY
  proxyAdminPort: 15000
  statusPort: 15020
  tracing: {sampling: 100, customTags: {a: {literal: {value: b}}}}
extensionProviders:
- name: otel
  opentelemetry: {service: otel.obs.svc.cluster.local, port: 4317}
- name: opa
  envoyExtAuthzGrpc: {service: opa.svc.local, port: 9000, timeout: 1s, failOpen: true, includeRequestBodyInCheck: {maxRequestBytes: 10}}
- name: web
  envoyExtAuthzHttp: {service: a, port: 80, pathPrefix: /x, headersToUpstreamOnAllow: [x-*], statusOnError: "503"}
- name: log
  envoyFileAccessLog: {path: /dev/stdout, logFormat: {labels: {a: b}}}
"""


def read(text: str) -> tuple[Any, list[tuple[str, str, str]]]:
    config, mistakes = parse(MeshConfig, yaml.safe_load(text), ())
    return config, [(".".join(map(str, m.path)), m.severity, m.code) for m in mistakes]


def test_defaults_are_istios() -> None:
    mesh = MeshConfig()
    assert mesh.trust_domains == ("cluster.local",)
    assert mesh.root_namespace == "istio-system"
    assert mesh.connect_timeout == timedelta(seconds=10)
    assert mesh.outbound_traffic_policy.mode is OutboundMode.ALLOW_ANY
    assert mesh.enable_auto_mtls
    assert mesh.default_config.drain_duration == timedelta(seconds=45)


def test_everything_that_is_supported_is_read_without_a_word() -> None:
    config, mistakes = read(SUPPORTED)
    assert mistakes == []
    assert config.trust_domains == ("shop.example", "old.example")
    assert config.path_normalization.normalization is PathNormalizationType.MERGE_SLASHES
    assert hash(config)


def test_what_is_checked_and_not_acted_upon_is_named() -> None:
    _, mistakes = read(CHECKED)
    document = yaml.safe_load(CHECKED)
    expected = [name for name in document if name != "defaultConfig"]
    expected += [f"defaultConfig.{name}" for name in document["defaultConfig"]]
    assert sorted(mistakes) == [(name, Severity.WARNING, Code.UNSUPPORTED_FIELD) for name in sorted(expected)]


def test_what_is_not_supported_is_named_and_the_rest_is_in_force() -> None:
    config, mistakes = read(
        "{enablePrometheusMerge: true, trustDomain: a, defaultConfig: {proxyStatsMatcher: {}}, "
        "extensionProviders: [{name: s, skywalking: {}}]}"
    )
    assert config.trust_domain == "a"
    assert sorted(mistakes) == [
        ("defaultConfig.proxyStatsMatcher", Severity.WARNING, Code.UNSUPPORTED_FIELD),
        ("enablePrometheusMerge", Severity.WARNING, Code.UNSUPPORTED_FIELD),
        ("extensionProviders", Severity.WARNING, Code.UNSUPPORTED_FIELD),
        ("extensionProviders.0.skywalking", Severity.WARNING, Code.UNSUPPORTED_FIELD),
    ]


def test_metadata_that_only_istios_proxies_understand_is_named() -> None:
    config, mistakes = read("defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true', SECRET_TTL: 1h, MINE: x}}")
    assert len(config.default_config.proxy_metadata) == 3
    assert sorted(mistakes) == [
        (f"defaultConfig.proxyMetadata.{name}", Severity.WARNING, Code.UNSUPPORTED_FIELD)
        for name in ("ISTIO_META_DNS_CAPTURE", "SECRET_TTL")
    ]


def test_what_nobody_knows_is_an_error_with_the_nearest_name() -> None:
    _, mistakes = parse(MeshConfig, {"trustDomian": "a"}, ())
    assert [(m.path, m.severity, m.fix) for m in mistakes] == [
        (("trustDomian",), Severity.ERROR, "write `trustDomain`")
    ]


def test_providers_are_unique_and_defaults_exist() -> None:
    _, mistakes = read(
        "{extensionProviders: [{name: a, zipkin: {service: z, port: 1}}, {name: a, prometheus: {}}, {name: b}], "
        "defaultProviders: {tracing: [c], metrics: [prometheus]}}"
    )
    assert sorted(path for path, severity, _ in mistakes if severity == Severity.ERROR) == [
        "defaultProviders.tracing.0",
        "extensionProviders.1.name",
        "extensionProviders.2",
    ]
