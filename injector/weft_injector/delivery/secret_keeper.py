"""The leader's part of credentials in Secrets: renewing them, and deleting what no pod uses.

All that is known about a Secret stands in its annotations, so that the copy kept here holds no key. Whoever may write
Secrets in a namespace can thereby get credentials of any service account in it, and of none elsewhere: no more than
Kubernetes gives them already, by Secrets of type `kubernetes.io/service-account-token`.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog
from msgspec import Struct

from weft_core.errors import WeftError
from weft_core.model.kubernetes import KubernetesObject
from weft_injector.ca.authority import Authority
from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.names import SECRET_TYPE, USED_AT_ANNOTATION, Release
from weft_injector.delivery.root_keeper import RootKeeper
from weft_injector.delivery.secrets import Credentials, WorkloadSecrets, renewal_time
from weft_injector.delivery.times import instant
from weft_injector.delivery.waiting import first_of
from weft_injector.delivery.watching import Copy
from weft_injector.renewal import RenewalPolicy
from weft_injector.renewer import Clock
from weft_kube.client import Api
from weft_kube.errors import ApiError, Conflict, NotFound
from weft_kube.listwatch import Key, Reflector
from weft_kube.resource import PODS, SECRETS

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_AT_ONCE: Final = 8
"""Secrets that are written at the same time."""


_RUNNING: Final = "status.phase!=Succeeded,status.phase!=Failed"


class _SecretSource(Struct, frozen=True):
    name: str = ""


class _Projection(Struct, frozen=True):
    secret: _SecretSource | None = None


class _Projected(Struct, frozen=True):
    sources: tuple[_Projection, ...] | None = None


class _Volume(Struct, frozen=True):
    projected: _Projected | None = None


class _Spec(Struct, frozen=True):
    volumes: tuple[_Volume, ...] | None = None


class MountingPod(KubernetesObject, frozen=True, kw_only=True):
    """A pod, as far as it mounts Secrets in projected volumes."""

    spec: _Spec = _Spec()

    def secrets(self) -> Iterable[Key]:
        """Namespace and name of each."""
        for volume in self.spec.volumes or ():
            for source in (volume.projected.sources or ()) if volume.projected else ():
                if source.secret:
                    yield self.namespace, source.secret.name


class _PodPage(Struct, frozen=True):
    items: tuple[MountingPod, ...] | None = None


_POD_PAGE = msgspec.json.Decoder(_PodPage)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperOptions:
    """How often the leader looks, and for how long a Secret may go unused."""

    tick: timedelta = timedelta(seconds=30)
    sweep: timedelta = timedelta(hours=1)
    unused: timedelta = timedelta(hours=2)
    """Longer than any admission takes: a pod that was let in mounts its Secret before this."""


def due(
    rows: Iterable[KubernetesObject], authority: Authority, release: Release, policy: RenewalPolicy, *, now: datetime
) -> list[Credentials]:
    """Whose credentials are to be renewed now, of those that this release owns."""
    found = []
    for row in rows:
        credentials = Credentials.of(row.namespace, row.annotations)
        if credentials is None or credentials.name != row.name or not release.owns(row):
            continue
        at = renewal_time(credentials, row.annotations, authority, policy)
        if at is None or at <= now:
            found.append(credentials)
    return found


def unused(rows: Iterable[KubernetesObject], used: set[Key], *, before: datetime) -> list[KubernetesObject]:
    """The Secrets that no pod mounts, and that none was admitted with since `before`."""
    return [
        row
        for row in rows
        if (row.namespace, row.name) not in used
        and ((at := instant(row.annotations.get(USED_AT_ANNOTATION, ""))) is None or at < before)
    ]


class SecretKeeper:
    """Renews and deletes. `lead` runs where this replica leads."""

    def __init__(
        self,
        api: Api,
        secrets: WorkloadSecrets,
        root: RootKeeper,
        *,
        options: KeeperOptions | None = None,
        clock: Clock,
        metrics: CertificateMetrics,
    ) -> None:
        self._api = api
        self._secrets = secrets
        self._release = secrets.options.release
        self._root = root
        self._options = options or KeeperOptions()
        self._clock = clock
        self._metrics = metrics
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def lead(self) -> None:
        """Watch all Secrets of ours, for as long as this replica leads."""
        copy: Copy[KubernetesObject] = Copy()
        reflector = Reflector(
            self._api,
            SECRETS,
            KubernetesObject,
            copy,
            labels=self._release.selector,
            fields=f"type={SECRET_TYPE}",
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(reflector.run(), name="watch credentials")
            await reflector.synced.wait()
            tasks.create_task(self._renew(copy), name="renew credentials")
            tasks.create_task(self._restore(copy), name="restore credentials")
            tasks.create_task(self._sweep(copy), name="sweep credentials")

    async def _renew(self, copy: Copy[KubernetesObject]) -> None:
        """At each tick, and at once when the root changes."""
        while True:
            authority = self._root.authority
            found = due(
                copy.rows.values(), authority, self._release, self._secrets.options.policy, now=self._clock.now()
            )
            async with asyncio.TaskGroup() as tasks:
                for credentials in found:
                    tasks.create_task(self._renew_one(credentials))
            await first_of(self._root.changed(authority), self._clock.sleep(self._options.tick.total_seconds()))

    async def _renew_one(self, credentials: Credentials) -> None:
        async with self._slots:
            try:
                await self._secrets.renew(credentials)
            except WeftError as fault:
                self._failed("credentials_not_renewed", credentials, fault)

    async def _restore(self, copy: Copy[KubernetesObject]) -> None:
        """Put back what somebody deleted although pods mount it: their certificate would expire.

        What cannot be put back now, for want of an API server or of rights, is tried again at each tick.
        """
        known = {key: row.annotations for key, row in copy.rows.items()}
        missing: dict[Key, Credentials] = {}
        while True:
            longest = self._options.tick.total_seconds() if missing else None
            for key in await self._changes(copy, longest):
                if (row := copy.rows.get(key)) is not None:
                    known[key] = row.annotations
                    missing.pop(key, None)
                elif credentials := Credentials.of(key[0], known.pop(key, {})):
                    missing[key] = credentials
            for key, credentials in tuple(missing.items()):
                if await self._restore_one(key, credentials):
                    del missing[key]

    async def _changes(self, copy: Copy[KubernetesObject], longest: float | None) -> tuple[Key, ...]:
        """The next changes; none where there are none within so many seconds."""
        if longest is not None:
            await first_of(copy.changed(), self._clock.sleep(longest))
            return copy.taken()
        return await copy.changes()

    async def _restore_one(self, key: Key, credentials: Credentials) -> bool:
        try:
            if key in await self._mounted(key[0]):
                await self._secrets.restore(credentials)
        except WeftError as fault:
            self._failed("credentials_not_restored", credentials, fault)
            return False
        return True

    async def _sweep(self, copy: Copy[KubernetesObject]) -> None:
        while True:
            try:
                await self._delete_unused(copy)
            except ApiError as fault:
                _log.warning("unused_credentials_not_swept", reason=str(fault))
            await self._clock.sleep(self._options.sweep.total_seconds())

    async def _delete_unused(self, copy: Copy[KubernetesObject]) -> None:
        """The version seen is deleted and no other: a pod admitted meanwhile has marked it, or relies on it."""
        before = self._clock.now() - self._options.unused
        if not unused(copy.rows.values(), set(), before=before):
            return
        used = await self._mounted()
        for row in unused(copy.rows.values(), used, before=before):
            if not self._release.owns(row):
                continue
            try:
                await self._api.raw("DELETE", SECRETS.path(row.namespace, row.name), body=_exactly(row))
            except (Conflict, NotFound):
                continue
            _log.info("unused_credentials_deleted", namespace=row.namespace, secret=row.name)

    async def _mounted(self, namespace: str = "") -> set[Key]:
        """The Secrets that pods mount, in one namespace or in all."""
        found: set[Key] = set()
        async with contextlib.aclosing(self._api.pages(PODS, namespace, fields=_RUNNING)) as pages:
            async for page in pages:
                for pod in _POD_PAGE.decode(page).items or ():
                    found.update(pod.secrets())
                await asyncio.sleep(0)
        return found

    def _failed(self, event: str, credentials: Credentials, fault: WeftError) -> None:
        self._metrics.failed.labels("secret").inc()
        _log.warning(event, reason=str(fault), namespace=credentials.namespace, secret=credentials.name)


def _exactly(row: KubernetesObject) -> bytes:
    """The body of a DELETE of this version of this object, and no other."""
    meta = row.metadata
    return msgspec.json.encode({"preconditions": {"uid": meta.uid, "resourceVersion": meta.resource_version}})
