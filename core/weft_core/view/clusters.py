"""Clusters: which ones a client has, and what each of them is.

A service has one cluster for each port, and one for each subset and port.
"""

from dataclasses import replace
from datetime import timedelta

from weft_core.graph import query
from weft_core.ir.cluster import Cluster, ClusterId, ClusterType, Dns, HttpProtocol, ServiceLabel, UpstreamHttp
from weft_core.ir.endpoint import Instance, Locality
from weft_core.ir.load_assignment import LoadAssignment, LoadAssignmentId
from weft_core.ir.service import Labels, Protocol, Resolution, Service, ServiceRef
from weft_core.ir.traffic_policy import LEAST_REQUEST, Algorithm, LoadBalancer
from weft_core.names import BLACK_HOLE_CLUSTER, PASSTHROUGH_CLUSTER
from weft_core.registry import Registry
from weft_core.view.connection_pool import pool
from weft_core.view.destination_rules import destination_rules_for, merged_rule, subset_labels, subset_names
from weft_core.view.endpoints import instances, workload_entry_origins
from weft_core.view.load_assignment import placed
from weft_core.view.load_balancing import load_balancer
from weft_core.view.locality import locality_setting, nearness, weighs_localities
from weft_core.view.outlier_detection import outlier_detection, panic_threshold
from weft_core.view.selectors import selects
from weft_core.view.services import service
from weft_core.view.shared_hosts import is_ordinary, nobody
from weft_core.view.shares import Share, share_services, shares
from weft_core.view.traffic_policy import Blocks, policy_blocks
from weft_core.view.upstream_defaults import UpstreamDefaults, upstream_defaults
from weft_core.view.upstream_tls import checks_name_of_host, takes_sni_from_host, transport
from weft_core.view.visibility import Client, seen_ports

PASSTHROUGH_IDLE_TIMEOUT = timedelta(minutes=5)
_ADDRESS_DIALLED = LoadBalancer(algorithm=Algorithm.CLUSTER_PROVIDED)
_DNS = (Resolution.DNS, Resolution.DNS_ROUND_ROBIN)


@query
def cluster_ids(db: Registry, client: Client) -> tuple[ClusterId, ...]:
    """All outbound clusters of a client."""
    return tuple(key for share in shares(db, client) for key in share_cluster_ids(db, share))


@query
def share_cluster_ids(db: Registry, share: Share) -> tuple[ClusterId, ...]:
    """The outbound clusters of a share, by host, port and subset."""
    return tuple(key for ref in share_services(db, share) for key in service_cluster_ids(db, share.client, ref))


def service_cluster_ids(db: Registry, client: Client, ref: ServiceRef) -> tuple[ClusterId, ...]:
    """A client's clusters for one service. An ExternalName Service has none: it is another name of some other host."""
    return own_cluster_ids(db, nobody(client) if is_ordinary(db, client, ref.host) else client, ref)


@query
def own_cluster_ids(db: Registry, client: Client, ref: ServiceRef) -> tuple[ClusterId, ...]:
    """As `service_cluster_ids`, computed for this very client."""
    found = service(db, ref)
    if found is None or found.external_name:
        return ()
    rules = destination_rules_for(db, client, ref)
    keys = (
        ClusterId(ref=ref, port=port.number, subset=subset, rules=rules, gateway=client.gateway, local=client.local)
        for port in seen_ports(db, client, found)
        if port.protocol is not Protocol.UDP
        for subset in ("", *subset_names(db, rules))
    )
    return tuple(key for key in keys if _exists(db, found, key))


@query
def cluster(db: Registry, key: ClusterId) -> Cluster | None:
    """One outbound cluster; None once its service is gone. It holds endpoints only where Envoy resolves them by DNS."""
    found = service(db, key.ref)
    port = found.port(key.port) if found else None
    if found is None or port is None:
        return None
    blocks = policy_blocks(db, key.rules, key.port, key.subset)
    defaults = upstream_defaults(db)
    limits = pool(blocks.connection_pool, blocks.retry_budget, port.protocol, defaults)
    kind = cluster_type(db, key)
    rule = merged_rule(db, key.rules)
    inline = _inline(db, found, key, kind)
    return Cluster(
        name=key.name,
        type=kind,
        load_assignment=inline,
        connect_timeout=limits.connect_timeout,
        load_balancer=_load_balancer(blocks, port.protocol, kind),
        circuit_breakers=limits.circuit_breakers,
        outlier_detection=outlier_detection(blocks.outlier_detection),
        panic_threshold=panic_threshold(blocks.outlier_detection),
        weighs_localities=kind is ClusterType.EDS and weighs_localities(db, key),
        http=_with_names(limits.http, blocks, found),
        tcp_keepalive=limits.keepalive,
        transport=transport(db, key, found, blocks.tls, limits.http.protocol, kind),
        dns=_dns(kind, defaults),
        upstream_port_override=_port_override(found, key, kind),
        services=(ServiceLabel(host=key.ref.host, name=found.name, namespace=key.ref.namespace),),
        subset=key.subset,
        external=found.external,
        config=rule.config,
        origins=(*found.origins, *rule.origins, *(workload_entry_origins(db, found) if inline else ())),
    )


