"""Mesh-wide settings in the form of Istio's MeshConfig: the `mesh` key of a ConfigMap, or a file.

Settings that Istio has and Weft has not are named in a warning, so that nobody relies on them; unknown ones are errors.
"""

from datetime import timedelta
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from weft_core.model.base import OpenModel, StringMatch
from weft_core.model.connection_pool import H2UpgradePolicy, TcpKeepalive
from weft_core.model.http_route import HTTPRetry
from weft_core.model.load_balancer import LocalityLoadBalancerSetting
from weft_core.model.scalars import Bool, Duration, NonEmpty, UInt
from weft_core.model.sidecar import OutboundMode


class AccessLogEncoding(StrEnum):
    """How an access log line is written."""

    TEXT = "TEXT"
    JSON = "JSON"


class PathNormalizationType(StrEnum):
    """What is done to a path before it is routed and checked by policies."""

    DEFAULT = "DEFAULT"
    NONE = "NONE"
    BASE = "BASE"
    MERGE_SLASHES = "MERGE_SLASHES"
    DECODE_AND_MERGE_SLASHES = "DECODE_AND_MERGE_SLASHES"


class PathNormalization(OpenModel):
    """Path normalization of all proxies. Policies on paths see what it leaves."""

    normalization: PathNormalizationType = Field(PathNormalizationType.DEFAULT, description="What is done to paths.")


class MeshOutboundTrafficPolicy(OpenModel):
    """What sidecars do with traffic to destinations that the mesh does not know."""

    mode: OutboundMode = Field(OutboundMode.ALLOW_ANY, description="ALLOW_ANY lets it go, REGISTRY_ONLY drops it.")


class Topology(OpenModel):
    """Where a gateway stands among other proxies."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset({"proxyProtocol"})

    num_trusted_proxies: UInt = Field(0, description="Trusted proxies in front of the gateway.")
    forward_client_cert_details: str = Field("", description="What becomes of x-forwarded-client-cert.")


class Tracing(OpenModel):
    """Tracing of all proxies."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset(
        {"zipkin", "lightstep", "datadog", "stackdriver", "openCensusAgent", "customTags", "maxPathTagLength",
         "tlsSettings"}
    )

    sampling: float = Field(1.0, ge=0, le=100, description="Percentage of the requests that are traced.")


class ProxyConfig(OpenModel):
    """Defaults of all proxies."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset(
        {
            "configPath", "binaryPath", "serviceCluster", "customConfigFile", "statNameLength", "controlPlaneAuthPolicy",
            "proxyBootstrapTemplatePath", "interceptionMode", "envoyAccessLogService", "envoyMetricsService",
            "proxyMetadata", "runtimeValues", "statusPort", "extraStatTags", "proxyStatsMatcher", "caCertificatesPem",
            "image", "privateKeyProvider", "readinessProbe", "proxyHeaders", "sds", "statsdUdpAddress",
            "statsCompression", "meshId", "availabilityZone", "zipkinAddress", "tracingServiceName", "fileFlushInterval",
            "fileFlushMinSizeKb", "connectionSettings", "parentShutdownDuration", "environmentVariables",
        }
    )  # fmt: skip

    concurrency: UInt | None = Field(None, description="Worker threads; 0 is one for each core.")
    drain_duration: Duration | None = Field(None, description="Time for connections to end when a listener goes.")
    termination_drain_duration: Duration | None = Field(None, description="Time for requests to end on termination.")
    discovery_address: str = Field("", description="Where the control plane is.")
    proxy_admin_port: UInt | None = Field(None, description="Port of Envoy's administration interface.")
    hold_application_until_proxy_starts: Bool | None = Field(None, description="Applications start after the proxy.")
    gateway_topology: Topology | None = Field(None, description="Where gateways stand among other proxies.")
    tracing: Tracing | None = Field(None, description="Tracing.")


class IncludeRequestBody(OpenModel):
    """How much of a request's body an authorization service is sent."""

    max_request_bytes: UInt = Field(0, description="Bytes at most.")
    allow_partial_message: Bool = Field(False, description="Send what fits of larger bodies; else they are refused.")
    pack_as_bytes: Bool = Field(False, description="Send the body as bytes instead of text.")


class ExternalAuthorization(OpenModel):
    """A service that is asked whether a request may pass, over gRPC or HTTP."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset({"includeHeadersInCheck"})

    service: NonEmpty = Field(description="The service: host, or namespace/host.")
    port: UInt = Field(ge=1, le=65535, description="Its port.")
    timeout: Duration | None = Field(None, description="How long to wait for its answer; 600 s by default.")
    fail_open: Bool = Field(False, description="Let requests pass where it can't be reached.")
    clear_route_cache: Bool = Field(False, description="Choose the route again after it changed headers.")
    status_on_error: str = Field("", description="The answer where it can't be reached; 403.")
    path_prefix: str = Field("", description="Put before the path of its requests (HTTP).")
    include_request_headers_in_check: tuple[str, ...] = Field((), description="Headers that it is sent (HTTP).")
    include_additional_headers_in_check: dict[str, str] | None = Field(None, description="More headers for it (HTTP).")
    include_request_body_in_check: IncludeRequestBody | None = Field(None, description="The body that it is sent.")
    headers_to_upstream_on_allow: tuple[str, ...] = Field((), description="Its headers for the workload (HTTP).")
    headers_to_downstream_on_deny: tuple[str, ...] = Field((), description="Its headers for the caller (HTTP).")
    headers_to_downstream_on_allow: tuple[str, ...] = Field((), description="Its headers for the caller (HTTP).")


class LogFormat(OpenModel):
    """How a provider's access log lines look."""

    text: str | None = Field(None, description="One line of text with Envoy's command operators.")
    labels: dict[str, str] | None = Field(None, description="A JSON object with Envoy's command operators.")


