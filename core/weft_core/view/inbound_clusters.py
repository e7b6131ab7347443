"""Inbound clusters: from the sidecar to its own workload, always in clear.

In a pod they lead to where the connection was dialled, with 127.0.0.6 or ::6 as source address, by which redirection
knows them and lets them through. Limits come from the Sidecar's `inboundConnectionPool`, else from the DestinationRule
that the workload's own namespace has for its service.
"""

from weft_core.graph import query
from weft_core.ir.cluster import Cluster, ClusterType, HttpProtocol, ServiceLabel, UpstreamHttp
from weft_core.ir.load_assignment import Endpoint, LoadAssignment, LocalityEndpoints
from weft_core.ir.service import Protocol
from weft_core.ir.traffic_policy import Algorithm, LoadBalancer
from weft_core.model.connection_pool import ConnectionPoolSettings
from weft_core.model.mesh_config import InboundMode
from weft_core.names import INBOUND_PASSTHROUGH_CLUSTER, inbound_cluster
from weft_core.problems import ObjectRef
from weft_core.registry import Registry
from weft_core.view.connection_pool import pool
from weft_core.view.destination_rules import destination_rules_for, merged_rule
from weft_core.view.inbound import InboundId, InboundPort
from weft_core.view.ip_families import LOOPBACK, LOOPBACK_V6, IpFamilies
from weft_core.view.mesh import mesh
from weft_core.view.services import service
from weft_core.view.traffic_policy import policy_blocks
from weft_core.view.upstream_defaults import upstream_defaults
from weft_core.view.visibility import Client

_ADDRESS_DIALLED = LoadBalancer(algorithm=Algorithm.CLUSTER_PROVIDED)


@query
def inbound_clusters(db: Registry, inbound: InboundId) -> tuple[Cluster, ...]:
    """One cluster for each port of the workload, and in a pod one for all other ports."""
    served = tuple(_cluster(db, inbound, port) for port in inbound.ports)
    if inbound.local is not None:
        return served
    passthrough = Cluster(
        name=INBOUND_PASSTHROUGH_CLUSTER,
        type=ClusterType.ORIGINAL_DST,
        load_balancer=_ADDRESS_DIALLED,
        upstream_bind=inbound.families.passthrough_sources,
        http=UpstreamHttp(protocol=HttpProtocol.DOWNSTREAM),
    )
    return (*served, passthrough)


def _cluster(db: Registry, inbound: InboundId, port: InboundPort) -> Cluster:
    name = inbound_cluster(port.number)
    settings, shaped_by = _pool_settings(db, inbound, port)
    limits = pool(settings, None, port.protocol, upstream_defaults(db))
    address = _application(inbound, port, on_loopback=_listens_on_loopback(db))
    found = service(db, port.service)
    return Cluster(
        name=name,
        type=ClusterType.STATIC if address else ClusterType.ORIGINAL_DST,
        load_assignment=LoadAssignment(name=name, localities=(LocalityEndpoints(endpoints=(address,)),))
        if address
        else None,
        load_balancer=LoadBalancer() if address else _ADDRESS_DIALLED,
        upstream_bind=() if address else inbound.families.passthrough_sources,
        connect_timeout=limits.connect_timeout,
        circuit_breakers=limits.circuit_breakers,
        tcp_keepalive=limits.keepalive,
        http=UpstreamHttp(
            protocol=_spoken(port.protocol),
            idle_timeout=limits.http.idle_timeout,
            max_connection_duration=limits.http.max_connection_duration,
            max_requests_per_connection=limits.http.max_requests_per_connection,
            max_concurrent_streams=limits.http.max_concurrent_streams,
        ),
        services=(ServiceLabel(host=found.ref.host, name=found.name, namespace=found.ref.namespace),) if found else (),
        origins=(*(found.origins if found else ()), *shaped_by),
    )


def _spoken(protocol: Protocol) -> HttpProtocol:
    """What the port's name promises of the application; upgrades between sidecars end at the sidecar."""
    if protocol.is_http2:
        return HttpProtocol.HTTP2
    return HttpProtocol.DOWNSTREAM if protocol is Protocol.AUTO else HttpProtocol.HTTP1


@query
def _listens_on_loopback(db: Registry) -> bool:
    """Whether workloads are taken to listen on 127.0.0.1, rather than wherever they were called."""
    return mesh(db).inbound_traffic_policy.mode is InboundMode.LOCALHOST


def _application(inbound: InboundId, port: InboundPort, *, on_loopback: bool) -> Endpoint | None:
    """Where the application listens, if that is known beforehand."""
    if port.endpoint.startswith("unix://"):
        return Endpoint(address=port.endpoint, port=0)
    number = port.number
    if port.endpoint:
        number = int(port.endpoint.rpartition(":")[2])
    if inbound.local is not None:
        return Endpoint(address=LOOPBACK, port=inbound.local.application_port(number))
    if port.endpoint:
        return Endpoint(address=LOOPBACK, port=number)
    loopback = LOOPBACK_V6 if inbound.families is IpFamilies.V6 else LOOPBACK
    return Endpoint(address=loopback, port=number) if on_loopback else None


def _pool_settings(
    db: Registry, inbound: InboundId, port: InboundPort
) -> tuple[ConnectionPoolSettings | None, tuple[ObjectRef, ...]]:
    """The limits of a port, and the objects that they come from."""
    row = db.sidecars.get(inbound.sidecar) if inbound.sidecar else None
    if row is not None:
        own = next((each.connection_pool for each in row.spec.ingress if each.port.number == port.number), None)
        if own or row.spec.inbound_connection_pool:
            return own or row.spec.inbound_connection_pool, (row.meta.ref,)
    if not port.service.host:
        return None, ()
    rules = destination_rules_for(db, Client(namespace=inbound.namespace), port.service)
    settings = policy_blocks(db, rules, port.service_port, "").connection_pool
    return settings, merged_rule(db, rules).origins if settings else ()
