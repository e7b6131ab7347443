"""The mesh's defaults for connections to services, as one value: other settings of the mesh disturb no cluster."""

from dataclasses import dataclass
from datetime import timedelta

from weft_core.graph import query
from weft_core.ir.traffic_policy import TcpKeepalive
from weft_core.model.connection_pool import H2UpgradePolicy
from weft_core.model.load_balancer import LocalityLoadBalancerSetting
from weft_core.registry import Registry
from weft_core.view.mesh import mesh

CONNECT_TIMEOUT = timedelta(seconds=10)
DNS_REFRESH_RATE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamDefaults:
    """What holds for every cluster unless a DestinationRule says otherwise."""

    connect_timeout: timedelta = CONNECT_TIMEOUT
    keepalive: TcpKeepalive | None = None
    upgrades_to_http2: bool = False
    auto_mutual_tls: bool = True
    dns_refresh_rate: timedelta = DNS_REFRESH_RATE


@query
def upstream_defaults(db: Registry) -> UpstreamDefaults:
    """The mesh's defaults for clusters."""
    config = mesh(db)
    keepalive = config.tcp_keepalive
    return UpstreamDefaults(
        connect_timeout=config.connect_timeout,
        keepalive=TcpKeepalive(probes=keepalive.probes or None, time=keepalive.time, interval=keepalive.interval)
        if keepalive
        else None,
        upgrades_to_http2=config.h2_upgrade_policy is H2UpgradePolicy.UPGRADE,
        auto_mutual_tls=config.enable_auto_mtls,
        dns_refresh_rate=config.dns_refresh_rate,
    )


@query
def destination_rule_export_to(db: Registry) -> tuple[str, ...]:
    """Where DestinationRules without exportTo are seen."""
    return tuple(mesh(db).default_destination_rule_export_to) or ("*",)


@query
def mesh_locality_setting(db: Registry) -> LocalityLoadBalancerSetting | None:
    """Locality load balancing where no rule and no Service speaks of it; on, and without wishes, unless set."""
    return mesh(db).locality_lb_setting
