"""Trust bundles: the ConfigMap of each mesh namespace with the roots, and with the SDS documents that name them.

Pods project it beside their credentials. A namespace gets its bundle as soon as it is of the mesh, and the injection
webhook sees to it once more before it lets a pod in, for the leader may be a moment late. When a namespace leaves the
mesh its bundle stays for as long as pods with a sidecar run there, and goes with the last of them.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog

from weft_core.errors import WeftError
from weft_core.model.kubernetes import KubernetesObject
from weft_injector.ca.authority import Authority
from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.names import TRUST_BUNDLE, Release
from weft_injector.delivery.release import refresh
from weft_injector.delivery.root_keeper import RootKeeper
from weft_injector.delivery.single_flight import SingleFlight
from weft_injector.delivery.waiting import first_of
from weft_injector.delivery.watching import Copy
from weft_injector.renewer import Clock
from weft_injector.sds import ROOTS_FILE, WORKLOAD_SECRETS
from weft_kube.client import Api
from weft_kube.errors import Conflict, Forbidden, NotFound
from weft_kube.listwatch import Reflector
from weft_kube.resource import CONFIG_MAPS

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_AT_ONCE: Final = 8
"""ConfigMaps that are written at the same time."""
_FRESH: Final = 10.0
"""Seconds for which a bundle that was just seen to be right counts as such."""
_ATTEMPTS: Final = 4
_NO_TEXTS: Mapping[str, str] = {}


class ConfigMap(KubernetesObject, frozen=True, kw_only=True):
    """A ConfigMap's contents."""

    data: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleOptions:
    """Whose bundles, and how the leader paces itself: a look at all namespaces each `tick`, or when told.

    After a failure it looks again in `retry`, and waits twice as long each time, up to a `tick`: a quota may refuse a
    namespace's bundle for days.
    """

    release: Release
    tick: timedelta = timedelta(seconds=30)
    retry: timedelta = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Todo:
    """Namespaces whose bundle is missing or wrong, and those whose bundle has no use."""

    write: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


def bundle_data(authority: Authority) -> dict[str, str]:
    """The ConfigMap's `data`: everything in it is public."""
    documents = {name: content.decode() for name, content in WORKLOAD_SECRETS.documents().items()}
    return {ROOTS_FILE: authority.bundle.pem.decode(), **documents}


def plan(rows: Mapping[str, ConfigMap], wanted: Collection[str], data: Mapping[str, str], release: Release) -> Todo:
    """What is to do, `rows` being the bundles that are there, by namespace."""
    write = (namespace for namespace in wanted if not right(rows.get(namespace), data, release))
    remove = (namespace for namespace, row in rows.items() if namespace not in wanted and release.owns(row))
    return Todo(write=tuple(sorted(write)), remove=tuple(sorted(remove)))


def right(row: ConfigMap | None, data: Mapping[str, str], release: Release) -> bool:
    """Whether a bundle is there, holds this and will go with the release."""
    return row is not None and dict(row.data or _NO_TEXTS) == dict(data) and release.owns(row)


