"""Keeps the mesh's root in step with its Secrets, on every replica, and tells whoever signs or trusts by it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from weft_core.errors import CertificateFault
from weft_core.model.kubernetes import KubernetesObject
from weft_injector.ca.authority import LEAF_LIFETIME, Authority
from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.names import PLUGGED_IN_ROOT, PREVIOUS_ROOT, SELF_MADE_ROOT, Release
from weft_injector.delivery.release import refresh
from weft_injector.delivery.rollout import SPREAD, InForce, Timing, finished, in_force, renewal_due, replacement
from weft_injector.delivery.root import (
    Source,
    forget_previous,
    keep_previous,
    load_or_create_root,
    load_previous,
    renew_self_made_root,
)
from weft_injector.delivery.root_secret import Previous
from weft_injector.delivery.waiting import first_of
from weft_injector.delivery.watching import Copy
from weft_injector.renewer import Clock
from weft_kube.client import Api
from weft_kube.errors import ApiError
from weft_kube.listwatch import Reflector
from weft_kube.resource import SECRETS

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_TRUST_OFTEN = timedelta(hours=1)
"""How often the Secrets are read although no watch says that they changed, and the leader looks after them."""
_MEND_OFTEN = timedelta(minutes=1)
"""How often an unusable root is looked at again: one whose maker's clock is ahead becomes valid without a change."""
_RETRY = timedelta(seconds=5)
_OWNER_OFTEN = timedelta(seconds=10)
"""How often the release's ClusterRole is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RootOptions:
    """Whose root, how long a changed bundle takes into every pod, and how long workloads' certificates live."""

    release: Release
    trust_domain: str
    spread: timedelta = SPREAD
    lifetime: Callable[[], timedelta] = field(default=lambda: LEAF_LIFETIME)

    @property
    def timing(self) -> Timing:
        """How long the steps of a replacement take."""
        return Timing(spread=self.spread, leaf_lifetime=self.lifetime())


