"""The whole bootstrap, put together."""

from dataclasses import dataclass
from typing import Any

from weft_injector.bootstrap.address import LOOPBACK, socket_address
from weft_injector.bootstrap.control_plane import ControlPlane
from weft_injector.bootstrap.metrics import MetricsListener
from weft_injector.bootstrap.node import ProxyNode
from weft_injector.bootstrap.probes import ProbeListener
from weft_injector.bootstrap.stats import stats_settings

ADMIN_PORT = 15000
METRICS_PORT = 15090

_UNLIMITED = (1 << 31) - 1
_MAX_REGEX_PROGRAM = 32768
"""How large a regular expression may become; Envoy's own limit, 100, refuses many that VirtualServices hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyPorts:
    """Ports that are fixed before the control plane is asked.

    In a pod the defaults; on a shared machine whatever is free.
    """

    admin: int = ADMIN_PORT
    metrics: int | None = METRICS_PORT
    """None for no metrics listener."""
    metrics_address: str = "0.0.0.0"  # noqa: S104 - Prometheus scrapes from outside of the pod
    metrics_also_on_loopback: bool = False


def bootstrap(
    node: ProxyNode,
    control_plane: ControlPlane,
    ports: ProxyPorts = ProxyPorts(),
    probes: ProbeListener | None = None,
) -> dict[str, Any]:
    """The bootstrap of a sidecar or gateway, for `envoy --config-yaml` or a file.

    `probes` are the application's, where they go through the proxy. Raises ValueError for impossible ports.
    """
    metrics = _metrics(ports)
    fixed = [listener for listener in (metrics, probes) if listener is not None]
    return {
        "node": node.config(),
        "admin": {"address": socket_address(LOOPBACK, ports.admin)},
        "dynamic_resources": {
            "ads_config": control_plane.ads_config(),
            "lds_config": _over_ads(),
            "cds_config": _over_ads(),
        },
        "static_resources": {
            "listeners": [listener.listener() for listener in fixed],
            "clusters": [control_plane.cluster(), *(cluster for listener in fixed for cluster in listener.clusters())],
        },
        "layered_runtime": {
            "layers": [{"name": "weft", "static_layer": _runtime()}, {"name": "admin", "admin_layer": {}}]
        },
        "overload_manager": _overload(),
        **stats_settings(),
    }


def _metrics(ports: ProxyPorts) -> MetricsListener | None:
    if ports.metrics is None:
        return None
    return MetricsListener(
        port=ports.metrics,
        address=ports.metrics_address,
        admin_port=ports.admin,
        also_loopback=ports.metrics_also_on_loopback,
    )


def _over_ads() -> dict[str, Any]:
    """Wait for the control plane as long as it takes: a proxy that went ahead without would let everything through."""
    return {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}


def _overload() -> dict[str, Any]:
    """No limit to the connections from below, said outright: Envoy warns of a limit that nobody set."""
    kind = "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    monitor = {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {"@type": f"type.googleapis.com/{kind}", "max_active_downstream_connections": _UNLIMITED},
    }
    return {"resource_monitors": [monitor]}


def _runtime() -> dict[str, Any]:
    return {"re2.max_program_size.error_level": _MAX_REGEX_PROGRAM}