@query
def cluster_type(db: Registry, key: ClusterId) -> ClusterType:
    """Where a cluster's endpoints come from.

    Only a captured sidecar knows the address that its application dialled. Gateways, and sidecars that are used as an
    HTTP proxy, take a headless Service's endpoints as they take others'. A ServiceEntry of resolution NONE has no
    endpoints at a gateway; a sidecar that is told the host's name, as an HTTP proxy is, resolves that.
    """
    found = service(db, key.ref)
    captured = not (key.gateway or key.local)
    if found is None:
        return ClusterType.STATIC
    if captured and (found.resolution is Resolution.PASSTHROUGH or _dials_original(db, key)):
        return ClusterType.ORIGINAL_DST
    if found.resolution is Resolution.PASSTHROUGH and not found.kubernetes and not key.gateway:
        return ClusterType.EDS if key.ref.host.startswith("*") else ClusterType.STRICT_DNS
    if found.resolution not in _DNS:
        return ClusterType.EDS
    one = found.resolution is Resolution.DNS_ROUND_ROBIN and len(_chosen(db, key)) == 1
    return ClusterType.LOGICAL_DNS if one else ClusterType.STRICT_DNS


def endpoint_key(
    db: Registry, key: ClusterId, locality: Locality | None, labels: Labels = ()
) -> LoadAssignmentId | None:
    """What names a cluster's endpoints for clients of this locality; None unless they are sent over EDS.

    `labels` are the client's, needed for failoverPriority only: reduce them to `failover_label_keys` first.
    """
    base = _assignment(db, key)
    setting = locality_setting(db, key) if base else None
    if base is None or setting is None:
        return base
    near = nearness(setting, locality or Locality(), labels)
    return LoadAssignmentId(name=base.name, ref=base.ref, port=base.port, labels=base.labels, nearness=near)


def special_clusters() -> tuple[Cluster, ...]:
    """What every proxy has: on to where the client dialled, and nowhere."""
    passthrough = Cluster(
        name=PASSTHROUGH_CLUSTER,
        type=ClusterType.ORIGINAL_DST,
        load_balancer=_ADDRESS_DIALLED,
        http=UpstreamHttp(protocol=HttpProtocol.DOWNSTREAM, idle_timeout=PASSTHROUGH_IDLE_TIMEOUT),
    )
    return passthrough, Cluster(name=BLACK_HOLE_CLUSTER, type=ClusterType.STATIC)


@query
def _assignment(db: Registry, key: ClusterId) -> LoadAssignmentId | None:
    if cluster_type(db, key) is not ClusterType.EDS:
        return None
    labels = subset_labels(db, key.rules, key.subset)
    return LoadAssignmentId(name=key.name, ref=key.ref, port=key.port, labels=labels or ())


@query
def _chosen(db: Registry, key: ClusterId) -> tuple[Instance, ...]:
    """The instances of a cluster that Envoy resolves: the subset's, or the service's name where nobody says others."""
    found = service(db, key.ref)
    known = instances(db, key.ref, key.port)
    if found is not None and found.resolution is Resolution.PASSTHROUGH:
        known = (Instance(address=key.ref.host, port=_target(found, key.port)),)
    selector = dict(subset_labels(db, key.rules, key.subset) or ())
    return tuple(instance for instance in known if selects(selector, instance.labels))


@query
def _dials_original(db: Registry, key: ClusterId) -> bool:
    settings = policy_blocks(db, key.rules, key.port, key.subset).load_balancer
    return load_balancer(settings, Protocol.TCP).algorithm is Algorithm.CLUSTER_PROVIDED


def _exists(db: Registry, found: Service, key: ClusterId) -> bool:
    """Envoy refuses a DNS cluster without names; a wildcard host that is resolved by request has no cluster here."""
    if found.resolution is Resolution.DYNAMIC_DNS:
        return False
    return found.resolution not in _DNS or bool(_chosen(db, key))


def _inline(db: Registry, found: Service, key: ClusterId, kind: ClusterType) -> LoadAssignment | None:
    if kind not in (ClusterType.STRICT_DNS, ClusterType.LOGICAL_DNS):
        return None
    return LoadAssignment(name=key.name, localities=placed(_chosen(db, key), None), origins=found.origins)


def _load_balancer(blocks: Blocks, protocol: Protocol, kind: ClusterType) -> LoadBalancer:
    if kind is ClusterType.ORIGINAL_DST:
        return _ADDRESS_DIALLED
    chosen = load_balancer(blocks.load_balancer, protocol)
    return LEAST_REQUEST if chosen.algorithm is Algorithm.CLUSTER_PROVIDED else chosen


def _with_names(http: UpstreamHttp, blocks: Blocks, found: Service) -> UpstreamHttp:
    if not takes_sni_from_host(blocks.tls):
        return http
    return replace(http, auto_sni=True, auto_san_validation=checks_name_of_host(blocks.tls, found))


def _dns(kind: ClusterType, defaults: UpstreamDefaults) -> Dns | None:
    if kind not in (ClusterType.STRICT_DNS, ClusterType.LOGICAL_DNS):
        return None
    return Dns(refresh_rate=defaults.dns_refresh_rate)


def _port_override(found: Service, key: ClusterId, kind: ClusterType) -> int | None:
    """A ServiceEntry of resolution NONE may name another port than the one that the client dialled."""
    target = _target(found, key.port)
    return target if kind is ClusterType.ORIGINAL_DST and not found.kubernetes and target != key.port else None


def _target(found: Service, number: int) -> int:
    port = found.port(number)
    return port.target if port and isinstance(port.target, int) and port.target else number
