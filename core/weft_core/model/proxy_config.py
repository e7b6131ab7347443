"""ProxyConfig: settings of every proxy, as MeshConfig.defaultConfig.

Two kinds have effect: those of gateways, in what the control plane serves, and those of a proxy's container, which
injection reads.
"""

from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from weft_core.model.base import OpenModel
from weft_core.model.frozen import EMPTY, FrozenDict
from weft_core.model.mistake import Mistake
from weft_core.model.proxy_metadata import without_effect
from weft_core.model.scalars import Bool, DurationOrZero, FrozenMap, Int, NonEmpty, PercentNumber, PortNumber, UInt
from weft_core.problems import Code, Severity


class InterceptionMode(StrEnum):
    """How a pod's traffic gets into its proxy."""

    REDIRECT = "REDIRECT"
    TPROXY = "TPROXY"
    NONE = "NONE"


class ForwardClientCertDetails(StrEnum):
    """What happens to the header x-forwarded-client-cert."""

    UNDEFINED = "UNDEFINED"
    SANITIZE = "SANITIZE"
    FORWARD_ONLY = "FORWARD_ONLY"
    APPEND_FORWARD = "APPEND_FORWARD"
    SANITIZE_SET = "SANITIZE_SET"
    ALWAYS_FORWARD_ONLY = "ALWAYS_FORWARD_ONLY"


class Topology(OpenModel):
    """What stands in front of a gateway."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset({"proxyProtocol"})

    num_trusted_proxies: UInt = Field(0, description="Proxies in front that write X-Forwarded-For.")
    forward_client_cert_details: ForwardClientCertDetails = Field(
        ForwardClientCertDetails.UNDEFINED, description="What happens to x-forwarded-client-cert."
    )


class TagLiteral(OpenModel):
    """A fixed value."""

    value: str = Field("", description="The value.")


class TagEnvironment(OpenModel):
    """A value from the proxy's environment."""

    name: NonEmpty = Field(description="Variable.")
    default_value: str = Field("", description="Value where it is not set.")


class TagHeader(OpenModel):
    """A value from a request header."""

    name: NonEmpty = Field(description="Header.")
    default_value: str = Field("", description="Value where it is absent.")


class CustomTag(OpenModel):
    """A tag of every span."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset({"formatter"})

    literal: TagLiteral | None = Field(None, description="A fixed value.")
    environment: TagEnvironment | None = Field(None, description="A value from the environment.")
    header: TagHeader | None = Field(None, description="A value from a header.")


class Zipkin(OpenModel):
    """A Zipkin collector."""

    address: NonEmpty = Field(description="host:port.")


NO_TAGS: FrozenDict[str, CustomTag] = FrozenDict()


class Tracing(OpenModel):
    """Which requests are traced, and with which tags."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset(
        {"lightstep", "datadog", "stackdriver", "openCensusAgent", "tlsSettings", "enableIstioTags"}
    )

    sampling: PercentNumber = Field(1.0, description="Share of requests that are traced, per cent.")
    max_path_tag_length: UInt = Field(256, description="Longest path in a span.")
    custom_tags: FrozenMap[str, CustomTag] = Field(NO_TAGS, description="Tags by name.")
    zipkin: Zipkin | None = Field(None, description="Deprecated: see extensionProviders.")


class ProxyConfig(OpenModel):
    """Settings of every proxy."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset(
        {
            "availabilityZone", "binaryPath", "caCertificatesPem", "configPath", "connectionSettings",
            "controlPlaneAuthPolicy", "customConfigFile", "discoveryAddress", "discoveryRefreshDelay", "drainDuration",
            "envoyAccessLogService", "envoyMetricsService", "envoyMetricsServiceAddress", "extraStatTags",
            "fileFlushInterval", "fileFlushMinSizeKb", "image", "interceptionMode", "meshId", "privateKeyProvider",
            "proxyAdminPort", "proxyBootstrapTemplatePath", "proxyHeaders", "proxyStatsMatcher", "readinessProbe",
            "runtimeValues", "sds", "serviceCluster", "statNameLength", "statsCompression", "statsdUdpAddress",
            "statusPort", "tracing", "tracingServiceName", "zipkinAddress",
        }
    )  # fmt: skip

    discovery_address: str = Field("", description="Address of the control plane; Weft's own by default.")
    concurrency: Int | None = Field(None, ge=0, description="Worker threads; 0: all cores, none: by the CPU limit.")
    drain_duration: DurationOrZero = Field(timedelta(seconds=45), description="Time to drain connections.")
    termination_drain_duration: DurationOrZero = Field(
        timedelta(seconds=5), description="Time to drain before the proxy exits."
    )
    status_port: PortNumber = Field(15020, description="Port of Istio's agent, which Weft does not have.")
    proxy_admin_port: PortNumber = Field(15000, description="Port of Envoy's administration, on loopback.")
    hold_application_until_proxy_starts: Bool | None = Field(None, description="Start the proxy first.")
    proxy_metadata: FrozenMap[str, str] = Field(EMPTY, description="Environment; ISTIO_META_* is node metadata.")
    interception_mode: InterceptionMode = Field(InterceptionMode.REDIRECT, description="REDIRECT, TPROXY or NONE.")
    tracing: Tracing | None = Field(None, description="Which requests are traced.")
    gateway_topology: Topology | None = Field(None, description="What stands in front of a gateway.")

    def check(self) -> Iterator[Mistake]:
        """What Istio's proxies would have done for an entry of proxyMetadata, and Weft's don't."""
        yield from super().check()
        for name in sorted(self.proxy_metadata):
            if reason := without_effect(name):
                yield Mistake(
                    path=("proxyMetadata", name),
                    message=f"{reason}; it has no effect",
                    fix="remove it",
                    severity=Severity.WARNING,
                    code=Code.UNSUPPORTED_FIELD,
                )
