"""The composition root: registry, fan-out and xDS server put together. `weft serve` and `weft up` run it.

Everything lives in one event loop, and is wired here and nowhere else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from weft_core.problems import Code, Problem, Severity
from weft_core.proxy import ProxyId
from weft_core.registry import Registry
from weft_core.spiffe import SpiffeId
from weft_core.view.mesh import trust_domains
from weft_core.view.proxies import workload
from weft_xds.fanout import Fanout
from weft_xds.identity import Authorize, by_namespace
from weft_xds.quarantine import Quarantine, Rejection
from weft_xds.resources import CATALOG
from weft_xds.server import ServerOptions, TlsMaterial, XdsServer

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(slots=True)
class ControlPlane:
    """A registry, and all that serves it. `tell` is given what an Envoy refuses, as problems of the user's objects."""

    registry: Registry
    tell: Callable[[Problem], None]
    metrics: CollectorRegistry = field(default_factory=CollectorRegistry)
    fanout: Fanout = field(init=False)

    def __post_init__(self) -> None:
        self.fanout = Fanout(self.registry, CATALOG, Quarantine(self._refused), failed=_view_failed)

    def server(self, options: ServerOptions, tls: TlsMaterial | None) -> XdsServer:
        """An xDS server on this control plane; it is not started yet."""
        return XdsServer(self.fanout, authorizer(self.registry), options, tls=tls, registry=self.metrics)

    def _refused(self, rejection: Rejection) -> None:
        _report(rejection)
        for problem in rejected(rejection):
            self.tell(problem)


def rejected(rejection: Rejection) -> tuple[Problem, ...]:
    """Envoy's own words, on every object that the refused resource was made from."""
    return tuple(
        Problem(
            code=Code.REJECTED_BY_ENVOY,
            severity=Severity.ERROR,
            object=origin,
            message=f"Envoy refuses {rejection.name}: {rejection.message}",
            fix="change the field that Envoy names; until then the last version that it took stays in force",
        )
        for origin in rejection.origins
    )


def authorizer(registry: Registry) -> Authorize:
    """Believe the certificate: a proxy may be a pod of its own namespace and service account, and no other.

    Whose account a pod has that is not known yet cannot be told, so its proxy has to come again, as Envoy does within
    seconds. Else a workload could wait under the name of a gateway that is about to start, and be given its keys.
    """

    def authorize(identity: SpiffeId | None, node_id: str, metadata: Mapping[str, Any]) -> ProxyId | str:
        proxy = by_namespace(trust_domains(registry))(identity, node_id, metadata)
        if isinstance(proxy, str) or identity is None:
            return proxy
        pod = workload(registry, (proxy.namespace, proxy.name))
        if pod is None:
            return f"{proxy} is not known here, or not yet: come again"
        if pod.service_account != identity.service_account:
            return f"{identity} may not be proxy {proxy}: that pod's service account is {pod.service_account!r}"
        return proxy

    return authorize


def _report(rejection: Rejection) -> None:
    _log.error(
        "resource_rejected",
        type_url=rejection.type_url,
        name=rejection.name,
        proxy=str(rejection.proxy),
        message=rejection.message,
        objects=[str(origin) for origin in rejection.origins],
    )


def _view_failed(key: object, error: Exception) -> None:
    _log.error("view_failed", key=str(key), error=repr(error), exc_info=error)
