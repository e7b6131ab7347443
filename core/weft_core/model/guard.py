"""What stands in for a security policy that cannot be read: whose protection it was, as far as that can be made out.

A refused VirtualService leaves routes as they are; a refused policy would leave doors open. So decoding keeps of it
what the views need to fail closed: its kind, and the workloads that it is about. Whatever of the latter is in doubt
counts as all workloads of its namespace, and in the root namespace as the whole mesh.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from weft_core.model.authorization_policy import DRY_RUN_ANNOTATION, Action, AuthorizationPolicy
from weft_core.model.base import Model, PolicySelector, PolicyTargetReference, field_names
from weft_core.model.dry_run import TRUE
from weft_core.model.explain import parse
from weft_core.model.peer_authentication import PeerAuthentication
from weft_core.model.request_authentication import RequestAuthentication
from weft_core.problems import ObjectRef, Severity

AUTHORIZATION_POLICY: Final = AuthorizationPolicy.__name__
PEER_AUTHENTICATION: Final = PeerAuthentication.__name__
REQUEST_AUTHENTICATION: Final = RequestAuthentication.__name__

PROTECTIVE_KINDS: Final[Mapping[str, type[Model]]] = {
    AUTHORIZATION_POLICY: AuthorizationPolicy,
    PEER_AUTHENTICATION: PeerAuthentication,
    REQUEST_AUTHENTICATION: RequestAuthentication,
}
"""The kinds whose objects protect workloads, with their models."""

_DOUBTFUL: Final = PolicySelector()
_GATEWAY: Final = "Gateway"
_SCOPE: Final = frozenset({"selector", "targetRef", "targetRefs"})
_ENVELOPE: Final = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A policy that cannot be read. Like a policy, it says by selector or target which workloads it is about.

    `selector` is None where there is certainly none, and selects by no label where it is in doubt. The two differ for
    PeerAuthentications, of which one with a selector goes before the namespace's.
    """

    ref: ObjectRef
    selector: PolicySelector | None = _DOUBTFUL
    target_refs: tuple[PolicyTargetReference, ...] = ()

    @property
    def target_ref(self) -> None:
        """None: `target_refs` holds them all, and Gateways only."""

    def joined(self, other: "Guard") -> "Guard":
        """One guard for two policies of one address: where they are about different workloads, it is about all."""
        return self if self == other else Guard(ref=self.ref)


def guard_of(document: Mapping[Any, Any], ref: ObjectRef) -> Guard | None:
    """The guard of a document that was refused; None where it protects nothing, however it may be mended."""
    model = PROTECTIVE_KINDS.get(ref.kind)
    if model is None:
        return None
    spec = document.get("spec")
    if spec is None:
        spec = {}
    if not isinstance(spec, Mapping):
        return Guard(ref=ref)
    if ref.kind == AUTHORIZATION_POLICY and _refuses_nothing(document, spec):
        return None
    scope = _SCOPE & spec.keys()
    if scope == {"selector"}:
        return Guard(ref=ref, selector=_selector(spec["selector"]))
    if len(scope) == 1 and ref.kind != PEER_AUTHENTICATION:
        return _attached(ref, spec["targetRefs"] if "targetRefs" in spec else [spec["targetRef"]])
    return Guard(ref=ref, selector=_DOUBTFUL if scope or _may_mean_a_selector(document, spec, model) else None)


def _may_mean_a_selector(document: Mapping[Any, Any], spec: Mapping[Any, Any], model: type[Model]) -> bool:
    """Whether a selector may be hidden in fields that are misspelled or misplaced, or was forgotten beside ports."""
    known = _ENVELOPE.issuperset(document) and set(field_names(model)).issuperset(spec)
    return not known or "portLevelMtls" in spec


def _refuses_nothing(document: Mapping[Any, Any], spec: Mapping[Any, Any]) -> bool:
    """Whether an AuthorizationPolicy is only tried out, or only writes a record."""
    metadata = document.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    trial = annotations.get(DRY_RUN_ANNOTATION) if isinstance(annotations, Mapping) else None
    return str(trial) in TRUE or spec.get("action") == Action.AUDIT.value


def _selector(value: object) -> PolicySelector | None:
    found = _parsed(PolicySelector, value)
    if not isinstance(found, PolicySelector):
        return _DOUBTFUL
    return found if found.match_labels else None


def _attached(ref: ObjectRef, values: object) -> Guard | None:
    """A policy that is attached to something: only Gateways have workloads."""
    found = [_parsed(PolicyTargetReference, value) for value in values] if isinstance(values, list) else []
    targets = tuple(each for each in found if isinstance(each, PolicyTargetReference))
    if not targets or len(targets) < len(found):
        return Guard(ref=ref)
    gateways = tuple(target for target in targets if target.kind == _GATEWAY)
    return Guard(ref=ref, selector=None, target_refs=gateways) if gateways else None


def _parsed(model: type[Model], value: object) -> Model | None:
    found, mistakes = parse(model, value, ())
    return None if any(each.severity is Severity.ERROR for each in mistakes) else found
