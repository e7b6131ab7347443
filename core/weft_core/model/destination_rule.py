"""DestinationRule (networking.istio.io): what happens to traffic once its destination is decided."""

from collections.abc import Iterator
from enum import StrEnum

from pydantic import Field

from weft_core.model.base import Model, PolicySelector, PortSelector
from weft_core.model.connection_pool import (
    ConnectionPoolSettings,
    H2UpgradePolicy,
    HTTPSettings,
    OutlierDetection,
    RetryBudget,
    TcpKeepalive,
    TCPSettings,
)
from weft_core.model.export import ExportTo
from weft_core.model.frozen import EMPTY
from weft_core.model.load_balancer import (
    ConsistentHashLB,
    CookieAttribute,
    Distribute,
    Failover,
    HTTPCookie,
    LoadBalancerSettings,
    LocalityLoadBalancerSetting,
    MagLev,
    RingHash,
    SimpleLB,
    WarmupConfiguration,
)
from weft_core.model.mistake import Mistake, Path
from weft_core.model.scalars import Labels, NonEmpty, PortNumber, WildcardHost
from weft_core.model.tls_settings import ClientTLSMode, ClientTLSSettings
from weft_core.problems import Code, Severity

__all__ = [
    "ClientTLSMode", "ClientTLSSettings", "ConnectionPoolSettings", "ConsistentHashLB", "CookieAttribute",
    "DestinationRule", "Distribute", "Failover", "H2UpgradePolicy", "HTTPCookie", "HTTPSettings",
    "LoadBalancerSettings", "LocalityLoadBalancerSetting", "MagLev", "OutlierDetection", "PortTrafficPolicy",
    "ProxyProtocol", "ProxyProtocolVersion", "RetryBudget", "RingHash", "SimpleLB", "Subset", "TCPSettings",
    "TcpKeepalive", "TrafficPolicy", "TunnelSettings", "WarmupConfiguration",
]  # fmt: skip

PORT_BLOCKS = ("load_balancer", "connection_pool", "outlier_detection", "tls")
"""The blocks that a port-level policy replaces, set or not."""


class PortTrafficPolicy(Model):
    """The policy of one port. It replaces all four blocks of the destination's policy, also those it leaves out."""

    port: PortSelector = Field(description="The service's port.")
    load_balancer: LoadBalancerSettings | None = Field(None, description="How requests are spread.")
    connection_pool: ConnectionPoolSettings | None = Field(None, description="Limits.")
    outlier_detection: OutlierDetection | None = Field(None, description="Ejection of failing endpoints.")
    tls: ClientTLSSettings | None = Field(None, description="TLS to the destination.")


class TunnelSettings(Model):
    """TCP through an HTTP tunnel."""

    protocol: str = Field("CONNECT", description="CONNECT (the default) or POST.")
    target_host: NonEmpty = Field(description="Host at the tunnel's end.")
    target_port: PortNumber = Field(description="Port at the tunnel's end.")

    def check(self) -> Iterator[Mistake]:
        """One of the two methods."""
        if self.protocol not in {"", "CONNECT", "POST"}:
            yield Mistake(path=("protocol",), message=f"`{self.protocol}` cannot tunnel", fix="write CONNECT or POST")


class ProxyProtocolVersion(StrEnum):
    """Version of the PROXY protocol."""

    V1 = "V1"
    V2 = "V2"


class ProxyProtocol(Model):
    """Tell the destination the caller's address by the PROXY protocol."""

    version: ProxyProtocolVersion = Field(ProxyProtocolVersion.V1, description="V1 or V2.")


