"""The way to the control plane: one delta ADS stream over HTTP/2 with mTLS.

The proxy shows its workload certificate and takes the server for the control plane only if a root of the mesh
vouches for the DNS name. Both come by file-based SDS, so a renewed certificate or a replaced root serves the
next connection.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from weft_core.names import CERTIFICATE_SECRET, ROOT_SECRET
from weft_injector.bootstrap.address import duration, is_ip_address, is_loopback, socket_address
from weft_injector.sds import WORKLOAD_SECRETS, SecretFolder

XDS_CLUSTER = "xds-grpc"
"""Istio's name for it, which dashboards select on."""

_CONNECT_TIMEOUT = timedelta(seconds=5)
_RETRY_BASE = timedelta(seconds=0.25)
_RETRY_MAX = timedelta(seconds=3)
_KEEPALIVE_INTERVAL = timedelta(seconds=30)
_KEEPALIVE_TIMEOUT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class MutualTls:
    """How proxy and control plane prove themselves to each other."""

    server_name: str
    """The DNS name in the control plane's certificate; also sent as SNI."""
    secrets: SecretFolder = WORKLOAD_SECRETS

    def transport_socket(self) -> dict[str, Any]:
        """The `transport_socket` of the xds cluster. Both ends are ours, so nothing below TLS 1.3 is spoken."""
        match = {"san_type": "DNS", "matcher": {"exact": self.server_name}}
        common = {
            "tls_params": {
                "tls_minimum_protocol_version": "TLSv1_3",
                "tls_maximum_protocol_version": "TLSv1_3",
            },
            "alpn_protocols": ["h2"],
            "tls_certificate_sds_secret_configs": [self.secrets.secret_config(CERTIFICATE_SECRET)],
            "combined_validation_context": {
                "default_validation_context": {"match_typed_subject_alt_names": [match]},
                "validation_context_sds_secret_config": self.secrets.secret_config(ROOT_SECRET),
            },
        }
        context = {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": self.server_name,
            "common_tls_context": common,
        }
        return {"name": "envoy.transport_sockets.tls", "typed_config": context}


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """Where the control plane listens.

    Without `tls` the address must be a loopback one: such a stream proves nothing.
    """

    host: str
    """An IP address or a DNS name."""
    port: int
    tls: MutualTls | None

    def __post_init__(self) -> None:
        if self.tls is None and not is_loopback(self.host):
            raise ValueError(f"xDS without TLS is for tests on a loopback address, not for {self.host}")

    def ads_config(self) -> dict[str, Any]:
        """The `ads_config` of the dynamic resources.

        With Envoy's own back-off a proxy comes back 15 s and more after an outage; with this one in one or
        two, and its log names the reason sooner.
        """
        backoff = {"base_interval": duration(_RETRY_BASE), "max_interval": duration(_RETRY_MAX)}
        service = {"cluster_name": XDS_CLUSTER, "retry_policy": {"retry_back_off": backoff}}
        return {
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": service}],
        }

    def cluster(self) -> dict[str, Any]:
        """The static cluster that the stream goes through. A DNS name is followed as its addresses change."""
        endpoint = {"endpoint": {"address": socket_address(self.host, self.port)}}
        cluster: dict[str, Any] = {
            "name": XDS_CLUSTER,
            **(_STATIC if is_ip_address(self.host) else _FOLLOW_DNS),
            "connect_timeout": duration(_CONNECT_TIMEOUT),
            "load_assignment": {"cluster_name": XDS_CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
            "typed_extension_protocol_options": {_HTTP_OPTIONS: _http2_options()},
        }
        if self.tls:
            cluster["transport_socket"] = self.tls.transport_socket()
        return cluster


_STATIC: dict[str, Any] = {"type": "STATIC"}
_FOLLOW_DNS: dict[str, Any] = {
    "cluster_type": {
        "name": "envoy.cluster.dns",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster",
            "respect_dns_ttl": True,
            "dns_lookup_family": "ALL",
        },
    }
}
"""Envoy 1.40 deprecates the cluster's own DNS fields in favour of this extension."""

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def _http2_options() -> dict[str, Any]:
    """HTTP/2 with pings, so that a control plane that vanished without a word is noticed in 40 s."""
    keepalive = {"interval": duration(_KEEPALIVE_INTERVAL), "timeout": duration(_KEEPALIVE_TIMEOUT)}
    return {
        "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
        "explicit_http_config": {"http2_protocol_options": {"connection_keepalive": keepalive}},
    }
