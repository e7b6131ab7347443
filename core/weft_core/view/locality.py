"""Locality load balancing: whose wishes hold for a cluster, and what they mean for clients of one place.

A rule's localityLbSetting goes before the Service's trafficDistribution, and that before the mesh's setting, which is
on and without wishes by default. Failover needs outlier detection: where no endpoint is ever found unhealthy, clients
would keep to those near them whatever these do. A Service's own wish is honoured without.
"""

from weft_core.graph import query
from weft_core.ir.cluster import ClusterId
from weft_core.ir.endpoint import Locality
from weft_core.ir.load_assignment import Nearness
from weft_core.ir.service import Labels
from weft_core.model.destination_rule import TrafficPolicy
from weft_core.model.load_balancer import Distribute, LoadBalancerSettings, LocalityLoadBalancerSetting
from weft_core.registry import Registry
from weft_core.view.proxies import REGION_LABEL, SUB_ZONE_LABEL, ZONE_LABEL
from weft_core.view.services import service
from weft_core.view.traffic_policy import policy_blocks
from weft_core.view.upstream_defaults import mesh_locality_setting

_NO_WISHES = LocalityLoadBalancerSetting()
_SAME_ZONE = LocalityLoadBalancerSetting(failover_priority=(REGION_LABEL, ZONE_LABEL))
_CLOSE = LocalityLoadBalancerSetting(failover_priority=(REGION_LABEL, ZONE_LABEL, SUB_ZONE_LABEL))
_TRAFFIC_DISTRIBUTIONS = {"PreferClose": _CLOSE, "PreferSameZone": _SAME_ZONE, "PreferSameNode": _CLOSE}


@query
def locality_setting(db: Registry, key: ClusterId) -> LocalityLoadBalancerSetting | None:
    """The setting in force for a cluster; None where localities do not matter."""
    blocks = policy_blocks(db, key.rules, key.port, key.subset)
    fails_over = blocks.outlier_detection is not None
    own = blocks.load_balancer.locality_lb_setting if blocks.load_balancer else None
    if own is not None:
        return _effective(own, fails_over=fails_over)
    found = service(db, key.ref)
    if found and (wish := _TRAFFIC_DISTRIBUTIONS.get(found.traffic_distribution)):
        return wish
    return _effective(mesh_locality_setting(db) or _NO_WISHES, fails_over=fails_over)


def weighs_localities(db: Registry, key: ClusterId) -> bool:
    """Whether the cluster's localities have weights: all its load assignments then must give them."""
    setting = locality_setting(db, key)
    return setting is not None and bool(setting.distribute)


def nearness(setting: LocalityLoadBalancerSetting, client: Locality, labels: Labels) -> Nearness:
    """What a setting means for a client of this place, with these labels."""
    if setting.distribute:
        return Nearness(shares=_shares(setting.distribute, client))
    wanted = tuple(_wanted(text, client, dict(labels)) for text in setting.failover_priority)
    if wanted and not setting.failover:
        return Nearness(labels=wanted)
    next_region = next((entry.to for entry in setting.failover if entry.from_ == client.region), "")
    return Nearness(labels=wanted, client=client, next_region=next_region)


def in_locality(locality: Locality, pattern: str) -> bool:
    """Whether a locality fits `region/zone/subzone`, where `*` and whatever is left out fit everything."""
    parts = pattern.split("/")
    have = (locality.region, locality.zone, locality.sub_zone)
    return all(part in ("*", own) for part, own in zip(parts, have, strict=False))


def locality_labels(locality: Locality) -> dict[str, str]:
    """A locality as the topology labels that failoverPriority names."""
    return {REGION_LABEL: locality.region, ZONE_LABEL: locality.zone, SUB_ZONE_LABEL: locality.sub_zone}


@query
def failover_label_keys(db: Registry) -> frozenset[str]:
    """Keys of the client's labels that failoverPriority anywhere compares: the others never decide about endpoints."""
    settings = [mesh_locality_setting(db)]
    for key in db.destination_rules.all_keys():
        settings += _settings_of_rule(db, key)
    texts = (text for setting in settings if setting for text in setting.failover_priority)
    return frozenset(text.partition("=")[0] for text in texts if "=" not in text)


@query
def _settings_of_rule(db: Registry, key: tuple[str, str]) -> tuple[LocalityLoadBalancerSetting, ...]:
    row = db.destination_rules.get(key)
    if row is None:
        return ()
    policies = [row.spec.traffic_policy, *(subset.traffic_policy for subset in row.spec.subsets)]
    blocks = [block for policy in policies if policy for block in _load_balancers(policy)]
    return tuple(block.locality_lb_setting for block in blocks if block and block.locality_lb_setting)


def _load_balancers(policy: TrafficPolicy) -> tuple[LoadBalancerSettings | None, ...]:
    return (policy.load_balancer, *(entry.load_balancer for entry in policy.port_level_settings))


def _effective(setting: LocalityLoadBalancerSetting, *, fails_over: bool) -> LocalityLoadBalancerSetting | None:
    if setting.enabled is False:
        return None
    return setting if setting.distribute or fails_over else None


def _shares(entries: tuple[Distribute, ...], client: Locality) -> tuple[tuple[str, int], ...]:
    """The shares of the first entry that fits the client; nothing where none does, and all localities are used."""
    entry = next((entry for entry in entries if in_locality(client, entry.from_)), None)
    return tuple(sorted(entry.to.items())) if entry else ()


def _wanted(text: str, client: Locality, labels: dict[str, str]) -> tuple[str, str]:
    """A failoverPriority entry as label and value: its own, or else the client's (empty where the client has none)."""
    key, given, value = text.partition("=")
    return (key, value) if given else (key, labels.get(key) or locality_labels(client).get(key, ""))
