"""What is wrong with a DestinationRule in its surroundings: what no look at the object alone could tell.

It names a host that nobody declares or subsets that select nothing, it is hidden by an older rule of its namespace, or
it hides the rule by which the service's owner defined subsets that routes use.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from weft_core.graph import query
from weft_core.ir.service import Resolution, ServiceRef
from weft_core.model.destination_rule import DestinationRule, TrafficPolicy
from weft_core.model.meta import Config
from weft_core.model.mistake import Path
from weft_core.names import matches_host, resolve_host
from weft_core.problems import Code, Problem
from weft_core.registry import Key, Registry
from weft_core.view.destination_rules import (
    RuleScope,
    merged_rule,
    rule_scope,
    rule_scopes,
    rules_in_force,
    subset_names,
    winners,
)
from weft_core.view.endpoints import instances
from weft_core.view.finding import finding
from weft_core.view.mesh import root_namespace
from weft_core.view.mutual_tls_conflicts import mutual_tls_conflicts
from weft_core.view.selector_problems import written
from weft_core.view.selectors import selects
from weft_core.view.services import all_refs, refs_of_host, service

_RESOLVED = (Resolution.DNS, Resolution.DNS_ROUND_ROBIN)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SubsetUse:
    """A route to a subset: of which host, and in which namespace it was written."""

    host: str
    subset: str
    virtual_service: Key


@query
def destination_rule_problems(db: Registry, key: Key) -> tuple[Problem, ...]:
    """All findings about one rule that depend on other objects."""
    row = db.destination_rules.get(key)
    scope = rule_scope(db, key)
    if row is None or scope is None:
        return ()
    refs = _refs(db, scope.host)
    found = [*_unsupported(row), *_hidden(db, row, scope)]
    if refs:
        found += _empty_subsets(db, row, refs)
        found += _hides_subsets(db, row, scope, refs)
        found += _locality_of_names(db, row, refs)
        found += mutual_tls_conflicts(db, row, refs)
    else:
        found.append(_unknown_host(row, scope))
    return tuple(found)


@query
def subset_uses(db: Registry) -> tuple[SubsetUse, ...]:
    """All routes to subsets, in all VirtualServices."""
    return tuple(sorted({use for key in db.virtual_services.all_keys() for use in _uses_of(db, key)}))


@query
def _uses_of(db: Registry, key: Key) -> tuple[SubsetUse, ...]:
    row = db.virtual_services.get(key)
    if row is None:
        return ()
    spec = row.spec
    destinations = (
        *(entry.destination for http in spec.http for entry in http.route),
        *(entry.destination for tls in spec.tls for entry in tls.route),
        *(entry.destination for tcp in spec.tcp for entry in tcp.route),
    )
    return tuple(
        SubsetUse(host=resolve_host(d.host, key[0], db.settings.domain), subset=d.subset, virtual_service=key)
        for d in destinations
        if d.subset
    )


def _refs(db: Registry, host: str) -> tuple[ServiceRef, ...]:
    if not host.startswith("*"):
        return refs_of_host(db, host)
    return tuple(ref for ref in all_refs(db) if matches_host(host, ref.host))


def _unknown_host(row: Config[DestinationRule], scope: RuleScope) -> Problem:
    return finding(
        row.meta.ref,
        ("host",),
        code=Code.UNKNOWN_DESTINATION_RULE_HOST,
        message=f"no service {scope.host} is known, so the rule applies to nothing",
        fix=f"create the Service or a ServiceEntry for {scope.host}, or correct the host",
    )


def _empty_subsets(db: Registry, row: Config[DestinationRule], refs: tuple[ServiceRef, ...]) -> Iterator[Problem]:
    """Subsets without endpoints, of services that have some: where nothing runs at all, labels are not to blame."""
    known = [instance.labels for ref in refs for number in _numbers(db, ref) for instance in instances(db, ref, number)]
    if not known:
        return
    for index, subset in enumerate(row.spec.subsets):
        if any(selects(subset.labels, labels) for labels in known):
            continue
        yield finding(
            row.meta.ref,
            ("subsets", index, "labels"),
            code=Code.SUBSET_SELECTS_NO_PODS,
            message=f"no endpoint of {row.spec.host} has the labels {written(subset.labels)} of subset {subset.name}",
            fix="correct the labels, or start pods that have them; until then its requests fail with 503",
        )


def _hidden(db: Registry, row: Config[DestinationRule], scope: RuleScope) -> Iterator[Problem]:
    """What an older rule of the same namespace, host and selector takes out of force."""
    for other in rule_scopes(db, scope.host):
        if (other.namespace, other.host, other.selector) != (scope.namespace, scope.host, scope.selector):
            continue
        if other.age >= scope.age:
            continue
        name = f"{other.key[0]}/{other.key[1]}"
        if not other.merges_with(scope):
            yield finding(
                row.meta.ref,
                ("host",),
                code=Code.SHADOWED_DESTINATION_RULE,
                message=f"where both apply, the older rule {name} for this host, with another exportTo, is used alone",
                fix="merge the two rules, or give them the same exportTo",
            )
            continue
        yield from _lost_to(db, row, other, name)


def _lost_to(db: Registry, row: Config[DestinationRule], other: RuleScope, name: str) -> Iterator[Problem]:
    older = merged_rule(db, (other.key,))
    if row.spec.traffic_policy is not None and older.policy is not None:
        yield finding(
            row.meta.ref,
            ("trafficPolicy",),
            code=Code.SHADOWED_DESTINATION_RULE,
            message=f"the trafficPolicy of the older rule {name} for the same host is in force, this one is not",
            fix=f"write one trafficPolicy, in {name}",
        )
    for index, subset in enumerate(row.spec.subsets):
        if older.subset(subset.name) is not None:
            yield finding(
                row.meta.ref,
                ("subsets", index, "name"),
                code=Code.SHADOWED_DESTINATION_RULE,
                message=f"the older rule {name} defines subset {subset.name} of the same host already",
                fix="rename or remove one of them",
            )


def _hides_subsets(
    db: Registry, row: Config[DestinationRule], scope: RuleScope, refs: tuple[ServiceRef, ...]
) -> Iterator[Problem]:
    """Subsets that routes use, and that clients in this namespace lose because its rule goes before their owner's."""
    for ref in refs:
        mine = rules_in_force(db, scope.namespace, scope.selector or (), ref)
        if scope.key not in mine:
            continue
        kept = frozenset(subset_names(db, mine))
        lost = frozenset(subset_names(db, _rules_behind(db, scope, ref, mine))) - kept
        for use in subset_uses(db):
            if use.host == ref.host and use.subset in lost:
                yield finding(
                    row.meta.ref,
                    ("host",),
                    code=Code.SHADOWED_DESTINATION_RULE,
                    message=f"to clients in {scope.namespace} this rule replaces the one that defines subset "
                    f"{use.subset} of {ref.host}, to which VirtualService {'/'.join(use.virtual_service)} routes",
                    fix=f"repeat subset {use.subset} here: rules of several namespaces are never merged",
                )


