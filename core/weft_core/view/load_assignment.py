"""Load assignments: the endpoints of a cluster by locality, in the order in which clients of one place use them."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from math import ceil

from weft_core.graph import query
from weft_core.ir.endpoint import Instance, Locality
from weft_core.ir.load_assignment import Endpoint, LoadAssignment, LoadAssignmentId, LocalityEndpoints, Nearness
from weft_core.registry import Registry
from weft_core.view.endpoints import instances, workload_entry_origins
from weft_core.view.locality import in_locality, locality_labels
from weft_core.view.selectors import selects
from weft_core.view.services import service

ELSEWHERE = 4
"""Rank of an endpoint in another region than the client's, where some region goes before the others; else 3."""
UNIX = "unix://"
CLUSTER = "Kubernetes"
"""Istio's name of a cluster that was given none."""

_CANONICAL_NAME = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
_CANONICAL_REVISION = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")


@query
def load_assignment(db: Registry, key: LoadAssignmentId) -> LoadAssignment:
    """The endpoints of an EDS cluster. Names are left out: for one among the addresses Envoy would refuse all."""
    selector = dict(key.labels)
    found = [i for i in instances(db, key.ref, key.port) if selects(selector, i.labels) and _is_address(i.address)]
    declared = service(db, key.ref)
    origins = (*declared.origins, *workload_entry_origins(db, declared)) if declared else ()
    return LoadAssignment(name=key.name, localities=placed(found, key.nearness), origins=origins)


def placed(found: Iterable[Instance], nearness: Nearness | None) -> tuple[LocalityEndpoints, ...]:
    """Instances by locality, with priorities or weights where the client's place matters."""
    if nearness is None:
        return _grouped((instance, 0) for instance in found)
    if nearness.shares is not None:
        return _weighted(_grouped((instance, 0) for instance in found), nearness.shares)
    ranked = [(instance, _rank(instance, nearness)) for instance in found]
    order = {rank: priority for priority, rank in enumerate(sorted({rank for _, rank in ranked}))}
    return _grouped((instance, order[rank]) for instance, rank in ranked)


def endpoint(instance: Instance) -> Endpoint:
    """An instance as Envoy is told of it."""
    return Endpoint(
        address=instance.address,
        port=instance.port,
        mutual_tls=instance.mutual_tls,
        workload=_workload(instance),
        weight=instance.weight,
        further=instance.further,
    )


def _grouped(ranked: Iterable[tuple[Instance, int]]) -> tuple[LocalityEndpoints, ...]:
    groups: dict[tuple[int, Locality], list[Endpoint]] = {}
    for instance, priority in ranked:
        groups.setdefault((priority, instance.locality), []).append(endpoint(instance))
    return tuple(
        LocalityEndpoints(locality=locality, priority=priority, endpoints=tuple(sorted(endpoints)))
        for (priority, locality), endpoints in sorted(groups.items(), key=lambda item: item[0])
    )


def _weighted(
    groups: tuple[LocalityEndpoints, ...], shares: tuple[tuple[str, int], ...]
) -> tuple[LocalityEndpoints, ...]:
    """Weights for all groups, since Envoy sends nothing to a locality without one.

    A share of several localities is divided among them by their endpoints' weights. Localities that no share names are
    left out, unless there are no shares at all.
    """
    sizes = {group.locality: sum(e.weight for e in group.endpoints) for group in groups}
    weights: dict[Locality, int] = dict(sizes) if not shares else {}
    for pattern, percent in shares:
        named = [locality for locality in sizes if locality not in weights and in_locality(locality, pattern)]
        total = sum(sizes[locality] for locality in named)
        weights.update({locality: ceil(sizes[locality] * percent / total) for locality in named})
    return tuple(
        LocalityEndpoints(locality=group.locality, weight=weights[group.locality], endpoints=group.endpoints)
        for group in groups
        if group.locality in weights
    )


def _rank(instance: Instance, nearness: Nearness) -> int:
    """The smaller, the sooner used: agreeing labels first, then distance."""
    rank = len(nearness.labels) - _agreeing(instance, nearness.labels)
    if nearness.client is None:
        return rank
    return rank * (ELSEWHERE + 1) + _distance(instance.locality, nearness.client, nearness.next_region)


def _agreeing(instance: Instance, labels: tuple[tuple[str, str], ...]) -> int:
    """How many labels in a row, from the most important on, the endpoint has as the client has them."""
    have = {**locality_labels(instance.locality), **dict(instance.labels)}
    for count, (key, value) in enumerate(labels):
        if have.get(key, "") != value:
            return count
    return len(labels)


def _distance(where: Locality, client: Locality, next_region: str) -> int:
    if where.region != client.region:
        return ELSEWHERE if next_region and where.region != next_region else 3
    if where.zone != client.zone:
        return 2
    return 0 if where.sub_zone == client.sub_zone else 1


def _workload(instance: Instance) -> str:
    """Istio's `istio.workload`: name, namespace, canonical name and revision, cluster."""
    if not instance.workload:
        return ""
    labels = dict(instance.labels)
    name = next((labels[key] for key in _CANONICAL_NAME if labels.get(key)), instance.workload)
    revision = next((labels[key] for key in _CANONICAL_REVISION if labels.get(key)), "latest")
    return ";".join((instance.workload, instance.namespace, name, revision, CLUSTER))


def _is_address(text: str) -> bool:
    if text.startswith(UNIX):
        return True
    return _is_ip_address(text)


@lru_cache(maxsize=1 << 16)
def _is_ip_address(text: str) -> bool:
    """Cached: one change of a service's endpoints asks for all of them anew, and nearly all are old."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
