"""Who a proxy says it is: Envoy's `Node`, in the form that Istio gives it.

The control plane believes of this only what the proxy's certificate confirms; the rest (locality, labels of
the metadata) is what the proxy may say about itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weft_core.proxy import ProxyId


@dataclass(frozen=True, slots=True, kw_only=True)
class Locality:
    """Where the proxy runs. Empty parts are unknown."""

    region: str = ""
    zone: str = ""
    sub_zone: str = ""

    def config(self) -> dict[str, str]:
        """The `Locality` message, without what is unknown."""
        parts = {"region": self.region, "zone": self.zone, "sub_zone": self.sub_zone}
        return {name: value for name, value in parts.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyNode:
    """A proxy's node."""

    proxy: ProxyId
    ip: str
    """The pod's first address, as in its status."""
    cluster: str
    """Envoy's service cluster, `CANONICAL_NAME.NAMESPACE` in Istio: how tracing names the service."""
    cluster_domain: str = "cluster.local"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Istio's keys (NAMESPACE, LABELS, WORKLOAD_NAME, …); values of JSON form."""
    locality: Locality = Locality()

    @property
    def id(self) -> str:
        """`sidecar~IP~POD.NS~NS.svc.cluster.local`; `router~…` for a gateway."""
        domain = f"{self.proxy.namespace}.svc.{self.cluster_domain}"
        return f"{self.proxy.kind}~{self.ip}~{self.proxy}~{domain}"

    def config(self) -> dict[str, Any]:
        """The `Node` message."""
        node: dict[str, Any] = {"id": self.id, "cluster": self.cluster}
        if self.metadata:
            node["metadata"] = dict(self.metadata)
        if locality := self.locality.config():
            node["locality"] = locality
        return node