class FileAccessLog(OpenModel):
    """An access log in a file."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset({"omitEmptyValues"})

    path: NonEmpty = Field(description="The file; /dev/stdout for the proxy's own output.")
    log_format: LogFormat | None = Field(None, description="How its lines look.")


class TracingService(OpenModel):
    """A collector of traces."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset(
        {"maxTagLength", "enable64bitTraceId", "traceContextOption", "http", "grpc", "resourceDetectors", "timeout", "headers",
         "dynatraceSampler", "path"}
    )  # fmt: skip

    service: NonEmpty = Field(description="The service: host, or namespace/host.")
    port: UInt = Field(ge=1, le=65535, description="Its port.")


class Prometheus(OpenModel):
    """Metrics for Prometheus; it has no settings."""


class ExtensionProvider(OpenModel):
    """A named service that policies and telemetry refer to."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset(
        {"lightstep", "datadog", "stackdriver", "opencensus", "skywalking", "envoyHttpAls", "envoyTcpAls", "envoyOtelAls", "sds"}
    )

    name: NonEmpty = Field(description="Its name.")
    envoy_ext_authz_http: ExternalAuthorization | None = Field(None, description="Authorization over HTTP.")
    envoy_ext_authz_grpc: ExternalAuthorization | None = Field(None, description="Authorization over gRPC.")
    envoy_file_access_log: FileAccessLog | None = Field(None, description="Access log in a file.")
    zipkin: TracingService | None = Field(None, description="Traces in Zipkin's form; Jaeger takes them too.")
    opentelemetry: TracingService | None = Field(None, description="Traces in OpenTelemetry's form.")
    prometheus: Prometheus | None = Field(None, description="Metrics for Prometheus.")


class DefaultProviders(OpenModel):
    """Providers that are used where no policy names one."""

    tracing: tuple[str, ...] = Field((), description="For traces.")
    metrics: tuple[str, ...] = Field((), description="For metrics.")
    access_logging: tuple[str, ...] = Field((), description="For access logs.")


class MeshConfig(OpenModel):
    """Settings of the whole mesh."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset(
        {
            "proxyListenPort", "proxyInboundListenPort", "proxyHttpPort", "protocolDetectionTimeout", "ingressClass",
            "ingressService", "ingressControllerMode", "ingressSelector", "enableEnvoyAccessLogService",
            "disableEnvoyListenerLog", "inboundTrafficPolicy", "caCertificates", "certificates",
            "serviceSettings", "enablePrometheusMerge", "verifyCertificateAtClient", "ca", "discoverySelectors",
            "meshMTLS", "tlsDefaults", "inboundClusterStatName", "outboundClusterStatName", "configSources",
            "thriftConfig", "defaultTrafficPolicy", "serviceScopeConfigs", "serviceEntryVisibility",
            "defaultInboundHttpRetryPolicy", "localityLbSettings", "hboneIdleTimeout",
        }
    )  # fmt: skip

    trust_domain: NonEmpty = Field("cluster.local", description="The domain of all identities.")
    trust_domain_aliases: tuple[NonEmpty, ...] = Field((), description="Domains that mean the same in policies.")
    root_namespace: NonEmpty = Field("istio-system", description="Whose policies hold for the whole mesh.")
    outbound_traffic_policy: MeshOutboundTrafficPolicy = Field(
        MeshOutboundTrafficPolicy(), description="Traffic to unknown destinations."
    )
    access_log_file: str = Field("", description="Where access logs go; empty for none.")
    access_log_format: str = Field("", description="How their lines look; Envoy's command operators.")
    access_log_encoding: AccessLogEncoding = Field(AccessLogEncoding.TEXT, description="TEXT or JSON.")
    connect_timeout: Duration = Field(timedelta(seconds=10), description="Limit for opening a connection.")
    tcp_keepalive: TcpKeepalive | None = Field(None, description="Probes on idle connections.")
    locality_lb_setting: LocalityLoadBalancerSetting | None = Field(None, description="Locality load balancing.")
    path_normalization: PathNormalization = Field(PathNormalization(), description="What is done to paths.")
    default_config: ProxyConfig = Field(ProxyConfig(), description="Defaults of all proxies.")
    extension_providers: tuple[ExtensionProvider, ...] = Field((), description="Services that policies refer to.")
    default_providers: DefaultProviders = Field(DefaultProviders(), description="Providers used by default.")
    enable_auto_mtls: Bool = Field(True, description="Clients use mutual TLS wherever the server takes it.")
    enable_tracing: Bool = Field(False, description="Proxies trace requests.")
    default_service_export_to: tuple[str, ...] = Field((), description="exportTo of services that have none.")
    default_virtual_service_export_to: tuple[str, ...] = Field((), description="The same of VirtualServices.")
    default_destination_rule_export_to: tuple[str, ...] = Field((), description="The same of DestinationRules.")
    default_http_retry_policy: HTTPRetry | None = Field(None, description="Retries of routes that say nothing.")
    h2_upgrade_policy: H2UpgradePolicy = Field(H2UpgradePolicy.DO_NOT_UPGRADE, description="HTTP/1.1 upgraded to HTTP/2?")
    dns_refresh_rate: Duration = Field(timedelta(seconds=60), description="How often DNS services are resolved.")
