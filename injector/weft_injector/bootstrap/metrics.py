"""The listener from which Prometheus scrapes a proxy.

It lets through one path to the admin interface, which itself is bound to loopback: everything else there can
stop the proxy.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from weft_injector.bootstrap.address import LOOPBACK, duration, socket_address

PROMETHEUS_CLUSTER = "prometheus_stats"
_METRICS_PATH = "/stats/prometheus"
_CONNECT_TIMEOUT = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsListener:
    """Where the metrics are served, and which admin interface they come from."""

    port: int
    address: str = "0.0.0.0"  # noqa: S104 - Prometheus scrapes from outside of the pod
    admin_port: int
    also_loopback: bool = False
    """Also on loopback, where `kubectl port-forward` arrives; for an address that is the pod's alone."""

    def listener(self) -> dict[str, Any]:
        """The static listener, unaffected by anything that the control plane sends or withholds."""
        # A query string may follow the path (`?usedonly`), but no further segment.
        route = {"match": {"path": _METRICS_PATH}, "route": {"cluster": PROMETHEUS_CLUSTER}}
        hosts = [{"name": "metrics", "domains": ["*"], "routes": [route]}]
        manager = {
            "@type": f"{_TYPE}/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "stats",
            "route_config": {"name": "metrics", "virtual_hosts": hosts},
            "http_filters": [
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": f"{_TYPE}/envoy.extensions.filters.http.router.v3.Router"},
                }
            ],
        }
        filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
        listener: dict[str, Any] = {
            "name": "metrics",
            "address": socket_address(self.address, self.port),
            "filter_chains": [{"filters": filters}],
        }
        if self.also_loopback:
            listener["additional_addresses"] = [{"address": socket_address(LOOPBACK, self.port)}]
        return listener

    def clusters(self) -> list[dict[str, Any]]:
        """The static cluster of the admin interface."""
        endpoint = {"endpoint": {"address": socket_address(LOOPBACK, self.admin_port)}}
        cluster = {
            "name": PROMETHEUS_CLUSTER,
            "type": "STATIC",
            "connect_timeout": duration(_CONNECT_TIMEOUT),
            "load_assignment": {
                "cluster_name": PROMETHEUS_CLUSTER,
                "endpoints": [{"lb_endpoints": [endpoint]}],
            },
        }
        return [cluster]


_TYPE = "type.googleapis.com"
