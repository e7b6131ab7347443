"""MeshConfig: the settings of the whole mesh, in Istio's form, as the key `mesh` of a ConfigMap holds them.

Every field of Istio's is known. Those that Weft does not act upon are named in a warning, and the others are in force.
"""

from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from weft_core.model.base import OpenModel, nearest, same_names, unsupported_field
from weft_core.model.connection_pool import H2UpgradePolicy, TcpKeepalive
from weft_core.model.export import ExportTo
from weft_core.model.extension_provider import DefaultProviders, ExtensionProvider
from weft_core.model.http_route import HTTPRetry
from weft_core.model.load_balancer import LocalityLoadBalancerSetting
from weft_core.model.mistake import Mistake
from weft_core.model.proxy_config import ProxyConfig
from weft_core.model.scalars import Bool, Duration, DurationOrZero, NonEmpty
from weft_core.model.sidecar import OutboundMode

__all__ = ["AccessLogEncoding", "MeshConfig", "MeshOutboundTrafficPolicy", "PathNormalization", "PathNormalizationType"]


class MeshOutboundTrafficPolicy(OpenModel):
    """Traffic to destinations that the mesh does not know."""

    mode: OutboundMode = Field(OutboundMode.ALLOW_ANY, description="ALLOW_ANY lets it go, REGISTRY_ONLY drops it.")


class InboundMode(StrEnum):
    """Where a sidecar takes its workload to listen."""

    PASSTHROUGH = "PASSTHROUGH"
    LOCALHOST = "LOCALHOST"


class InboundTrafficPolicy(OpenModel):
    """Traffic from a sidecar to its own workload."""

    mode: InboundMode = Field(
        InboundMode.PASSTHROUGH, description="PASSTHROUGH: to the address that was called; LOCALHOST: to 127.0.0.1."
    )


class PathNormalizationType(StrEnum):
    """How paths are normalised before they are matched, in policies and routes alike."""

    DEFAULT = "DEFAULT"
    NONE = "NONE"
    BASE = "BASE"
    MERGE_SLASHES = "MERGE_SLASHES"
    DECODE_AND_MERGE_SLASHES = "DECODE_AND_MERGE_SLASHES"


class PathNormalization(OpenModel):
    """Normalisation of paths. What policies see is what the application gets."""

    normalization: PathNormalizationType = Field(
        PathNormalizationType.DEFAULT, description="DEFAULT (= BASE), NONE, MERGE_SLASHES, DECODE_AND_MERGE_SLASHES."
    )


class AccessLogEncoding(StrEnum):
    """Form of access log lines."""

    TEXT = "TEXT"
    JSON = "JSON"


class MeshConfig(OpenModel):
    """Settings of the whole mesh."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset(
        {
            "ca", "caCertificates", "certificates", "configSources", "defaultInboundHttpRetryPolicy",
            "defaultProviders", "defaultTrafficPolicy", "defaultDestinationRuleSelector", "disableEnvoyListenerLog",
            "discoverySelectors", "enableEnvoyAccessLogService", "enablePrometheusMerge", "extensionProviders",
            "hboneIdleTimeout", "inboundClusterStatName",
            "ingressClass", "ingressControllerMode", "ingressSelector", "ingressService",
            "localityLbSettings", "meshMTLS", "outboundClusterStatName", "proxyHttpPort",
            "proxyInboundListenPort", "proxyListenPort", "serviceEntryVisibility", "serviceScopeConfigs",
            "serviceSettings", "thriftConfig", "tlsDefaults", "verifyCertificateAtClient", "zoneAwareLbSetting",
        }
    )  # fmt: skip

    trust_domain: NonEmpty = Field("cluster.local", description="Root of all identities.")
    trust_domain_aliases: tuple[NonEmpty, ...] = Field((), description="Other roots that mean the same.")
    root_namespace: NonEmpty = Field("istio-system", description="Namespace whose policies hold for the mesh.")
    outbound_traffic_policy: MeshOutboundTrafficPolicy = Field(
        MeshOutboundTrafficPolicy(), description="Unknown destinations."
    )
    inbound_traffic_policy: InboundTrafficPolicy = Field(InboundTrafficPolicy(), description="Own workload.")
    protocol_detection_timeout: DurationOrZero | None = Field(
        None, description="Wait for the first bytes where no protocol is named: 5s; 0s for ever."
    )
    access_log_file: str = Field("", description="/dev/stdout, a file, or nothing: no access log.")
    access_log_format: str = Field("", description="Envoy's format string, or a JSON object of them.")
    access_log_encoding: AccessLogEncoding = Field(AccessLogEncoding.TEXT, description="TEXT or JSON.")
    connect_timeout: Duration = Field(timedelta(seconds=10), description="Limit for opening a connection.")
    tcp_keepalive: TcpKeepalive | None = Field(None, description="Probes on idle connections.")
    h2_upgrade_policy: H2UpgradePolicy = Field(
        H2UpgradePolicy.DO_NOT_UPGRADE, alias="h2UpgradePolicy", description="Upgrade HTTP/1.1 to HTTP/2?"
    )
    locality_lb_setting: LocalityLoadBalancerSetting = Field(
        LocalityLoadBalancerSetting(enabled=True), description="Prefer near endpoints."
    )
    dns_refresh_rate: Duration = Field(timedelta(seconds=60), description="Time between DNS queries.")
    path_normalization: PathNormalization = Field(PathNormalization(), description="Normalisation of paths.")
    default_config: ProxyConfig = Field(ProxyConfig(), description="Settings of every proxy.")
    default_providers: DefaultProviders = Field(DefaultProviders(), description="Providers used where none is named.")
    extension_providers: tuple[ExtensionProvider, ...] = Field((), description="External authorizers and tracers.")
    enable_auto_mtls: Bool = Field(True, description="Mutual TLS wherever the other side takes it.")
    enable_tracing: Bool = Field(True, description="Report spans, where there is a provider.")
    default_http_retry_policy: HTTPRetry | None = Field(None, description="Retries where a rule says nothing.")
    default_service_export_to: ExportTo = Field(("*",), description="exportTo of services that say nothing.")
    default_virtual_service_export_to: ExportTo = Field(("*",), description="The same for VirtualServices.")
    default_destination_rule_export_to: ExportTo = Field(("*",), description="The same for DestinationRules.")

    def check(self) -> Iterator[Mistake]:
        """Provider names are unique, and the default ones exist; tracing is off, and can only be asked for in vain."""
        yield from super().check()
        if self.enable_tracing and "enable_tracing" in self.model_fields_set:
            yield unsupported_field("enableTracing")
        names = [p.name for p in self.extension_providers]
        yield from same_names(names, ("extensionProviders",), "name", "provider")
        for field in ("tracing", "metrics", "access_logging"):
            for index, name in enumerate(getattr(self.default_providers, field)):
                if name not in names and name not in {"prometheus", "envoy"}:
                    guess = nearest(name, names)
                    alias = str(type(self.default_providers).model_fields[field].alias)
                    yield Mistake(
                        path=("defaultProviders", alias, index),
                        message=f"there is no extension provider `{name}`",
                        fix=f"write {guess}" if guess else "add it to extensionProviders",
                    )

    @property
    def trust_domains(self) -> tuple[str, ...]:
        """The trust domain and its aliases."""
        return (self.trust_domain, *self.trust_domain_aliases)
