"""The writer of status: from what changes to the API server, at a rate that it is not troubled by.

Runs on the leader alone. A round begins when something has changed (an object, a finding, a proxy's answer) and looks
at the objects that it concerns. A write reads the object first and names the version that it has read, so that
another's conditions are kept and a newer generation is never described by an older one's status.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import msgspec
import structlog

from weft_core.model.kinds import MESH_KINDS
from weft_core.problems import ObjectRef
from weft_core.progress import Progress
from weft_kube.client import Api
from weft_kube.errors import ApiError, Conflict, NotFound, Unavailable
from weft_kube.resource import Resource
from weft_operator.ingest.report import Observations, Observed
from weft_operator.rate import Bucket
from weft_operator.status.conditions import (
    ACCEPTED,
    INVALID,
    PROGRAMMED,
    REJECTED,
    TYPES,
    Condition,
    conditions,
    validation_messages,
)
from weft_operator.status.findings import Findings, about, changed
from weft_operator.status.ledger import Ledger, Status
from weft_operator.status.peers import Tally

RATE: Final = 20.0
"""Writes a second, in the long run."""
BURST: Final = 40
GATHER: Final = 0.05
"""Seconds that a round waits for what comes along with its first change."""
PAUSE: Final = 0.2
"""Seconds between two rounds."""
PENDING: Final = 0.5
"""Seconds until another round while proxies elsewhere may have answered."""
IDLE: Final = 1.0
"""Seconds until another round for the sake of findings, which nobody announces."""
WARM_UP: Final = 5.0
"""Seconds after the first start in which proxies are still on their way back: that none is there says nothing yet."""
BACK_OFF: Final = 2.0
"""Seconds without a round after the API server could not be reached."""
REFUSALS: Final = 5.0
"""Seconds between two questions after what proxies refuse, where there is nothing else to ask."""
MOST: Final = 200
"""How many objects a round looks at for progress alone."""

MANAGER: Final = "weft-status"

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Recorder(Protocol):
    """Tells of what happened to an object, as a Kubernetes Event."""

    def record(self, resource: Resource, observed: Observed, *, reason: str, note: str) -> None:
        """Note an event. Must not block."""
        ...


class Finder(Protocol):
    """The findings of the views: a `findings.View`."""

    async def prepare(self) -> None:
        """Look at everything for the first time, in small steps."""
        ...

    def __call__(self) -> Findings:
        """All findings there are now."""
        ...


class _Meta(msgspec.Struct, frozen=True):
    name: str
    namespace: str = ""
    uid: str = ""


class _Item(msgspec.Struct, frozen=True):
    metadata: _Meta
    status: Any = None


class _Page(msgspec.Struct, frozen=True):
    items: list[_Item] = msgspec.field(default_factory=list)


_PAGE: Final = msgspec.json.Decoder(_Page)


class StatusWriter:
    """Keeps the status of every mesh object true while `run` runs.

    `findings` gives what the views find, `ask` the progress of objects at their generations, `served` where the cluster
    has a kind, None for nowhere; `answered` is to be called when a proxy has answered. Belongs to one event loop.
    """

    def __init__(
        self,
        api: Api,
        observations: Observations,
        findings: Finder,
        ask: Callable[[Mapping[ObjectRef, int]], Awaitable[Tally]],
        recorder: Recorder | None = None,
        *,
        served: Callable[[str], Resource | None],
        warm_up: float = WARM_UP,
    ) -> None:
        self._api = api
        self._observations = observations
        self._findings = findings
        self._ask = ask
        self._recorder = recorder
        self._served = served
        self._clock = asyncio.get_running_loop().time
        self._warm_up = warm_up
        self._warm_at: float | None = None
        self._bucket = Bucket(rate=RATE, burst=BURST)
        self._wake = asyncio.Event()
        self._ledger = Ledger()
        self._dirty: dict[ObjectRef, None] = {}
        self._pending: dict[ObjectRef, None] = {}
        self._refused: frozenset[ObjectRef] = frozenset()
        self._seen: Findings = {}
        self._looked_at = float("-inf")
        self._asked_at = float("-inf")

    def answered(self) -> None:
        """A proxy has answered: what is pending may be no longer."""
        if self._pending:
            self._wake.set()

    async def run(self) -> None:
        """Write until cancelled. What the API server does is logged, and tried again.

        It begins anew each time that this replica leads: what has gone meanwhile, nobody has told of.
        """
        self._dirty, self._pending, self._refused, self._seen = {}, {}, frozenset(), {}
        if self._warm_at is None:
            self._warm_at = self._clock() + self._warm_up
        unsubscribe = self._observations.subscribe(self._note)
        try:
            await self._findings.prepare()
            await self._through(self._load)
            for ref in dict(self._observations.items()):
                self._note(ref)
            while True:
                self._wake.clear()
                await self._through(self._round)
                await self._next()
        finally:
            unsubscribe()

    def _note(self, ref: ObjectRef) -> None:
        self._dirty.pop(ref, None)
        self._dirty[ref] = None  # the latest change last
        self._wake.set()

    async def _through(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do this, as often as it takes."""
        while True:
            try:
                await step()
            except ApiError as fault:
                _log.warning("status_delayed", reason=str(fault))
                await asyncio.sleep(BACK_OFF)
            else:
                return

    async def _next(self) -> None:
        """Wait until there is something to do."""
        await asyncio.sleep(PAUSE)
        if self._dirty:
            await asyncio.sleep(self._bucket.wait(self._clock()))
            return
        try:
            async with asyncio.timeout(PENDING if self._pending else IDLE):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(GATHER)

    # one round

    async def _load(self) -> None:
        """Read all statuses as they are."""
        self._ledger = Ledger()
        for kind in MESH_KINDS:
            if (resource := self._served(kind.kind)) is None:
                continue
            try:
                async with contextlib.aclosing(self._api.pages(resource)) as pages:
                    async for page in pages:
                        for item in _PAGE.decode(page).items:
                            ref = ObjectRef(kind=kind.kind, namespace=item.metadata.namespace, name=item.metadata.name)
                            self._ledger.learn(ref, _parsed(item))
            except NotFound:
                continue  # its definition has just been deleted

    async def _round(self) -> None:
        """Look at what may have changed, and write what has."""
        if self._dirty or self._clock() >= self._looked_at + IDLE:
            self._look()
        dirty, self._dirty = self._dirty, {}
        pending = tuple(self._pending)[:MOST]
        refs = tuple(dict.fromkeys((*reversed(dirty), *self._refused, *pending)))
        observed = [found for ref in refs if (found := self._observations.get(ref)) is not None]
        for ref in dirty.keys() - {each.ref for each in observed}:
            self._ledger.forget(ref)
            self._pending.pop(ref, None)
        try:
            await self._write_all(await self._wanted(observed))
        except BaseException:
            self._dirty = dict.fromkeys(reversed(refs)) | self._dirty  # none of it may count as seen to
            raise

    def _look(self) -> None:
        """Take in the findings. A proxy's answer alone is no reason to: it changes none."""
        findings = self._findings()
        for ref in changed(self._seen, findings):
            self._note(ref)
        self._seen = findings
        self._looked_at = self._clock()

    async def _wanted(self, objects: Iterable[Observed]) -> list[tuple[Observed, Status]]:
        """The statuses as they should be, in the order of `objects`."""
        found = list(objects)
        progress = await self._progress(found)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        cold = self._warm_at is None or self._clock() < self._warm_at
        wanted = []
        for each in found:
            problems = about(each, self._seen)
            mine = progress.get(each.ref)
            if mine is not None and mine.complete and not mine.total and cold:
                mine = None
            known = self._ledger.known(each)
            status = Status(
                uid=each.uid,
                conditions={c.type: c for c in conditions(each, problems, mine, known.conditions, now=now)},
                messages=validation_messages(problems),
            )
            self._follow(each, status)
            wanted.append((each, status))
        return wanted

    async def _progress(self, objects: list[Observed]) -> dict[ObjectRef, Progress]:
        """Ask all replicas about these, and now and then about what their proxies refuse."""
        found: dict[ObjectRef, Progress] = {}
        if not objects and self._clock() < self._asked_at + REFUSALS:
            return found
        for start in range(0, max(len(objects), 1), MOST):
            part = objects[start : start + MOST]
            answer = await self._ask({each.ref: each.generation for each in part})
            found |= answer.progress
            self._refused = answer.refused
        self._asked_at = self._clock()
        return found

    def _follow(self, observed: Observed, status: Status) -> None:
        """Look again at what is not programmed yet; what was looked at goes to the end of the queue."""
        self._pending.pop(observed.ref, None)
        if status.programmed_generation != observed.generation and not observed.rejected:
            self._pending[observed.ref] = None

    async def _write_all(self, wanted: list[tuple[Observed, Status]]) -> None:
        due, later = self._ledger.due(wanted, self._clock())
        for ref in later:
            self._dirty.setdefault(ref)
        for index, (observed, status) in enumerate(due):
            if not self._bucket.take(self._clock()):
                self._dirty = {each.ref: None for each, _ in reversed(due[index:])} | self._dirty
                return
            if not await self._write(observed, status):
                self._dirty.setdefault(observed.ref)

    async def _write(self, observed: Observed, status: Status) -> bool:
        """Write one status; False where somebody else was faster, so that it must be looked at again.

        Raises Unavailable. What the API server will never take is logged, and not tried again before it changes.
        """
        resource, ref = self._served(observed.kind), observed.ref
        if resource is None:
            return True  # ingest is about to tell that it is gone
        try:
            there = await self._api.get(resource, ref.name, ref.namespace)
            meta = there["metadata"]
            if meta.get("uid") != observed.uid or meta.get("generation", 0) != observed.generation:
                return True  # ingest is about to tell of a newer one
            body = _patch(there, observed, status)
            await self._api.patch(resource, ref.name, body, ref.namespace, subresource="status", field_manager=MANAGER)
        except NotFound:
            return True
        except Conflict:
            return False
        except Unavailable:
            raise
        except ApiError as fault:
            _log.error("status_refused", object=str(ref), reason=str(fault))
        else:
            self._record(resource, observed, self._ledger.known(observed), status)
        self._ledger.learn(ref, status, written=self._clock())
        return True

    def _record(self, resource: Resource, observed: Observed, before: Status, after: Status) -> None:
        """An Event for what was refused just now, by Weft or by Envoy."""
        if self._recorder is None:
            return
        for kind, reason, event in ((ACCEPTED, INVALID, "Invalid"), (PROGRAMMED, REJECTED, "RejectedByEnvoy")):
            old, new = before.conditions.get(kind), after.conditions[kind]
            if new.reason == reason and (old is None or (old.reason, old.message) != (new.reason, new.message)):
                self._recorder.record(resource, observed, reason=event, note=new.message)


def _parsed(item: _Item) -> Status:
    status = item.status if isinstance(item.status, dict) else {}
    found = map(Condition.parse, _objects(status.get("conditions")))
    return Status(
        uid=item.metadata.uid,
        conditions={condition.type: condition for condition in found if condition.type in TYPES},
        messages=_objects(status.get("validationMessages")),
    )


def _objects(value: object) -> list[dict[str, Any]]:
    """The objects of a list, as far as it is one. Other definitions of the kinds let anybody write anything there."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _patch(there: Mapping[str, Any], observed: Observed, status: Status) -> dict[str, Any]:
    """A merge patch of the status: Weft's own conditions replaced, all others kept as they were read."""
    current = there.get("status")
    conditions = _objects(current.get("conditions")) if isinstance(current, dict) else []
    others = [each for each in conditions if each.get("type") not in TYPES]
    return {
        "metadata": {"resourceVersion": there["metadata"]["resourceVersion"]},
        "status": {
            "observedGeneration": observed.generation,
            "conditions": [*others, *(condition.json() for condition in status.conditions.values())],
            "validationMessages": list(status.messages) or None,
        },
    }
