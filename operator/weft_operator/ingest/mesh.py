"""The mesh's own kinds, all of them: kopf's events for speed, lists of our own for certainty.

A list of each kind gives the first full set. It is repeated whenever kopf has listed that kind, and every few minutes,
so that nothing that vanished unseen stays. Kinds that the cluster does not serve count as empty until it does.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NoReturn

import msgspec
import structlog

from weft_core.model.kinds import MESH_KINDS
from weft_core.registry import Registry
from weft_kube.client import Api
from weft_kube.errors import ApiError, Forbidden, NotFound, Unauthenticated
from weft_kube.login import Login
from weft_kube.resource import Resource
from weft_kube.steps import Steps
from weft_operator.ingest.kopf_watch import KopfWatch
from weft_operator.ingest.mesh_kind import MeshKind
from weft_operator.ingest.metrics import IngestMetrics
from weft_operator.ingest.report import Observations

_GATHERING: Final = 1.0
"""Seconds from news of the kinds that are served to kopf's start: CRDs come in groups, and failures should not spin."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class MeshIngest:
    """Keeps the tables of the mesh's kinds.

    `arrived` is told of each kind, again and again, when a list of it is complete. `before_kopf` is awaited before kopf
    is started, whose lists would take the time that the first ones need. `resync` is the time between two lists for
    which there is no other reason, in seconds; `poll` that between two looks for a kind that is not served.
    """

    def __init__(
        self,
        api: Api,
        login: Login,
        registry: Registry,
        observations: Observations,
        *,
        revision: str,
        changed: Callable[[], None],
        arrived: Callable[[str], None],
        before_kopf: Callable[[], Awaitable[None]],
        metrics: IngestMetrics,
        resync: float = 120.0,
        poll: float = 5.0,
    ) -> None:
        self._api = api
        self._login = login
        self._arrived = arrived
        self._before_kopf = before_kopf
        self._metrics = metrics
        self._resync = resync
        self._poll = poll
        self._kinds: Mapping[str, MeshKind] = {
            kind.kind: MeshKind(kind, registry, observations, revision=revision, changed=changed, metrics=metrics)
            for kind in MESH_KINDS
        }
        self._due = {kind: asyncio.Event() for kind in self._kinds}
        """Set for a kind that is to be listed now."""
        self._unlisted = set(self._kinds)
        self._changed_kinds = asyncio.Event()
        """Set when all kinds have been looked for, and when other ones are served than before."""
        self._told: dict[str, str] = {}

    def served(self, kind: str) -> Resource | None:
        """Where the cluster serves a kind; None where it does not."""
        return self._kinds[kind].resource

    async def run(self) -> NoReturn:
        """Keep them, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for kind in self._kinds.values():
                tasks.create_task(self._keep(kind))
            tasks.create_task(self._watch())
        raise AssertionError("these tasks have no end")

    async def _keep(self, kind: MeshKind) -> NoReturn:
        """List a kind now and again. What is not served twice in a row is gone, and not only being started."""
        name = kind.kind.kind
        steps = Steps()
        misses = 0
        while True:
            self._due[name].clear()
            try:
                found = await self._list(kind)
            except (ApiError, msgspec.MsgspecError, RecursionError, OSError, ValueError) as error:
                steps.failed(error if isinstance(error, ApiError) else ApiError(str(error)))
                delay = steps.next.delay
                self._trouble(name, error)
            else:
                steps = Steps()
                misses = 0 if found else misses + 1
                if misses > 1 or (misses and name in self._unlisted):
                    self._gone(kind)
                self._settle(name)
                delay = self._resync * random.uniform(0.9, 1.1) if found else self._poll  # noqa: S311 - spreads load
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._due[name].wait()

    async def _list(self, kind: MeshKind) -> bool:
        """List a kind, in the first version of it that the cluster serves. False where it serves none."""
        before = kind.resource
        candidates = [Resource.of(kind.kind, version) for version in kind.kind.versions]
        for resource in sorted(candidates, key=lambda each: each != before):
            try:
                await kind.read(self._api, resource)
            except NotFound:
                continue
            self._told.pop(kind.kind.kind, None)
            if resource != before and not self._unlisted:
                _log.info("mesh_kind_served", resource=resource.plural, api=resource.api_version)
                self._changed_kinds.set()
            return True
        return False

    def _gone(self, kind: MeshKind) -> None:
        if kind.resource is not None:
            _log.warning("mesh_kind_gone", kind=kind.kind.kind, effect="its objects are forgotten")
            self._changed_kinds.set()
        kind.absent()

    def _settle(self, name: str) -> None:
        """A kind has been looked for. When all have, those that are missing are told, once."""
        self._arrived(name)
        if name not in self._unlisted:
            return
        self._unlisted.discard(name)
        if not self._unlisted:
            missing = [name for name, kind in self._kinds.items() if kind.resource is None]
            if missing:
                _log.warning("mesh_kinds_missing", kinds=missing, fix="install the CRDs; they are found when they come")
            self._changed_kinds.set()

    def _trouble(self, name: str, error: Exception) -> None:
        """Log what keeps a kind from being read, once for as long as it is the same."""
        self._metrics.restarted(name, "forbidden" if isinstance(error, Forbidden) else "unavailable")
        if self._told.get(name) == str(error):
            return
        self._told[name] = str(error)
        if isinstance(error, Unauthenticated):
            _log.error("mesh_kind_unread", kind=name, error=str(error), fix=Unauthenticated.FIX)
        elif isinstance(error, Forbidden):
            _log.error("mesh_kind_forbidden", kind=name, error=str(error), fix="grant get, list and watch of it")
        else:
            _log.warning("mesh_kind_unread", kind=name, error=str(error))

    async def _watch(self) -> NoReturn:
        """Have kopf watch the kinds that are served, from the start again when these change or when it fails."""
        await self._before_kopf()
        while True:
            await self._changed_kinds.wait()
            await asyncio.sleep(_GATHERING)
            self._changed_kinds.clear()
            resources = [kind.resource for kind in self._kinds.values() if kind.resource is not None]
            if resources:
                await self._watch_these(resources)

    async def _watch_these(self, resources: Sequence[Resource]) -> None:
        """Return when other kinds are served than these, or when kopf is to be started again."""
        _log.info("kopf_starts", resources=[resource.plural for resource in resources])
        kopf = asyncio.create_task(KopfWatch(self._login, resources, self._deliver, self._relisted).run())
        other = asyncio.create_task(self._changed_kinds.wait())
        try:
            await asyncio.wait((kopf, other), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (kopf, other):
                task.cancel()
            outcome, _ = await asyncio.gather(kopf, other, return_exceptions=True)
        if not self._changed_kinds.is_set():
            _log.warning("kopf_ended", error=repr(outcome), effect="changes come late; it is started again")
            self._changed_kinds.set()
            for due in self._due.values():
                due.set()

    def _deliver(self, name: str, kind: str | None, document: Mapping[str, Any]) -> None:
        try:
            self._kinds[name].event(kind, document)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            _log.error("mesh_event_unreadable", kind=name, error=repr(error))
            self._relisted(name)

    def _relisted(self, name: str) -> None:
        self._due[name].set()