class RootKeeper:
    """The root in force: `authority` signs, its `bundle` is all that is trusted.

    `load` first, then `run` for as long as the process lives; `lead` beside it for as long as this replica leads.
    """

    def __init__(self, api: Api, options: RootOptions, *, clock: Clock, metrics: CertificateMetrics) -> None:
        self._api = api
        self._options = options
        self._clock = clock
        self._metrics = metrics
        self._source: Source | None = None
        self._previous: Previous | None = None
        self._in_force: InForce | None = None
        self._changed = asyncio.Condition()
        self._stale = asyncio.Event()
        self._fault = ""

    @property
    def authority(self) -> Authority:
        """What signs now."""
        return self.in_force.authority

    @property
    def in_force(self) -> InForce:
        """What signs now, and where the replacement of a root stands."""
        if self._in_force is None:
            raise AssertionError("load the root first")
        return self._in_force

    async def load(self) -> Authority:
        """Read the root, or make it. Raises CertificateFault for an unusable one, ApiError."""
        await self._refresh()
        return self.authority

    async def changed(self, seen: Authority) -> Authority:
        """Wait until another authority than `seen`, or another bundle, is in force; give it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.authority is not seen)
        return self.authority

    async def run(self) -> None:
        """Follow the Secrets for ever. An unusable root is reported, and what was in force stays so."""
        async with asyncio.TaskGroup() as tasks:
            for name in (PLUGGED_IN_ROOT, SELF_MADE_ROOT, PREVIOUS_ROOT):
                tasks.create_task(self._reflector(name).run(), name=f"watch secret {name}")
            tasks.create_task(self._follow_release(), name="follow the release")
            while True:
                await self._wait()
                self._stale.clear()
                try:
                    await self._refresh()
                except CertificateFault as fault:
                    self._tell_fault(str(fault))
                except ApiError as fault:
                    _log.warning("root_not_read", reason=str(fault))
                    await self._clock.sleep(_RETRY.total_seconds())
                    self._stale.set()

    def _tell_fault(self, reason: str) -> None:
        """Once for each reason: the metric stays for as long as the fault does."""
        self._metrics.root_fault(present=True)
        if reason != self._fault:
            _log.error("root_unusable", reason=reason, in_force=_expiry(self.authority))
        self._fault = reason

    async def lead(self) -> None:
        """The leader's part: renews a self-made root before it expires, and ends a replacement that is complete."""
        while True:
            try:
                await self._tend(self._clock.now())
            except ApiError as fault:
                _log.warning("root_not_tended", reason=str(fault))
                await self._clock.sleep(_RETRY.total_seconds())
            else:
                await self._clock.sleep(_TRUST_OFTEN.total_seconds())

    async def _tend(self, now: datetime) -> None:
        release, source, previous = self._options.release, self._source, self._previous
        if previous is not None and finished(previous, now=now, timing=self._options.timing):
            await forget_previous(self._api, release)
            _log.info("root_replaced", expires=_expiry(self.authority))
        if source is None or not renewal_due(source.authority, now=now):
            return
        if source.self_made:
            await renew_self_made_root(self._api, release, source, now=now)
        else:
            _log.warning(
                "root_expires_soon",
                secret=f"{release.namespace}/{source.name}",
                expires=_expiry(source.authority),
                fix="put a new certificate into the Secret; the old root stays trusted until its leafs are gone",
            )

    async def _follow_release(self) -> None:
        """See to it that what is made belongs to the ClusterRole that there is, the root's Secret first of all."""
        while True:
            await self._clock.sleep(_OWNER_OFTEN.total_seconds())
            with suppress(ApiError):
                if await refresh(self._api, self._options.release):
                    self._stale.set()

    def _reflector(self, name: str) -> Reflector[KubernetesObject]:
        """Each Secret by its name: the Role grants no more. Of its contents the copy keeps nothing."""
        sink: Copy[KubernetesObject] = Copy(told=self._stale.set)
        namespace = self._options.release.namespace
        return Reflector(
            self._api, SECRETS, KubernetesObject, sink, namespace=namespace, fields=f"metadata.name={name}"
        )

    async def _wait(self) -> None:
        """Until a Secret has changed, the next phase begins, or it is time to look anyway."""
        until = self.in_force.until
        wait = _MEND_OFTEN if self._fault else _TRUST_OFTEN
        if until is not None:
            wait = min(wait, max(until - self._clock.now(), timedelta()))
        await first_of(self._stale.wait(), self._clock.sleep(wait.total_seconds()))

    async def _refresh(self) -> None:
        api, options, now = self._api, self._options, self._clock.now()
        release, trust_domain = options.release, options.trust_domain
        await refresh(api, release)  # a Secret that vanished may have gone with its owner
        source = await load_or_create_root(api, release, trust_domain=trust_domain, now=now, lost=self._lost(now))
        previous = await self._load_previous(now)
        if self._source is not None:
            kept = replacement(self.authority, self._source.authority, source.authority, now=now)
            if kept is not None and (previous is None or previous.replaced_by != kept.replaced_by):
                await keep_previous(api, release, kept)
                previous = await self._load_previous(now)
        self._source, self._previous = source, previous
        self._metrics.root_fault(present=False)
        self._fault = ""
        await self._put(in_force(source.authority, previous, now=now, timing=options.timing))

    async def _load_previous(self, now: datetime) -> Previous | None:
        options = self._options
        try:
            return await load_previous(self._api, options.release, trust_domain=options.trust_domain, now=now)
        except CertificateFault as fault:  # expired meanwhile: nothing that it signed is believed any more
            _log.warning("previous_root_unusable", reason=str(fault))
            return None

    def _lost(self, now: datetime) -> Authority | None:
        source = self._source
        usable = source is not None and source.self_made and source.authority.expires_at > now
        return source.authority if source is not None and usable else None

    async def _put(self, following: InForce) -> None:
        before = self._in_force
        if before is not None and _same(before.authority, following.authority):
            self._in_force = InForce(authority=before.authority, phase=following.phase, until=following.until)
            return
        self._in_force = following
        self._metrics.root(following.authority, self._clock.now)
        _log.info(
            "root_in_force",
            phase=following.phase.value,
            roots=len(following.authority.bundle.roots),
            expires=_expiry(following.authority),
        )
        async with self._changed:
            self._changed.notify_all()


def _same(one: Authority, other: Authority) -> bool:
    """Whether both sign as the same issuer and trust the same. Keys that were read twice are never equal objects."""
    return (one.certificate, one.intermediates, one.bundle) == (other.certificate, other.intermediates, other.bundle)


def _expiry(authority: Authority) -> str:
    return authority.expires_at.isoformat()
