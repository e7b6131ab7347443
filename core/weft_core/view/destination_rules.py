"""DestinationRules: which of them apply to a client's traffic to a service, and what they come to together.

The first tier that has a rule is used alone (the client's namespace, the service's, the root namespace), and nothing is
inherited from the next: so a client can replace what the service's owner said, and does so entirely.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from weft_core.graph import query
from weft_core.ir.service import Labels, ServiceRef, is_exported
from weft_core.model.destination_rule import Subset, TrafficPolicy
from weft_core.names import matches_host, resolve_host, specificity
from weft_core.problems import ObjectRef
from weft_core.registry import WILDCARD, Key, Registry
from weft_core.view.mesh import root_namespace
from weft_core.view.selectors import labels_of, selects
from weft_core.view.upstream_defaults import destination_rule_export_to
from weft_core.view.visibility import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleScope:
    """What decides where a rule applies; its policies are left out, so that they change without a new selection."""

    key: Key
    host: str
    """Fully resolved; may begin with `*`."""
    export_to: tuple[str, ...]
    selector: Labels | None
    """Labels of the only clients that it is for; None: all."""
    age: tuple[str, str, str]

    @property
    def namespace(self) -> str:
        """The rule's own."""
        return self.key[0]

    def exported_to(self, namespace: str) -> bool:
        """Whether clients in `namespace` may be ruled by it. A rule with a selector stays in its own namespace."""
        export_to = (".",) if self.selector is not None else self.export_to
        return is_exported(export_to, self.namespace, namespace)

    def merges_with(self, other: "RuleScope") -> bool:
        """Whether the two are one rule in two objects."""
        return (self.namespace, self.host, self.export_to, self.selector) == (
            other.namespace,
            other.host,
            other.export_to,
            other.selector,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedRule:
    """All rules that apply, as one: each subset once, the policy of the oldest rule that has one."""

    policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    has_selector: bool = False
    config: ObjectRef | None = None
    """The rule that gave the policy, or else the oldest."""
    origins: tuple[ObjectRef, ...] = ()

    def subset(self, name: str) -> Subset | None:
        """The subset of this name."""
        return next((subset for subset in self.subsets if subset.name == name), None)


def destination_rules_for(db: Registry, client: Client, ref: ServiceRef) -> tuple[Key, ...]:
    """Keys of the rules that apply to this client's traffic to a service, oldest first."""
    return rules_in_force(db, client.namespace, client.labels, ref)


@query
def rules_in_force(db: Registry, namespace: str, labels: Labels, ref: ServiceRef) -> tuple[Key, ...]:
    """As `destination_rules_for`, for clients in a namespace with these labels."""
    scopes = [scope for scope in rule_scopes(db, ref.host) if scope.selector is None or _selected(scope, labels)]
    for tier in _tiers(scopes, client=namespace, service=ref.namespace, root=root_namespace(db)):
        if tier:
            return tuple(scope.key for scope in winners(tier))
    return ()


@query
def rule_scopes(db: Registry, host: str) -> tuple[RuleScope, ...]:
    """The scopes of all rules about a host, wherever they are: by its name, or by a wildcard above it."""
    keys = (*db.destination_rules.by("host", host), *db.destination_rules.by("host", WILDCARD))
    found = (rule_scope(db, key) for key in keys)
    return tuple(scope for scope in found if scope and matches_host(scope.host, host))


@query
def rule_scope(db: Registry, key: Key) -> RuleScope | None:
    """Where one rule applies."""
    row = db.destination_rules.get(key)
    if row is None:
        return None
    selector = row.spec.workload_selector
    return RuleScope(
        key=key,
        host=resolve_host(row.spec.host, key[0], db.settings.domain),
        export_to=row.spec.export_to or destination_rule_export_to(db),
        selector=labels_of(selector.match_labels) if selector else None,
        age=row.meta.age_key,
    )


@query
def merged_rule(db: Registry, keys: tuple[Key, ...]) -> MergedRule:
    """What these rules say together; keys oldest first."""
    rows = [row for key in keys if (row := db.destination_rules.get(key))]
    if not rows:
        return MergedRule()
    giver = next((row for row in rows if row.spec.traffic_policy), rows[0])
    subsets: dict[str, Subset] = {}
    for row in rows:
        for subset in row.spec.subsets:
            subsets.setdefault(subset.name, subset)
    return MergedRule(
        policy=giver.spec.traffic_policy,
        subsets=tuple(subsets.values()),
        has_selector=rows[0].spec.workload_selector is not None,
        config=giver.meta.ref,
        origins=tuple(row.meta.ref for row in rows),
    )


@query
def subset_names(db: Registry, keys: tuple[Key, ...]) -> tuple[str, ...]:
    """The names of the subsets that these rules define, in their order."""
    return tuple(subset.name for subset in merged_rule(db, keys).subsets)


@query
def subset_labels(db: Registry, keys: tuple[Key, ...], name: str) -> Labels | None:
    """The labels that choose a subset's endpoints; None where no such subset is defined. No name: all endpoints."""
    if not name:
        return ()
    subset = merged_rule(db, keys).subset(name)
    return labels_of(subset.labels) if subset else None


def _tiers(scopes: Iterable[RuleScope], *, client: str, service: str, root: str) -> tuple[list[RuleScope], ...]:
    """The rules by tier, first tier first. In the root namespace, its public rules are the mesh's, so last."""
    own = [s for s in scopes if s.namespace == client and "~" not in s.export_to]
    if client == root:
        own = [s for s in own if s.selector is not None or s.export_to == (".",)]
    visible = [s for s in scopes if s.exported_to(client)]
    return (
        own,
        [s for s in visible if s.namespace == service],
        [s for s in visible if s.namespace == root],
    )


def winners(tier: list[RuleScope]) -> list[RuleScope]:
    """The most specific host wins, then a rule that selects the client, then the oldest, with what merges with it."""
    best = min(tier, key=lambda s: (*_least_specific_last(s.host), s.selector is None, s.age))
    return sorted((s for s in tier if s.merges_with(best)), key=lambda s: s.age)


def _least_specific_last(host: str) -> tuple[bool, int]:
    exact, length = specificity(host)
    return (not exact, -length)


def _selected(scope: RuleScope, labels: Labels) -> bool:
    return selects(dict(scope.selector or ()), labels)
