"""The recorder: takes note of what happened at once, and tells the API server when it can."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import structlog

from weft_kube.client import Api
from weft_kube.errors import AlreadyExists, ApiError, NotFound
from weft_kube.resource import EVENTS, Resource
from weft_operator.events.series import Happening, Series, repetition
from weft_operator.ingest.report import Observed
from weft_operator.rate import Bucket

WAITING: Final = 256
"""Events that wait to be written; what comes beyond is dropped. They are a courtesy: the status says the same."""
RATE: Final = 2.0
BURST: Final = 25

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class EventRecorder:
    """Writes Events while `run` runs. `instance` is this replica's name."""

    def __init__(self, api: Api, *, instance: str) -> None:
        self._api = api
        self._instance = instance
        self._clock = asyncio.get_running_loop().time
        self._series = Series()
        self._bucket = Bucket(rate=RATE, burst=BURST)
        self._waiting: asyncio.Queue[tuple[Happening, int]] = asyncio.Queue(WAITING)

    def record(self, resource: Resource, observed: Observed, *, reason: str, note: str) -> None:
        """Note what happened to one of the mesh's objects."""
        self.happened(
            Happening(
                resource=resource,
                namespace=observed.namespace,
                name=observed.name,
                uid=observed.uid,
                reason=reason,
                note=note,
                action="Programming",
            )
        )

    def happened(self, happening: Happening) -> None:
        """Note that something happened. Never blocks; too much at once is dropped."""
        count = self._series.count(happening, self._clock())
        if count and not self._waiting.full():
            self._waiting.put_nowait((happening, count))

    async def run(self) -> None:
        """Write what is noted, until cancelled. What is left then is for another replica to find, and to tell."""
        try:
            while True:
                await self._tell(*await self._waiting.get())
        finally:
            while not self._waiting.empty():
                self._waiting.get_nowait()

    async def _tell(self, happening: Happening, count: int) -> None:
        now = self._clock()
        if not self._bucket.take(now):
            await asyncio.sleep(self._bucket.wait(now))
            self._bucket.take(self._clock())
        try:
            await self._write(happening, count)
        except ApiError as fault:
            _log.warning("event_lost", object=f"{happening.namespace}/{happening.name}", reason=str(fault))

    async def _write(self, happening: Happening, count: int) -> None:
        wall = datetime.now(UTC)
        body = happening.body(self._instance, wall)
        namespace = body["metadata"]["namespace"]
        if count > 1:
            try:
                await self._api.patch(EVENTS, happening.event_name, repetition(count, wall), namespace)
            except NotFound:  # forgotten by the API server since
                await self._api.create(EVENTS, body, namespace)
            return
        try:
            await self._api.create(EVENTS, body, namespace)
        except AlreadyExists:
            return  # noted before a restart, or by the replica that led before
