"""Which workloads a security policy is about.

AuthorizationPolicies and RequestAuthentications of the workload's namespace and of the root namespace all apply
together, where their selector is part of the workload's labels. A policy attached to a Gateway of the Gateway API is
about the pods of its own namespace that carry that Gateway's label.
"""

from collections.abc import Mapping
from typing import Protocol

from weft_core.graph import query
from weft_core.ir.service import Labels
from weft_core.model.base import PolicySelector, PolicyTargetReference
from weft_core.registry import Registry
from weft_core.view.guards import REFUSING_KINDS, guards_of
from weft_core.view.mesh import root_namespace
from weft_core.view.peer_authentication import peer_authentication_label_keys
from weft_core.view.selectors import selects

GATEWAY_NAME_LABEL = "gateway.networking.k8s.io/gateway-name"


class Scoped(Protocol):
    """What AuthorizationPolicy and RequestAuthentication have in common."""

    @property
    def selector(self) -> PolicySelector | None:
        """Workloads by labels."""

    @property
    def target_ref(self) -> PolicyTargetReference | None:
        """The object that the policy is attached to."""

    @property
    def target_refs(self) -> tuple[PolicyTargetReference, ...]:
        """The objects that the policy is attached to."""


def targets(spec: Scoped) -> tuple[PolicyTargetReference, ...]:
    """The objects that a policy is attached to, whichever field names them."""
    return spec.target_refs or ((spec.target_ref,) if spec.target_ref else ())


def match_labels(spec: Scoped) -> Mapping[str, str]:
    """The labels that a policy selects by; empty selects every workload."""
    return spec.selector.match_labels if spec.selector else {}


def concerns(spec: Scoped, labels: Labels, *, own: bool) -> bool:
    """Whether a policy is about a workload with these labels. `own`: it is of the workload's namespace, not the root's.

    The Gateway is one of the policy's own namespace: the root's policies are attached to no Gateway elsewhere.
    """
    if attached := targets(spec):
        gateway = dict(labels).get(GATEWAY_NAME_LABEL)
        return own and any(target.kind == "Gateway" and target.name == gateway for target in attached)
    return selects(match_labels(spec), labels)


def policy_namespaces(db: Registry, namespace: str) -> tuple[str, ...]:
    """Where policies for workloads of a namespace are: in the root namespace and there."""
    return tuple(dict.fromkeys((root_namespace(db), namespace)))


@query
def policy_label_keys(db: Registry, namespace: str) -> frozenset[str]:
    """The label keys by which security policies tell workloads of a namespace apart.

    Workloads that agree in these have the same security, whatever else their labels say.
    """
    found = set(peer_authentication_label_keys(db, namespace))
    for place in policy_namespaces(db, namespace):
        found |= _selector_keys(db, place)
    return frozenset(found)


@query
def _selector_keys(db: Registry, namespace: str) -> frozenset[str]:
    specs: list[Scoped] = [row.spec for row in db.authorization_policies.rows("namespace", namespace)]
    specs += [row.spec for row in db.request_authentications.rows("namespace", namespace)]
    specs += [guard for kind in REFUSING_KINDS for guard in guards_of(db, kind, namespace)]
    attached = {GATEWAY_NAME_LABEL for spec in specs if targets(spec)}
    return frozenset(attached | {key for spec in specs for key in match_labels(spec)})