class TrafficPolicy(Model):
    """What happens to traffic to a destination or subset."""

    load_balancer: LoadBalancerSettings | None = Field(None, description="How requests are spread.")
    connection_pool: ConnectionPoolSettings | None = Field(None, description="Limits.")
    outlier_detection: OutlierDetection | None = Field(None, description="Ejection of failing endpoints.")
    tls: ClientTLSSettings | None = Field(None, description="TLS to the destination.")
    port_level_settings: tuple[PortTrafficPolicy, ...] = Field((), description="Policies of single ports.")
    tunnel: TunnelSettings | None = Field(None, description="TCP through an HTTP tunnel.")
    proxy_protocol: ProxyProtocol | None = Field(None, description="The PROXY protocol to the destination.")
    retry_budget: RetryBudget | None = Field(None, description="Retries relative to requests.")

    def check(self) -> Iterator[Mistake]:
        """Each port once; a warning where a port-level policy silently drops a block."""
        seen: dict[int, int] = {}
        fields = type(self).model_fields
        for index, policy in enumerate(self.port_level_settings):
            number = policy.port.number
            if number in seen:
                yield Mistake(
                    path=("portLevelSettings", index, "port"),
                    message=f"port {number} is already set at portLevelSettings[{seen[number]}]",
                    fix="merge the two",
                )
            seen.setdefault(number, index)
            lost = [b for b in PORT_BLOCKS if getattr(self, b) is not None and getattr(policy, b) is None]
            if lost:
                names = ", ".join(fields[b].alias or b for b in lost)
                yield Mistake(
                    path=("portLevelSettings", index),
                    severity=Severity.WARNING,
                    code=Code.DESTINATION_RULE_SHADOWS_PORT,
                    message=f"on port {number} the destination's {names} do not apply: port settings replace them all",
                    fix=f"repeat {names} here",
                )


class Subset(Model):
    """A version of the service: its endpoints with these labels."""

    name: NonEmpty = Field(description="Name that routes refer to.")
    labels: Labels = Field(EMPTY, description="Labels of the endpoints. None: all of them.")
    traffic_policy: TrafficPolicy | None = Field(None, description="Blocks here replace the destination's.")


class DestinationRule(Model):
    """Policies for traffic to a host, and its subsets."""

    host: WildcardHost = Field(description="A service; wildcards allowed; short names mean the own namespace.")
    traffic_policy: TrafficPolicy | None = Field(None, description="For all subsets and ports.")
    subsets: tuple[Subset, ...] = Field((), description="Named versions.")
    export_to: ExportTo = Field((), description="Namespaces that see it: `.`, `*`, or names.")
    workload_selector: PolicySelector | None = Field(None, description="Only for these callers.")

    def check(self) -> Iterator[Mistake]:
        """Subset names are unique; failover has something to react to; Secrets reach whom they are meant for."""
        seen: dict[str, int] = {}
        for index, subset in enumerate(self.subsets):
            if subset.name in seen:
                yield Mistake(
                    path=("subsets", index, "name"),
                    message=f"subset `{subset.name}` is already defined at subsets[{seen[subset.name]}]",
                    fix="rename or remove one of them",
                )
            seen.setdefault(subset.name, index)
        base = self.traffic_policy
        for path, policy, watched in _policies(self):
            setting = policy.load_balancer and policy.load_balancer.locality_lb_setting
            if setting and setting.needs_outlier_detection and not watched:
                yield Mistake(
                    path=(*path, "loadBalancer", "localityLbSetting"),
                    severity=Severity.WARNING,
                    code=Code.LOCALITY_WITHOUT_OUTLIER_DETECTION,
                    message="failover never happens without outlierDetection",
                    fix="add outlierDetection beside loadBalancer",
                )
            if policy.tls and policy.tls.credential_name and self.workload_selector is None:
                yield Mistake(
                    path=(*path, "tls", "credentialName"),
                    severity=Severity.WARNING,
                    code=Code.INEFFECTIVE_SELECTOR,
                    message="without workloadSelector only gateways read credentialName",
                    fix="add workloadSelector for sidecars, or name files",
                )
        if base is not None and not base.model_fields_set:
            yield Mistake(
                path=("trafficPolicy",),
                severity=Severity.WARNING,
                code=Code.SCHEMA_WARNING,
                message="the policy is empty",
                fix="fill or remove it",
            )


def _policies(rule: DestinationRule) -> Iterator[tuple[Path, TrafficPolicy | PortTrafficPolicy, bool]]:
    """Every policy in the rule, its path, and whether outlier detection is in force where it applies."""
    base = rule.traffic_policy
    base_watched = base is not None and base.outlier_detection is not None
    policies: list[tuple[Path, TrafficPolicy, bool]] = [(("trafficPolicy",), base, False)] if base else []
    for index, subset in enumerate(rule.subsets):
        if subset.traffic_policy:
            policies.append((("subsets", index, "trafficPolicy"), subset.traffic_policy, base_watched))
    for path, policy, inherited in policies:
        yield path, policy, inherited or policy.outlier_detection is not None
        for index, port in enumerate(policy.port_level_settings):
            yield (*path, "portLevelSettings", index), port, port.outlier_detection is not None
