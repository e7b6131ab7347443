"""Connection pools: limits, timeouts and the version of HTTP towards a service."""

from dataclasses import dataclass
from datetime import timedelta

from weft_core.graph import query
from weft_core.ir.cluster import HttpProtocol, UpstreamHttp
from weft_core.ir.service import Protocol, ServiceRef
from weft_core.ir.traffic_policy import UNLIMITED, CircuitBreakers, RetryBudget, TcpKeepalive, TcpSettings
from weft_core.model import destination_rule as model
from weft_core.model.destination_rule import ConnectionPoolSettings, H2UpgradePolicy, HTTPSettings, TCPSettings
from weft_core.registry import Registry
from weft_core.view.destination_rules import destination_rules_for
from weft_core.view.traffic_policy import policy_blocks
from weft_core.view.upstream_defaults import UpstreamDefaults
from weft_core.view.visibility import Client

_NO_TCP = TCPSettings()
_NO_HTTP = HTTPSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A connectionPool block, translated."""

    connect_timeout: timedelta
    circuit_breakers: CircuitBreakers
    keepalive: TcpKeepalive | None
    http: UpstreamHttp


def pool(
    settings: ConnectionPoolSettings | None,
    budget: model.RetryBudget | None,
    protocol: Protocol,
    defaults: UpstreamDefaults,
) -> Pool:
    """What a connectionPool block and the mesh's defaults come to, for a port of this protocol."""
    tcp = (settings and settings.tcp) or _NO_TCP
    http = (settings and settings.http) or _NO_HTTP
    spoken = http_protocol(http, protocol, defaults)
    return Pool(
        connect_timeout=tcp.connect_timeout or defaults.connect_timeout,
        circuit_breakers=CircuitBreakers(
            max_connections=_limit(tcp.max_connections),
            max_pending_requests=_limit(http.http1_max_pending_requests),
            max_requests=_limit(http.http2_max_requests),
            max_retries=_limit(http.max_retries),
            retry_budget=_budget(budget),
        ),
        keepalive=_keepalive(tcp.tcp_keepalive) or defaults.keepalive,
        http=UpstreamHttp(
            protocol=spoken,
            idle_timeout=http.idle_timeout if http.idle_timeout is not None else tcp.idle_timeout,
            max_connection_duration=tcp.max_connection_duration,
            max_requests_per_connection=http.max_requests_per_connection or None,
            max_concurrent_streams=http.max_concurrent_streams or None,
        ),
    )


def http_protocol(http: HTTPSettings, protocol: Protocol, defaults: UpstreamDefaults) -> HttpProtocol:
    """The version of HTTP that is spoken to a port.

    A port that does not say its protocol gets what the client speaks. A rule may upgrade plain HTTP and such ports; the
    mesh only ports that say they are HTTP, and only where the rule does not refuse.
    """
    if http.use_client_protocol:
        return HttpProtocol.DOWNSTREAM
    if protocol.is_http2:
        return HttpProtocol.HTTP2
    if http.h2_upgrade_policy is H2UpgradePolicy.UPGRADE and protocol in (Protocol.HTTP, Protocol.AUTO):
        return HttpProtocol.HTTP2
    unsaid = http.h2_upgrade_policy is H2UpgradePolicy.DEFAULT
    if unsaid and defaults.upgrades_to_http2 and protocol is Protocol.HTTP:
        return HttpProtocol.HTTP2
    return HttpProtocol.DOWNSTREAM if protocol is Protocol.AUTO else HttpProtocol.HTTP1


@query
def tcp_settings(db: Registry, client: Client, ref: ServiceRef, port: int, subset: str) -> TcpSettings:
    """What a TCP proxy in front of a client's cluster takes from the traffic policy."""
    blocks = policy_blocks(db, destination_rules_for(db, client, ref), port, subset)
    tcp = (blocks.connection_pool and blocks.connection_pool.tcp) or _NO_TCP
    hashed = blocks.load_balancer and blocks.load_balancer.consistent_hash
    return TcpSettings(
        idle_timeout=tcp.idle_timeout,
        max_connection_duration=tcp.max_connection_duration,
        use_source_ip=bool(hashed and hashed.use_source_ip),
    )


def _limit(value: int | None) -> int:
    """0 and unset both mean no limit, as in Istio."""
    return value or UNLIMITED


def _keepalive(settings: model.TcpKeepalive | None) -> TcpKeepalive | None:
    if settings is None:
        return None
    return TcpKeepalive(probes=settings.probes or None, time=settings.time, interval=settings.interval)


def _budget(settings: model.RetryBudget | None) -> RetryBudget | None:
    if settings is None:
        return None
    return RetryBudget(
        percent=20.0 if settings.percent is None else settings.percent,
        minimum_concurrency=3 if settings.min_retry_concurrency is None else settings.min_retry_concurrency,
    )
