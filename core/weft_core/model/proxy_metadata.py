"""Names in `proxyMetadata` that mean something to Istio's proxies and nothing to Weft's.

Of all others it is not known who reads them: an Envoy filter of the user's own may.
"""

from collections.abc import Mapping
from itertools import product
from typing import Final

_NODE: Final = "ISTIO_META_"
_NO_AGENT: Final = "there is no agent beside Envoy, which would read it"
_AGENT: Final = frozenset(
    {
        "CA_ADDR", "CA_PROVIDER", "CA_ROOT_CA", "CREDENTIAL_FETCHER_TYPE", "CREDENTIAL_IDENTITY_PROVIDER",
        "DNS_FORWARD_PARALLEL", "DNS_FORWARD_TIMEOUT", "DNS_PROXY_ADDR", "ECC_CURVE", "ECC_SIGNATURE_ALGORITHM",
        "ENVOY_PROMETHEUS_PORT", "ENVOY_SECURE_MERGED_METRICS_PORT", "ENVOY_SECURE_METRICS_PORT", "ENVOY_STATUS_PORT",
        "FILE_MOUNTED_CERTS", "GRPC_XDS_BOOTSTRAP", "ISTIOD_SAN", "ISTIO_BOOTSTRAP", "ISTIO_BOOTSTRAP_OVERRIDE",
        "ISTIO_ENABLE_HTTP2_PROBING", "ISTIO_PROMETHEUS_ANNOTATIONS", "JWT_POLICY", "MINIMUM_DRAIN_DURATION",
        "OUTPUT_CERTS", "PKCS8_KEY", "PROV_CERT", "PROXY_CONFIG_XDS_AGENT", "SECRET_GRACE_PERIOD_RATIO", "SECRET_TTL",
        "TOKEN_AUDIENCES", "TRUST_DOMAIN", "WASM_INSECURE_REGISTRIES", "WORKLOAD_IDENTITY_SOCKET_FILE",
        "WORKLOAD_RSA_KEY_SIZE", "XDS_AUTH_PROVIDER", "XDS_ROOT_CA",
    }
)  # fmt: skip
_CAPTURE: Final = frozenset(
    {
        "INBOUND_INTERCEPTION_MODE", "INBOUND_TPROXY_MARK", "IPTABLES_TRACE_LOGGING",
        "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "ISTIO_OUTBOUND_OWNER_GROUPS", "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE",
    }
)  # fmt: skip
_CERTIFICATES: Final = frozenset(
    f"TLS_{side}_{what}" for side, what in product(("CLIENT", "SERVER"), ("CERT_CHAIN", "KEY", "ROOT_CERT"))
)
_METADATA: Final = _CERTIFICATES | {
    "AUTO_REGISTER_GROUP", "CERT_SIGNER", "CLUSTER_ID", "DISABLE_HBONE_SEND", "ENABLE_HBONE", "ENABLE_SELF_DISCOVERY",
    "GLOBAL_DOWNSTREAM_MAX_CONNECTIONS", "HTTP10", "IDLE_TIMEOUT", "INBOUND_LISTENER_EXACT_BALANCE",
    "INTERCEPTION_MODE", "MESH_ID", "NETWORK", "OUTBOUND_LISTENER_EXACT_BALANCE", "REQUESTED_NETWORK_VIEW",
    "UNPRIVILEGED_POD",
}  # fmt: skip
_DNS: Final = "DNS is not captured"
_REASONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(_AGENT, _NO_AGENT),
    **dict.fromkeys(_CAPTURE, "what is captured is set by annotations"),
    **dict.fromkeys((f"{_NODE}{name}" for name in _METADATA), "Weft's control plane does not read it"),
    **dict.fromkeys((f"{_NODE}DNS_AUTO_ALLOCATE", f"{_NODE}DNS_CAPTURE", f"{_NODE}ENABLE_DNS_SERVER"), _DNS),
}


def without_effect(name: str) -> str:
    """Why an entry of this name does nothing; empty where it may do something."""
    return _REASONS.get(name, "")