class TrustBundles:
    """Writes the bundles. `ensure` on every replica, `lead` where this one leads.

    `namespaces` gives those that need a bundle: of the mesh, or with a pod that has a sidecar.
    """

    def __init__(
        self,
        api: Api,
        root: RootKeeper,
        options: BundleOptions,
        *,
        namespaces: Callable[[], Collection[str]],
        clock: Clock,
        metrics: CertificateMetrics,
    ) -> None:
        self._api = api
        self._root = root
        self._options = options
        self._namespaces = namespaces
        self._clock = clock
        self._metrics = metrics
        self._look = asyncio.Event()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._flights: SingleFlight[str] = SingleFlight()
        self._good_until: dict[str, tuple[Authority, float]] = {}

    async def ensure(self, namespace: str, *, dry_run: bool = False) -> None:
        """See to it that the namespace's bundle is there and right. Raises ApiError."""
        authority = self._root.authority
        seen, until = self._good_until.get(namespace, (None, 0.0))
        if dry_run or (seen is authority and until > time.monotonic()):
            return
        await self._flights.run(namespace, lambda: self._write(namespace, authority))
        self._good_until[namespace] = (authority, time.monotonic() + _FRESH)

    def look(self) -> None:
        """Say that a namespace may have joined or left the mesh: the leader looks at once."""
        self._look.set()

    async def lead(self) -> None:
        """Keep all bundles right, for as long as this replica leads."""
        copy: Copy[ConfigMap] = Copy(told=self._look.set)
        reflector = Reflector(self._api, CONFIG_MAPS, ConfigMap, copy, fields=f"metadata.name={TRUST_BUNDLE}")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(reflector.run(), name="watch trust bundles")
            await reflector.synced.wait()
            retry = self._options.retry
            while True:
                self._look.clear()
                authority = self._root.authority
                complete = await self._converge(copy, authority)
                longest = self._options.tick if complete else retry
                await first_of(
                    self._look.wait(), self._root.changed(authority), self._clock.sleep(longest.total_seconds())
                )
                if complete:
                    retry = self._options.retry
                elif not self._look.is_set():
                    retry = min(retry * 2, self._options.tick)

    async def _converge(self, copy: Copy[ConfigMap], authority: Authority) -> bool:
        """One look at all; False where something is to be tried again."""
        rows = {namespace: row for (namespace, _), row in copy.rows.items()}
        todo = plan(rows, self._namespaces(), bundle_data(authority), self._options.release)
        async with asyncio.TaskGroup() as tasks:
            writes = [tasks.create_task(self._attempt(namespace, authority)) for namespace in todo.write]
            removals = [tasks.create_task(self._remove(namespace, rows[namespace])) for namespace in todo.remove]
        return all(task.result() for task in (*writes, *removals))

    async def _attempt(self, namespace: str, authority: Authority) -> bool:
        async with self._slots:
            try:
                await self._write(namespace, authority)
            except NotFound:  # the namespace is gone, and the registry late
                return True
            except WeftError as fault:
                return self._failed("trust_bundle_not_written", namespace, fault)
        return True

    async def _remove(self, namespace: str, row: ConfigMap) -> bool:
        async with self._slots:
            try:
                await self._leave(namespace, row)
            except (Conflict, NotFound):
                return True
            except WeftError as fault:
                return self._failed("trust_bundle_not_removed", namespace, fault)
        _log.info("trust_bundle_removed", namespace=namespace)
        return True

    async def _leave(self, namespace: str, row: ConfigMap) -> None:
        """Delete the bundle, or take leave of it where another revision owns it as well."""
        if len(row.metadata.owner_references) <= 1:
            await self._api.delete(CONFIG_MAPS, TRUST_BUNDLE, namespace, uid=row.metadata.uid)
            return
        meta = (await self._api.get(CONFIG_MAPS, TRUST_BUNDLE, namespace))["metadata"]
        others = [owner for owner in meta.get("ownerReferences") or () if owner["uid"] != self._options.release.uid]
        patch = {"metadata": {"ownerReferences": others, "resourceVersion": meta["resourceVersion"]}}
        await self._api.patch(CONFIG_MAPS, TRUST_BUNDLE, patch, namespace)

    async def _write(self, namespace: str, authority: Authority) -> None:
        """Create or put right; who loses a race looks again."""
        release, data = self._options.release, bundle_data(authority)
        for attempt in range(1, _ATTEMPTS + 1):
            found = await self._api.find(CONFIG_MAPS, TRUST_BUNDLE, namespace)
            try:
                if found is None:
                    await refresh(self._api, release)
                    await self._api.create(CONFIG_MAPS, _config_map(release, data), namespace)
                elif patch := _repair(found, release, data):
                    await self._api.patch(CONFIG_MAPS, TRUST_BUNDLE, patch, namespace)
                else:
                    return
            except Conflict:
                if attempt == _ATTEMPTS:
                    raise
            else:
                _log.info("trust_bundle_written", namespace=namespace, roots=len(authority.bundle.roots))
                return

    def _failed(self, event: str, namespace: str, fault: WeftError) -> bool:
        """Told, and whether that is the end of it: a namespace that is going away takes no new objects."""
        if isinstance(fault, Forbidden) and "being terminated" in str(fault):
            return True
        self._metrics.failed.labels("trustBundle").inc()
        _log.warning(event, namespace=namespace, reason=str(fault))
        return False


def _config_map(release: Release, data: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": release.metadata(TRUST_BUNDLE),
        "data": dict(data),
    }


def _repair(found: Mapping[str, Any], release: Release, data: Mapping[str, str]) -> dict[str, Any]:
    """A merge patch that makes `data` exactly this, and this release an owner; empty where all is right."""
    meta, there = found["metadata"], found.get("data") or {}
    owners = meta.get("ownerReferences") or []
    change: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    if dict(there) != dict(data):
        change["data"] = {**dict.fromkeys(there.keys() - data.keys()), **data}
    if (joined := release.joined(owners)) != owners:
        metadata["ownerReferences"] = joined
    if (labels := {**(meta.get("labels") or {}), **release.labels}) != (meta.get("labels") or {}):
        metadata["labels"] = labels
    if change or metadata:
        change["metadata"] = {**metadata, "resourceVersion": meta["resourceVersion"]}
    return change
