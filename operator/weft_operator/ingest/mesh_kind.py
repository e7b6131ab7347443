"""One of the mesh's own kinds: from events and lists, whichever is newer, into its table of the registry.

An object with an error is refused as a whole. Its last good version stays in force, as when a file is saved with a
mistake under `weft up`, and `Observations` says what is wrong with the new one. A security policy that has no good
version leaves its guard, which fails closed.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from weft_core.graph import Table
from weft_core.ingest import CONFIG_KINDS
from weft_core.model.decode import decode
from weft_core.model.kinds import Kind
from weft_core.model.kubernetes import KubernetesObject
from weft_core.model.meta import Config
from weft_core.problems import ObjectRef
from weft_core.registry import Key, Registry
from weft_kube.client import Api
from weft_kube.resource import Resource
from weft_operator.ingest.arrivals import Arrivals
from weft_operator.ingest.metrics import IngestMetrics
from weft_operator.ingest.report import Observations, Observed

REVISION_LABELS: Final = ("istio.io/rev", "weft.dev/rev")
_SLICE: Final = 0.01
"""Seconds of decoding, after which the event loop may do something else."""


class _ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""


class _Page(msgspec.Struct, frozen=True):
    metadata: _ListMeta
    items: tuple[msgspec.Raw, ...] | None = None


_PAGE = msgspec.json.Decoder(_Page)
_META = msgspec.json.Decoder(KubernetesObject)
_ANY = msgspec.json.Decoder(dict[str, Any])


class MeshKind:
    """One kind: its table, what has arrived of it, and where the cluster serves it."""

    def __init__(
        self,
        kind: Kind,
        registry: Registry,
        observations: Observations,
        *,
        revision: str,
        changed: Callable[[], None],
        metrics: IngestMetrics,
    ) -> None:
        self.kind = kind
        self.resource: Resource | None = None
        """Where the cluster serves it; None where it does not."""
        self._table: Table[Key, Config[Any]] = getattr(registry, CONFIG_KINDS[kind.kind])
        self._guards = registry.unreadable_policies
        self._arrivals: Arrivals[Key] = Arrivals()
        self._observations = observations
        self._revision = revision
        self._changed = changed
        self._metrics = metrics
        metrics.expected(kind.kind)

    def event(self, kind: str | None, document: Mapping[str, Any]) -> None:
        """An event of a watch. `kind` is its type, DELETED or anything else."""
        metadata = document["metadata"]
        key, version = (metadata.get("namespace", ""), metadata["name"]), int(metadata["resourceVersion"])
        if kind == "DELETED":
            if self._arrivals.deleted(key, version):
                self._drop(key, "deleted")
        elif self._arrivals.seen(key, version):
            self._take(key, document)

    async def read(self, api: Api, resource: Resource) -> None:
        """List all, and take what is news. Raises ApiError."""
        mark = self._arrivals.mark()
        raw: dict[Key, msgspec.Raw] = {}
        found: dict[Key, int] = {}
        version = 0
        async with contextlib.aclosing(api.pages(resource)) as pages:
            async for body in pages:
                page = _PAGE.decode(body)
                version = int(page.metadata.resource_version)
                for item in page.items or ():
                    about = _META.decode(item).metadata
                    key = (about.namespace, about.name)
                    raw[key], found[key] = item, int(about.resource_version)
        self.resource = resource
        news, vanished = self._arrivals.listed(found, version, mark)
        for key in vanished:
            self._drop(key, "vanished")
        began = time.monotonic()
        for key in news:
            if time.monotonic() - began > _SLICE:
                await asyncio.sleep(0)
                began = time.monotonic()
            if self._arrivals.is_current(key, found[key]):
                self._take(key, _ANY.decode(raw[key]))
        self._metrics.listed(self.kind.kind)

    def absent(self) -> None:
        """The cluster does not serve the kind, or no longer: there is nothing of it."""
        self.resource = None
        known = [observed for ref, observed in self._observations.items() if ref.kind == self.kind.kind]
        for observed in known:
            self._drop((observed.namespace, observed.name), "vanished")
        self._arrivals = Arrivals()
        self._metrics.listed(self.kind.kind)

    def _take(self, key: Key, document: Mapping[str, Any]) -> None:
        metadata = document["metadata"]
        if self._is_foreign(metadata.get("labels") or {}):
            self._drop(key, "deleted")
            return
        decoded = decode(document)
        row, uid = self._table.peek(key), metadata.get("uid", "")
        if isinstance(decoded.object, Config):
            row = decoded.object
        elif row is not None and row.meta.uid != uid:
            row = None  # of a namesake that is gone
        self._table.put(key, row)
        self._guards.put(self._ref(key), decoded.guard if row is None else None)
        self._metrics.events.labels(self.kind.kind, "rejected" if decoded.rejected else "put").inc()
        self._observations.put(
            Observed(
                kind=self.kind.kind,
                namespace=key[0],
                name=key[1],
                uid=uid,
                generation=metadata.get("generation", 0),
                problems=decoded.problems,
                rejected=decoded.rejected,
                in_force=row is not None,
            )
        )
        self._changed()

    def _drop(self, key: Key, how: str) -> None:
        ref = self._ref(key)
        if self._table.peek(key) is None and self._observations.get(ref) is None:
            return
        self._metrics.events.labels(self.kind.kind, how).inc()
        self._table.put(key, None)
        self._guards.put(ref, None)
        self._observations.remove(ref)
        self._changed()

    def _ref(self, key: Key) -> ObjectRef:
        return ObjectRef(kind=self.kind.kind, namespace=key[0], name=key[1])

    def _is_foreign(self, labels: Mapping[str, str]) -> bool:
        """Whether it is meant for another revision alone."""
        return any(labels.get(label, self._revision) != self._revision for label in REVISION_LABELS)
