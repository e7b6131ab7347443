"""What follows from a security policy that can't be read: told beside the reasons why it can't."""

from weft_core.graph import query
from weft_core.model.guard import AUTHORIZATION_POLICY, PEER_AUTHENTICATION, Guard
from weft_core.model.mistake import one_line
from weft_core.problems import Code, ObjectRef, Problem, Severity
from weft_core.registry import Registry
from weft_core.view.mesh import root_namespace
from weft_core.view.policy_scope import match_labels, targets
from weft_core.view.selector_problems import written


@query
def guard_problems(db: Registry, ref: ObjectRef) -> tuple[Problem, ...]:
    """The one finding about a policy that can't be read; none once it can be, or is gone."""
    guard = db.unreadable_policies.get(ref)
    if guard is None or _is_idle(guard, root_namespace(db)):
        return ()
    return (
        Problem(
            code=Code.UNREADABLE_POLICY,
            severity=Severity.ERROR,
            object=ref,
            message=one_line(f"until it is readable, {_effect(guard, _workloads(guard, root_namespace(db)))}"),
            fix=f"correct what else is reported about this {ref.kind}, or delete it",
        ),
    )


def _is_idle(guard: Guard, root: str) -> bool:
    """Whether it is a PeerAuthentication with a selector in the root namespace, which is in force nowhere."""
    return guard.ref.kind == PEER_AUTHENTICATION and guard.ref.namespace == root and bool(match_labels(guard))


def _effect(guard: Guard, workloads: str) -> str:
    if guard.ref.kind == PEER_AUTHENTICATION:
        return f"{workloads} must be called with mutual TLS"
    refused = "requests and connections" if guard.ref.kind == AUTHORIZATION_POLICY else "requests"
    return f"all {refused} to {workloads} are refused"


def _workloads(guard: Guard, root: str) -> str:
    """Which workloads are guarded, in words."""
    namespace = guard.ref.namespace
    if attached := targets(guard):
        return f"the Gateway {', '.join(each.name for each in attached)} in {namespace}"
    place = "the mesh" if namespace == root else f"namespace {namespace}"
    labels = match_labels(guard)
    return f"the workloads {written(labels)} in {place}" if labels else f"every workload in {place}"
