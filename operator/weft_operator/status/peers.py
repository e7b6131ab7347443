"""Progress over all replicas: each knows its own proxies, and the one that writes status asks the others.

`POST /progress` takes a list of objects and answers, for each, the generation that this replica has seen and how many
of its proxies have taken it; `GET /progress?object=KIND/NAMESPACE/NAME` is the same for people. Both also name the
objects of which a proxy here has refused something. A replica that does not answer, or has not seen the generation, is
`silent`: nothing counts as programmed on its account.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import aiohttp
import msgspec
import structlog
from aiohttp import web

from weft_core.problems import ObjectRef
from weft_core.progress import Progress
from weft_core.registry import Registry
from weft_operator.ingest.report import Observations

PATH: Final = "/progress"
TIMEOUT: Final = 1.0
"""Seconds that a replica has to answer."""
MOST: Final = 500
"""How many objects one request may ask about."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

Address = tuple[str, str, str]
"""Kind, namespace, name."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """The objects to tell about."""

    objects: tuple[Address, ...] = ()


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One object at one replica. `generation` is 0 where the replica does not know the object."""

    object: Address
    generation: int = 0
    acknowledged: int = 0
    total: int = 0
    rejected: tuple[tuple[str, str], ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked about, and all objects of which some proxy of the replica has refused the newest version."""

    objects: tuple[Told, ...] = ()
    refused: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """What this replica can say, once it is `ready`. `progress` and `refused` are the fan-out's."""

    observations: Observations
    progress: Callable[[ObjectRef], Progress]
    refused: Callable[[], Iterable[ObjectRef]]
    ready: Callable[[], bool]

    def answer(self, question: Question) -> Answer:
        """The answer to a question from elsewhere."""
        return Answer(
            objects=tuple(self._told(address) for address in question.objects),
            refused=tuple(sorted({_address(ref) for ref in self.refused()})),
        )

    def _told(self, address: Address) -> Told:
        ref = _ref(address)
        observed = self.observations.get(ref)
        found = self.progress(ref)
        return Told(
            object=address,
            generation=observed.generation if observed else 0,
            acknowledged=found.acknowledged,
            total=found.total,
            rejected=found.rejected,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The progress of all objects that were asked for, over all replicas; and the objects that proxies refuse."""

    progress: Mapping[ObjectRef, Progress]
    refused: frozenset[ObjectRef]


def handler(local: Local) -> Callable[[web.Request], Awaitable[web.Response]]:
    """An aiohttp handler of GET and POST."""

    async def handle(request: web.Request) -> web.Response:
        if not local.ready():
            return web.Response(status=503, text="this replica has yet to read what there is\n")
        try:
            question = await _question(request)
        except (msgspec.MsgspecError, ValueError) as error:
            return web.Response(status=400, text=f"{error}\n")
        if len(question.objects) > MOST:
            return web.Response(status=413, text=f"one question is about {MOST} objects at most\n")
        return web.Response(body=msgspec.json.encode(local.answer(question)), content_type="application/json")

    return handle


class Peers:
    """All replicas: this one, and those at `addresses`, which are `HOST:PORT`. An async context manager."""

    def __init__(self, local: Local, addresses: Callable[[], Sequence[str]]) -> None:
        self._local = local
        self._addresses = addresses
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, generations: Mapping[ObjectRef, int]) -> Tally:
        """The progress of objects at these generations. Never raises for what a peer does."""
        addresses = self._addresses()
        question = Question(objects=tuple(_address(ref) for ref in tuple(generations)[:MOST]))
        answers = await asyncio.gather(*(self._ask(address, question) for address in addresses))
        # The own answer last: what the others have seen meanwhile, this replica has most likely seen as well.
        mine = {ref: self._local.progress(ref) for ref in map(_ref, question.objects)}
        return tally(mine, generations, dict(zip(addresses, answers, strict=True)), refused=self._local.refused())

    async def _ask(self, address: str, question: Question) -> Answer | None:
        if self._session is None:
            raise AssertionError("use Peers as an async context manager")
        try:
            async with self._session.post(f"http://{address}{PATH}", data=msgspec.json.encode(question)) as response:
                response.raise_for_status()
                return msgspec.json.decode(await response.read(), type=Answer)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError) as error:
            _log.warning("peer_silent", address=address, error=str(error) or type(error).__name__)
            return None


def tally(
    mine: Mapping[ObjectRef, Progress],
    generations: Mapping[ObjectRef, int],
    answers: Mapping[str, Answer | None],
    *,
    refused: Iterable[ObjectRef] = (),
) -> Tally:
    """Add up what the replicas say; `answers` are the others', None where one has not answered."""
    found = dict(mine)
    everywhere = set(refused)
    for replica, answer in answers.items():
        told = {_ref(each.object): each for each in answer.objects} if answer else {}
        everywhere |= {_ref(address) for address in answer.refused} if answer else set()
        for ref in found:
            found[ref] += _of(replica, told.get(ref), generations[ref])
    return Tally(progress=found, refused=frozenset(everywhere))


def peer_addresses(registry: Registry, *, namespace: str, service: str, own: str, port: int) -> tuple[str, ...]:
    """The other ready replicas behind the control plane's own Service, as `HOST:PORT`; `own` is this one's pod.

    Each once: a dual-stack Service has a slice for each family, with the same pods in both.
    """
    found: dict[str, str] = {}
    for endpoint_slice in registry.endpoint_slices.rows("service", (namespace, service)):
        for endpoint in endpoint_slice.endpoints:
            if endpoint.conditions.ready is not False and endpoint.addresses:
                pod = endpoint.target_ref.name if endpoint.target_ref else endpoint.addresses[0]
                found.setdefault(pod, endpoint.addresses[0])
    found.pop(own, None)
    return tuple(sorted(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in found.values()))


def _of(replica: str, told: Told | None, generation: int) -> Progress:
    if told is None:
        return Progress(silent=(f"replica {replica} does not answer",))
    seen = () if told.generation >= generation else (f"replica {replica} has yet to see this generation",)
    return Progress(acknowledged=told.acknowledged, total=told.total, rejected=told.rejected, silent=seen)


async def _question(request: web.Request) -> Question:
    if request.method == "POST":
        return msgspec.json.decode(await request.read(), type=Question)
    return Question(objects=tuple(_parsed(text) for text in request.query.getall("object", [])))


def _parsed(text: str) -> Address:
    parts = text.split("/")
    if len(parts) != 3:
        raise ValueError(f"object={text[:100]} is not KIND/NAMESPACE/NAME")
    return parts[0], parts[1], parts[2]


def _address(ref: ObjectRef) -> Address:
    return ref.kind, ref.namespace, ref.name


def _ref(address: Address) -> ObjectRef:
    kind, namespace, name = address
    return ObjectRef(kind=kind, namespace=namespace, name=name)
