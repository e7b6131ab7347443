"""Kubernetes' own kinds, of which there are many: from list-watch into the registry's tables.

Rows are stripped of what no view reads, above all of what changes by itself (resource versions, heartbeats): what is
equal for the mesh must be equal in the table, where writing an equal row disturbs nobody.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar

import msgspec

from weft_core.graph import Table
from weft_core.model import kubernetes as k8s
from weft_core.model.kinds import KUBERNETES_KINDS
from weft_core.registry import Registry
from weft_kube.client import Api
from weft_kube.listwatch import Key, Reflector
from weft_kube.resource import Resource
from weft_operator.ingest.metrics import IngestMetrics

R = TypeVar("R", bound=k8s.KubernetesObject)

CREDENTIAL_KEYS: Final = frozenset(
    {"tls.crt", "tls.key", "tls.ocsp-staple", "ca.crt", "ca.crl", "cert", "key", "cacert", "crl"}
)
"""Keys of Secrets that gateways and DestinationRules can refer to. The values of all others are not kept."""
_UNSENT: Final = (
    "kubernetes.io/service-account-token",
    "kubernetes.io/dockerconfigjson",
    "bootstrap.kubernetes.io/token",
    "helm.sh/release.v1",
)
"""Types of Secrets that the API server need not even send."""


class TableSink(Generic[R]):
    """Writes one kind, of all namespaces or of one, into a table.

    `shape` strips a row, or gives None for one that the mesh has no use for. `changed` is told after each write that
    may have changed something.
    """

    def __init__(
        self,
        table: Table[Any, R],
        *,
        shape: Callable[[R], R | None],
        changed: Callable[[], None],
        metrics: IngestMetrics,
        kind: str,
        namespaced: bool = True,
        namespace: str = "",
    ) -> None:
        self._table = table
        self._shape = shape
        self._changed = changed
        self._namespaced = namespaced
        self._namespace = namespace
        self._put = metrics.events.labels(kind, "put")
        self._deleted = metrics.events.labels(kind, "deleted")
        self._vanished = metrics.events.labels(kind, "vanished")
        self._listed = partial(metrics.listed, kind)

    def put(self, row: R) -> None:
        """An object as it is now."""
        self._put.inc()
        key = (row.namespace, row.name) if self._namespaced else row.name
        self._table.put(key, self._shape(row))
        self._changed()

    def remove(self, key: Key) -> None:
        """An object was deleted."""
        self._deleted.inc()
        self._table.put(key if self._namespaced else key[1], None)
        self._changed()

    def retain(self, keys: Collection[Key]) -> None:
        """Forget all others of the namespace, or of all."""
        for key in self._table:
            place = key if self._namespaced else ("", key)
            if place not in keys and (not self._namespace or place[0] == self._namespace):
                self._vanished.inc()
                self._table.put(key, None)
        self._listed()
        self._changed()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A kind to be copied: where it is in the API, its table, and what of it is kept."""

    kind: type[k8s.KubernetesObject]
    table: Callable[[Registry], Table[Any, Any]]
    shape: Callable[[Any], Any]
    fields: str = ""

    @property
    def resource(self) -> Resource:
        """Where it is in the API."""
        return next(Resource.of(kind) for kind in KUBERNETES_KINDS if kind.model is self.kind)


def reflectors(
    api: Api,
    registry: Registry,
    *,
    credentials_namespaces: Iterable[str],
    changed: Callable[[], None],
    metrics: IngestMetrics,
) -> Mapping[str, Reflector[Any]]:
    """All reflectors of Kubernetes' kinds, by a name for people: `Pod`, `Secret in shop`.

    `credentials_namespaces` are those whose Secrets may be read; `*` stands for all.
    """
    wanted = tuple(dict.fromkeys(credentials_namespaces))
    places = [(source, "") for source in SOURCES] + [
        (SECRETS, "" if namespace == "*" else namespace) for namespace in (("*",) if "*" in wanted else wanted)
    ]
    found: dict[str, Reflector[Any]] = {}
    for source, namespace in places:
        kind = source.kind.__name__
        resource = source.resource
        metrics.expected(kind)
        sink: TableSink[Any] = TableSink(
            source.table(registry),
            shape=source.shape,
            changed=changed,
            metrics=metrics,
            kind=kind,
            namespaced=resource.namespaced,
            namespace=namespace,
        )
        found[f"{kind} in {namespace}" if namespace else kind] = Reflector(
            api,
            resource,
            source.kind,
            sink,
            namespace=namespace,
            fields=source.fields,
            restarted=partial(metrics.restarted, kind),
        )
    return found


# What is kept. Rows come fresh from the parser and belong to nobody yet: changing them in place, frozen as they are, is
# ten times cheaper than a copy.

_set = msgspec.structs.force_setattr


def _plain(row: R) -> R:
    """A row without its version."""
    _set(row.metadata, "resource_version", "")
    _set(row.metadata, "generation", 0)
    return row


def _bare(row: R) -> R:
    """A row without annotations too: endpoint slices carry the time of their last change, nodes a lot."""
    _set(row.metadata, "annotations", None)
    return _plain(row)


def _pod(row: k8s.Pod) -> k8s.Pod | None:
    """A pod without what runs in it, and with no condition but Ready.

    One that has come to its end is none: its address may be another's by now.
    """
    if row.status.phase in {"Succeeded", "Failed"}:
        return None
    for container in (*row.spec.containers, *row.spec.init_containers):
        _set(container, "env", ())
        _set(container, "command", ())
        _set(container, "args", ())
    _set(row.status, "conditions", tuple(each for each in row.status.conditions if each.type == "Ready"))
    return _plain(row)


def _secret(row: k8s.Secret) -> k8s.Secret | None:
    """A Secret with certificates, with nothing else in it.

    Those with keys of the mesh itself (its roots', the workloads') use other names for them, and are none.
    """
    data = {key: value for key, value in (row.data or {}).items() if key in CREDENTIAL_KEYS}
    if not data:
        return None
    _set(row, "data", data)
    return _bare(row)


SOURCES: Final = (
    Source(kind=k8s.Namespace, table=lambda registry: registry.namespaces, shape=_bare),
    Source(kind=k8s.Node, table=lambda registry: registry.nodes, shape=_bare),
    Source(kind=k8s.Service, table=lambda registry: registry.services, shape=_plain),
    Source(kind=k8s.EndpointSlice, table=lambda registry: registry.endpoint_slices, shape=_bare),
    Source(kind=k8s.Pod, table=lambda registry: registry.pods, shape=_pod),
)
SECRETS: Final = Source(
    kind=k8s.Secret,
    table=lambda registry: registry.secrets,
    shape=_secret,
    fields=",".join(f"type!={each}" for each in _UNSENT),
)
