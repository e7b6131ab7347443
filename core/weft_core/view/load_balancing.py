"""Load balancing: how a client chooses among endpoints, and what of a request it hashes to choose the same again."""

from weft_core.graph import query
from weft_core.ir.service import Protocol, ServiceRef
from weft_core.ir.traffic_policy import LEAST_REQUEST, Algorithm, CookieHash, HashPolicy, LoadBalancer, SlowStart
from weft_core.model.load_balancer import ConsistentHashLB, HTTPCookie, LoadBalancerSettings, SimpleLB
from weft_core.registry import Registry
from weft_core.view.destination_rules import destination_rules_for
from weft_core.view.traffic_policy import policy_blocks
from weft_core.view.visibility import Client

DEFAULT_RING_SIZE = 1024

_SIMPLE = {
    SimpleLB.UNSPECIFIED: Algorithm.LEAST_REQUEST,
    SimpleLB.LEAST_CONN: Algorithm.LEAST_REQUEST,
    SimpleLB.LEAST_REQUEST: Algorithm.LEAST_REQUEST,
    SimpleLB.ROUND_ROBIN: Algorithm.ROUND_ROBIN,
    SimpleLB.RANDOM: Algorithm.RANDOM,
    SimpleLB.PASSTHROUGH: Algorithm.CLUSTER_PROVIDED,
}
_WARM_UP = (Algorithm.LEAST_REQUEST, Algorithm.ROUND_ROBIN)


def load_balancer(settings: LoadBalancerSettings | None, protocol: Protocol) -> LoadBalancer:
    """What a loadBalancer block comes to. Redis shards by key: its ports have a hash table unless a rule disagrees."""
    if settings is None or (settings.simple is None and settings.consistent_hash is None):
        if protocol is Protocol.REDIS:
            return LoadBalancer(algorithm=Algorithm.MAGLEV)
        return LoadBalancer(slow_start=_slow_start(settings)) if settings else LEAST_REQUEST
    if settings.consistent_hash is not None:
        return _hashing(settings.consistent_hash)
    algorithm = _SIMPLE[settings.simple or SimpleLB.UNSPECIFIED]
    return LoadBalancer(algorithm=algorithm, slow_start=_slow_start(settings) if algorithm in _WARM_UP else None)


@query
def hash_policies(db: Registry, client: Client, ref: ServiceRef, port: int, subset: str) -> tuple[HashPolicy, ...]:
    """What routes to this cluster hash; empty unless its load balancer is a consistent hash."""
    blocks = policy_blocks(db, destination_rules_for(db, client, ref), port, subset)
    hashed = blocks.load_balancer.consistent_hash if blocks.load_balancer else None
    return hash_policy(hashed) if hashed else ()


def hash_policy(settings: ConsistentHashLB) -> tuple[HashPolicy, ...]:
    """The key of a consistentHash block, as Envoy's routes say it."""
    if settings.http_header_name:
        return (HashPolicy(header=settings.http_header_name),)
    if settings.http_cookie:
        return (HashPolicy(cookie=_cookie(settings.http_cookie)),)
    if settings.http_query_parameter_name:
        return (HashPolicy(query_parameter=settings.http_query_parameter_name),)
    return (HashPolicy(source_ip=True),) if settings.use_source_ip else ()


def _cookie(cookie: HTTPCookie) -> CookieHash:
    return CookieHash(
        name=cookie.name,
        path=cookie.path,
        ttl=cookie.ttl,
        attributes=tuple((attribute.name, attribute.value) for attribute in cookie.attributes),
    )


def _hashing(settings: ConsistentHashLB) -> LoadBalancer:
    if settings.maglev is not None:
        return LoadBalancer(algorithm=Algorithm.MAGLEV, table_size=settings.maglev.table_size)
    size = settings.ring_hash.minimum_ring_size if settings.ring_hash else settings.minimum_ring_size
    return LoadBalancer(algorithm=Algorithm.RING_HASH, minimum_ring_size=size or DEFAULT_RING_SIZE)


def _slow_start(settings: LoadBalancerSettings) -> SlowStart | None:
    if warmup := settings.warmup:
        return SlowStart(
            window=warmup.duration,
            aggression=1.0 if warmup.aggression is None else warmup.aggression,
            minimum_percent=10.0 if warmup.minimum_percent is None else warmup.minimum_percent,
        )
    return SlowStart(window=settings.warmup_duration_secs) if settings.warmup_duration_secs else None
