"""AuthorizationPolicies in force for a workload, as the RBAC filters of its chains.

CUSTOM, then AUDIT, then DENY, then ALLOW. Once an enforced ALLOW policy applies, what no ALLOW rule covers is refused;
one without rules thereby refuses everything. A policy annotated `istio.io/dry-run: "true"` is only tried out.

CUSTOM hands the decision to an external authorizer, which Weft does not call yet. Until then the requests that such a
policy covers are refused, never let through unasked.

A policy that cannot be read refuses everything to the workloads that it is about (see `weft_core.view.guards`): nobody
knows whom it would let in.
"""

from dataclasses import dataclass

from weft_core.graph import query
from weft_core.ir.rbac import Anything, Rbac, RbacAction, RbacPolicy
from weft_core.ir.service import Labels
from weft_core.model.authorization_policy import Action
from weft_core.model.dry_run import is_trial
from weft_core.model.guard import AUTHORIZATION_POLICY, Guard
from weft_core.problems import ObjectRef
from weft_core.registry import Key, Registry
from weft_core.view.authorization_attributes import PolicyContext
from weft_core.view.authorization_rules import rule_policies
from weft_core.view.guards import REFUSING_KINDS, guards_of
from weft_core.view.mesh import trust_domains
from weft_core.view.policy_scope import concerns, policy_namespaces

CUSTOM_SUFFIX = "-deny-due-to-bad-CUSTOM-action"
"""Istio's ending of the names of policies that refuse for want of an authorizer."""
UNREADABLE_SUFFIX = "-deny-due-to-unreadable-"
"""What stands before the kind in the names of policies that refuse because an object can't be read."""
_ORDER = (
    (Action.CUSTOM, RbacAction.DENY),
    (Action.AUDIT, RbacAction.LOG),
    (Action.DENY, RbacAction.DENY),
    (Action.ALLOW, RbacAction.ALLOW),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRules:
    """One AuthorizationPolicy, translated for HTTP or for TCP."""

    action: Action
    trial: bool
    policies: tuple[RbacPolicy, ...]
    origin: ObjectRef


@query
def authorization(db: Registry, namespace: str, labels: Labels, http: bool) -> tuple[Rbac, ...]:
    """The RBAC filters of a workload's HTTP or TCP chains, in order; none where no policy applies."""
    found = [policy_rules(db, key, http) for key in authorization_policies_for(db, namespace, labels)]
    rules = [each for each in found if each is not None]
    rules += [_refusing_all(guard) for guard in _guards(db, namespace, labels, http)]
    filters = (_filter([r for r in rules if r.action is action], result) for action, result in _ORDER)
    return tuple(each for each in filters if each is not None)


@query
def authorization_policies_for(db: Registry, namespace: str, labels: Labels) -> tuple[Key, ...]:
    """The policies that apply to a workload, those of the root namespace first."""
    return tuple(
        (row.meta.namespace, row.meta.name)
        for place in policy_namespaces(db, namespace)
        for row in db.authorization_policies.rows("namespace", place)
        if concerns(row.spec, labels, own=place == namespace)
    )


@query
def policy_rules(db: Registry, key: Key, http: bool) -> PolicyRules | None:
    """One policy, translated; None once it is gone."""
    row = db.authorization_policies.get(key)
    if row is None:
        return None
    context = PolicyContext(namespace=key[0], trust_domains=trust_domains(db))
    prefix = f"ns[{key[0]}]-policy[{key[1]}]"
    policies = rule_policies(row.spec, prefix=prefix, context=context, http=http)
    if row.spec.action is Action.CUSTOM:
        policies = tuple(_refusing(policy) for policy in policies)
    return PolicyRules(
        action=row.spec.action,
        trial=is_trial(row.meta.annotations),
        policies=policies,
        origin=row.meta.ref,
    )


def _filter(rules: list[PolicyRules], action: RbacAction) -> Rbac | None:
    enforced, trial = (_policies([r for r in rules if r.trial is on_trial], action) for on_trial in (False, True))
    if enforced is None and trial is None:
        return None
    return Rbac(action=action, enforced=enforced, trial=trial, origins=tuple(sorted(r.origin for r in rules)))


def _policies(rules: list[PolicyRules], action: RbacAction) -> tuple[RbacPolicy, ...] | None:
    """All policies of these; None where there is nothing to check. An ALLOW without any policy refuses everything."""
    policies = tuple(policy for each in rules for policy in each.policies)
    if policies or (rules and action is RbacAction.ALLOW):
        return policies
    return None


def _refusing(policy: RbacPolicy) -> RbacPolicy:
    return RbacPolicy(name=policy.name + CUSTOM_SUFFIX, principal=policy.principal, permission=policy.permission)


def _guards(db: Registry, namespace: str, labels: Labels, http: bool) -> tuple[Guard, ...]:
    """The unreadable policies for a workload that refuse its requests, or its connections."""
    return tuple(
        guard
        for kind in (REFUSING_KINDS if http else (AUTHORIZATION_POLICY,))
        for place in policy_namespaces(db, namespace)
        for guard in guards_of(db, kind, place)
        if concerns(guard, labels, own=place == namespace)
    )


def _refusing_all(guard: Guard) -> PolicyRules:
    """DENY of everything. The name goes into response code details and logs, so that people find the object."""
    ref = guard.ref
    name = f"ns[{ref.namespace}]-policy[{ref.name}]{UNREADABLE_SUFFIX}{ref.kind}"
    policy = RbacPolicy(name=name, principal=Anything(), permission=Anything())
    return PolicyRules(action=Action.DENY, trial=False, policies=(policy,), origin=ref)
