"""The election against the API server: work that runs on one replica at a time, and stops before another begins."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from weft_kube.client import Api
from weft_kube.errors import ApiError, Conflict
from weft_kube.resource import LEASES
from weft_operator.leader.election import Election, Record, Step, Timing

RELEASE: Final = 2.0
"""Seconds that giving the Lease back may take at the end."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

Work = Callable[[], Awaitable[None]]
"""What only the leader does, until it is cancelled. Begun anew each time that this replica becomes the leader."""


class Leader:
    """A candidate for the Lease `name`.

    `identity` is unique among the replicas: the pod's name. `owners` gives the ownerReferences for a Lease that is made
    here, so that it goes with the release.
    """

    def __init__(
        self,
        api: Api,
        *,
        name: str,
        namespace: str,
        identity: str,
        owners: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
        timing: Timing | None = None,
    ) -> None:
        self._api = api
        self._name = name
        self._namespace = namespace
        self._identity = identity
        self._owners = owners
        self._timing = timing or Timing()
        self._election = Election(identity, self._timing)
        self._clock = asyncio.get_running_loop().time

    @property
    def leading(self) -> bool:
        """Whether this replica leads now."""
        return self._election.leading(self._clock())

    @property
    def holder(self) -> str:
        """Who leads, as far as this replica knows; empty for nobody."""
        return self._election.holder

    async def run(self, *works: Work) -> None:
        """Stand for election for ever, and do the works while leading. Raises what a work raises.

        Cancelled, it stops them and gives the Lease back, so that another replica need not wait for it to run out.
        """
        try:
            while True:
                await self._win()
                _log.info("leadership_gained", lease=self._name, identity=self._identity)
                await self._lead(works)
                _log.warning("leadership_lost", lease=self._name, holder=self.holder)
        finally:
            await self._release()

    async def _win(self) -> None:
        while True:
            if await self._try():
                return
            await asyncio.sleep(self._timing.retry)

    async def _lead(self, works: tuple[Work, ...]) -> None:
        """Returns once leadership is lost and the works have ended."""
        tasks = [asyncio.ensure_future(work()) for work in works]
        renewal = asyncio.ensure_future(self._renew())
        try:
            done, _ = await asyncio.wait([renewal, *tasks], return_when=asyncio.FIRST_COMPLETED)
            while not (renewal in done or any(not task.cancelled() and task.exception() for task in done)):
                # a work that has nothing left to do is no reason to stop the others
                rest = [task for task in tasks if not task.done()]
                done, _ = await asyncio.wait([renewal, *rest], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (renewal, *tasks):
                task.cancel()
            await asyncio.gather(renewal, *tasks, return_exceptions=True)
        for task in (renewal, *tasks):
            if not task.cancelled():
                task.result()

    async def _renew(self) -> None:
        """Renew until that has failed for too long, or somebody else has the Lease."""
        while True:
            await asyncio.sleep(self._timing.retry)
            if not await self._try() and not self.leading:
                return

    async def _try(self) -> bool:
        """Take or renew the Lease; False where somebody else holds it, or the API server cannot be asked in time."""
        patience = self._election.remaining(self._clock()) or self._timing.renew
        try:
            async with asyncio.timeout(patience):
                return await self._take()
        except Conflict:
            return False  # another candidate was faster; it is seen at the next try
        except (ApiError, TimeoutError) as fault:
            _log.warning("lease_unavailable", lease=self._name, reason=str(fault) or type(fault).__name__)
            return False

    async def _take(self) -> bool:
        there = await self._api.find(LEASES, self._name, self._namespace)
        asked_at = self._clock()
        if self._election.observe(Record.parse(there) if there else None, asked_at) is Step.WAIT:
            return False
        written = await self._write(there, self._election.claim(datetime.now(UTC)))
        self._election.won(Record.parse(written), self._clock(), asked_at)
        return True

    async def _write(self, there: Mapping[str, Any] | None, record: Record) -> dict[str, Any]:
        """Create or replace the Lease; Conflict where it has changed since `there` was read."""
        if there is None:
            metadata: dict[str, Any] = {"name": self._name, "namespace": self._namespace}
            if owners := self._owners():
                metadata["ownerReferences"] = [dict(owner) for owner in owners]
            body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": record.spec()}
            return await self._api.create(LEASES, body, self._namespace)
        return await self._api.replace(LEASES, self._name, {**there, "spec": record.spec()}, self._namespace)

    async def _release(self) -> None:
        if self._election.holder != self._identity:
            return
        self._election.resign()
        with suppress(ApiError, TimeoutError):
            async with asyncio.timeout(RELEASE):
                there = await self._api.find(LEASES, self._name, self._namespace)
                if there is None or Record.parse(there).holder != self._identity:
                    return
                await self._write(there, self._election.resignation(datetime.now(UTC)))
                _log.info("leadership_released", lease=self._name)