def _rules_behind(db: Registry, scope: RuleScope, ref: ServiceRef, mine: tuple[Key, ...]) -> tuple[Key, ...]:
    """The rules that would apply to the namespace's clients if it had none of its own."""
    others = [s for s in rule_scopes(db, ref.host) if s.key not in mine and s.exported_to(scope.namespace)]
    for namespace in (ref.namespace, root_namespace(db)):
        tier = [s for s in others if s.namespace == namespace and namespace != scope.namespace]
        if tier:
            return tuple(s.key for s in winners(tier))
    return ()


def _unsupported(row: Config[DestinationRule]) -> Iterator[Problem]:
    """Fields that Weft reads and does not act upon."""
    for path, policy in _policies(row.spec):
        budget = policy.retry_budget
        present = (
            (("tunnel",), policy.tunnel),
            (("proxyProtocol",), policy.proxy_protocol),
            (("retryBudget", "budgetInterval"), budget.budget_interval if budget else None),
        )
        for below, value in present:
            if value is not None:
                yield finding(
                    row.meta.ref,
                    (*path, *below),
                    code=Code.UNSUPPORTED_FIELD,
                    message=f"{below[-1]} is not supported: connections are made without it",
                    fix=f"remove {below[-1]}",
                )


def _locality_of_names(db: Registry, row: Config[DestinationRule], refs: tuple[ServiceRef, ...]) -> Iterator[Problem]:
    """Locality load balancing of hosts that proxies resolve: their clusters are the same for clients everywhere."""
    if not any((found := service(db, ref)) and found.resolution in _RESOLVED for ref in refs):
        return
    for path, policy in _policies(row.spec):
        if policy.load_balancer and policy.load_balancer.locality_lb_setting:
            yield finding(
                row.meta.ref,
                (*path, "loadBalancer", "localityLbSetting"),
                code=Code.UNSUPPORTED_FIELD,
                message="localities do not count where proxies resolve the endpoints' names",
                fix="use resolution: STATIC with the endpoints' addresses, or remove localityLbSetting",
            )


def _policies(rule: DestinationRule) -> Iterator[tuple[Path, TrafficPolicy]]:
    if rule.traffic_policy is not None:
        yield ("trafficPolicy",), rule.traffic_policy
    for index, subset in enumerate(rule.subsets):
        if subset.traffic_policy is not None:
            yield ("subsets", index, "trafficPolicy"), subset.traffic_policy


def _numbers(db: Registry, ref: ServiceRef) -> tuple[int, ...]:
    found = service(db, ref)
    return tuple(port.number for port in found.ports) if found else ()
