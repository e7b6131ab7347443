"""Routes by the claims of a token, at gateways where nobody verifies tokens: there is never a claim to compare."""

from collections.abc import Iterator

from weft_core.model.meta import Config
from weft_core.model.virtual_service import VirtualService
from weft_core.names import MESH_GATEWAY
from weft_core.problems import Code, Problem, Severity
from weft_core.registry import Key, Registry
from weft_core.view.finding import finding
from weft_core.view.request_authentication import request_authentications_for
from weft_core.view.selector_problems import pod_namespaces, workloads_in


def claim_route_problems(db: Registry, row: Config[VirtualService], gateways: tuple[str, ...]) -> Iterator[Problem]:
    """A finding for each match that asks for a claim, where a pod of the gateways verifies no tokens."""
    paths = tuple(row.spec.claim_paths())
    bare = next(filter(None, (_bare_pod(db, name) for name in gateways)), "") if paths else ""
    for path in paths if bare else ():
        yield finding(
            row.meta.ref,
            path,
            code=Code.CLAIM_ROUTE_WITHOUT_AUTHENTICATION,
            severity=Severity.ERROR,
            message=f"no RequestAuthentication verifies tokens for pod {bare} of the gateway, so there are no claims",
            fix="add a RequestAuthentication that selects the gateway's pods",
        )


def _bare_pod(db: Registry, gateway: str) -> str:
    """The name of a pod that the gateway selects and that verifies no tokens, or nothing."""
    namespace, _, name = gateway.partition("/")
    key: Key = (namespace, name)
    row = None if gateway == MESH_GATEWAY else db.gateways.get(key)
    if row is None:
        return ""
    pods = workloads_in(db, pod_namespaces(db), row.spec.selector)
    return next((pod.name for pod in pods if not request_authentications_for(db, pod.namespace, pod.labels)), "")
