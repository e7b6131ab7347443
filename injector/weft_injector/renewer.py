"""Keeps the leafs of registered workloads fresh: signs anew at half of each one's life, and says so.

One task per workload, in the caller's TaskGroup. Signing and writing happen in threads; the event loop only
waits. A renewal that fails leaves the old leaf in force and is tried again until it works, or the workload is
gone.
"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from weft_core.spiffe import SpiffeId
from weft_injector.ca.authority import Authority
from weft_injector.ca.bundle import TrustBundle
from weft_injector.ca.leaf import Leaf
from weft_injector.renewal import RenewalPolicy

_log = structlog.stdlib.get_logger(__name__)

LONGEST_NAP = timedelta(seconds=30)
"""Timers stand still while a laptop sleeps, certificates do not: look at the wall clock at least this often."""


class Clock(Protocol):
    """The wall clock, and waiting by it."""

    def now(self) -> datetime:
        """The time, aware of its zone."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clock and asyncio's timers."""

    def now(self) -> datetime:
        """The time in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait on the running event loop."""
        await asyncio.sleep(seconds)


class Destination(Protocol):
    """Where a workload's leaf goes, for instance `files.CredentialFolder`. Called in a thread, so it may block."""

    def deliver(self, leaf: Leaf, bundle: TrustBundle) -> None:
        """Put both in force at once. Whatever it raises counts as a failed renewal and is tried again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Whose leaf is kept fresh, and where it goes."""

    name: str
    """Unique within a renewer; the label of its log events and of its metric."""
    identity: SpiffeId
    dns_names: tuple[str, ...] = ()
    destination: Destination


@dataclass(slots=True)
class _Entry:
    """A registered workload, its leaf in force and the task that renews it."""

    workload: Workload
    leaf: Leaf
    task: asyncio.Task[None] | None = None
    replaced: asyncio.Event = field(default_factory=asyncio.Event)


class Renewer:
    """The renewing tasks of one process. Belongs to one event loop.

    Registered workloads keep `tasks` busy for ever; `close` lets the group end.
    """

    def __init__(
        self,
        *,
        tasks: asyncio.TaskGroup,
        authority: Authority,
        bundle: TrustBundle | None = None,
        policy: RenewalPolicy = RenewalPolicy(),  # noqa: B008 - frozen
        clock: Clock | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self._tasks = tasks
        self._authority = authority
        self._bundle = bundle or authority.bundle
        self._policy = policy
        self._clock = clock or SystemClock()
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._entries: dict[str, _Entry] = {}

    async def register(self, workload: Workload) -> Leaf:
        """Issue and deliver the first leaf, then keep it fresh. When this returns, the proxy can be started.

        Raises what signing or delivering raised, and ValueError for a name that is registered already.
        """
        if workload.name in self._entries:
            raise ValueError(f"{workload.name} is registered already")
        signer = self._authority, self._bundle
        entry = _Entry(workload=workload, leaf=await self._issue(workload))
        if self._entries.setdefault(workload.name, entry) is not entry:
            raise ValueError(f"{workload.name} is registered already")
        if signer != (self._authority, self._bundle):
            entry.replaced.set()  # replaced while the leaf was being signed
        _log.info("certificate_issued", **_fields(entry))
        entry.task = self._tasks.create_task(self._keep_fresh(entry), name=f"renew {workload.name}")
        return entry.leaf

    def unregister(self, name: str) -> None:
        """Stop renewing. What was delivered stays where it is; an unknown name is none of our business."""
        if (entry := self._entries.pop(name, None)) and entry.task:
            entry.task.cancel()

    def close(self) -> None:
        """Stop renewing everything."""
        for name in tuple(self._entries):
            self.unregister(name)

    def replace(self, authority: Authority, bundle: TrustBundle) -> None:
        """Sign with another authority, or trust other roots, from now on: every leaf is renewed at once.

        For replacing a root call this three times, see `ca.bundle`.
        """
        self._authority, self._bundle = authority, bundle
        for entry in self._entries.values():
            entry.replaced.set()

    def expiries(self) -> Mapping[str, datetime]:
        """When each workload's leaf in force expires, for metrics."""
        return {name: entry.leaf.not_after for name, entry in self._entries.items()}

    async def _issue(self, workload: Workload) -> Leaf:
        """Sign and deliver, in a thread."""
        authority, bundle, now, lifetime = (
            self._authority,
            self._bundle,
            self._clock.now(),
            self._policy.lifetime,
        )

        def sign_and_deliver() -> Leaf:
            leaf = authority.issue(workload.identity, now=now, lifetime=lifetime, dns_names=workload.dns_names)
            workload.destination.deliver(leaf, bundle)
            return leaf

        return await asyncio.to_thread(sign_and_deliver)

    async def _keep_fresh(self, entry: _Entry) -> None:
        """Renew one workload's leaf for ever."""
        while True:
            await self._wait_until(self._policy.due_at(entry.leaf, self._chance.random()), entry.replaced)
            await self._renew(entry)

    async def _renew(self, entry: _Entry) -> None:
        """Try until it works."""
        failures = 0
        while True:
            entry.replaced.clear()
            try:
                entry.leaf = await self._issue(entry.workload)
            except Exception as error:  # a destination may raise anything; the old leaf serves meanwhile
                failures += 1
                now = self._clock.now()
                left = entry.leaf.not_after - now
                wait = self._policy.retry_after(failures, left=left)
                report = _log.warning if left > timedelta() else _log.error
                report(
                    "certificate_renewal_failed",
                    error=str(error) or type(error).__name__,
                    failures=failures,
                    retry_in_seconds=round(wait.total_seconds(), 3),
                    expired=left <= timedelta(),
                    **_fields(entry),
                )
                await self._wait_until(now + wait, entry.replaced)
            else:
                _log.info("certificate_renewed", failures=failures, **_fields(entry))
                return

    async def _wait_until(self, due: datetime, replaced: asyncio.Event) -> None:
        """Until the wall clock shows `due`, or the authority is replaced."""
        woken = asyncio.ensure_future(replaced.wait())
        try:
            while not woken.done() and (left := due - self._clock.now()) > timedelta():
                nap = asyncio.ensure_future(self._clock.sleep(min(left, LONGEST_NAP).total_seconds()))
                try:
                    await asyncio.wait({nap, woken}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    nap.cancel()
        finally:
            woken.cancel()


def _fields(entry: _Entry) -> dict[str, str]:
    """What each event says about the certificate."""
    return {
        "workload": entry.workload.name,
        "identity": str(entry.workload.identity),
        "serial": f"{entry.leaf.serial:x}",
        "expires": entry.leaf.not_after.isoformat(),
    }
