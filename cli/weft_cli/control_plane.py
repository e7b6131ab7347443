"""The composition root: registry, fan-out and servers put together, on a folder of YAML.

Everything lives in one event loop. `ControlPlane` is wired here and nowhere else; `weft serve` and `weft up` run it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from weft_core.problems import Problem
from weft_core.proxy import ProxyId
from weft_core.registry import Registry
from weft_core.view.mesh import trust_domains
from weft_core.view.proxies import workload
from weft_xds.catalog import Catalog
from weft_xds.fanout import Fanout
from weft_xds.identity import Authorize, Identity
from weft_xds.quarantine import Quarantine
from weft_xds.resources import CATALOG
from weft_xds.server import ServerOptions, TlsMaterial, XdsServer

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A registry, and all that serves it."""

    registry: Registry
    fanout: Fanout
    metrics: CollectorRegistry

    def server(self, options: ServerOptions, tls: TlsMaterial | None) -> XdsServer:
        """An xDS server on this control plane; it is not started yet."""
        return XdsServer(self.fanout, authorizer(self.registry), options, tls=tls, registry=self.metrics)


def build(registry: Registry, *, catalog: Catalog[Any, Any] = CATALOG) -> ControlPlane:
    """Wire a control plane around a registry."""

    def failed(key: object, error: Exception) -> None:
        _log.error("view_failed", key=str(key), error=repr(error), exc_info=error)

    return ControlPlane(registry, Fanout(registry, catalog, Quarantine(), failed=failed), CollectorRegistry())


def authorizer(registry: Registry) -> Authorize:
    """Believe the certificate: a proxy may be a pod of its own namespace and service account, and no other."""

    def authorize(identity: Identity | None, node_id: str, metadata: Mapping[str, Any]) -> ProxyId | str:
        del metadata
        try:
            proxy = ProxyId.from_node_id(node_id)
        except ValueError as error:
            return str(error)
        if identity is None:
            return proxy
        if identity.trust_domain not in trust_domains(registry):
            return f"{identity}: trust domain {identity.trust_domain!r} is not one of this mesh's"
        if identity.namespace != proxy.namespace:
            return f"{identity} may not be proxy {proxy}: it is of namespace {identity.namespace!r}"
        pod = workload(registry, (proxy.namespace, proxy.name))
        if pod is not None and pod.service_account != identity.service_account:
            return f"{identity} may not be proxy {proxy}: that pod's account is {pod.service_account!r}"
        return proxy

    return authorize


def log_problems(problems: Iterable[Problem], seen: set[Problem], emit: Callable[[Problem], None]) -> None:
    """Tell each problem once for as long as it lasts."""
    now = set(problems)
    for problem in problems:
        if problem not in seen:
            emit(problem)
    seen.intersection_update(now)
    seen.update(now)
