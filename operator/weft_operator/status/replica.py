"""What one replica tells of its own proxies, over HTTP: how far objects have come, and what is refused.

`POST /progress` takes a list of objects and answers, for each, the generation that this replica has seen and how many
of its proxies have taken it; `GET /progress?object=KIND/NAMESPACE/NAME` is the same for people. Both also name the
objects of which a proxy here has refused something.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec
from aiohttp import web

from weft_core.problems import ObjectRef
from weft_core.progress import Progress
from weft_operator.ingest.report import Observations

PATH: Final = "/progress"
MOST: Final = 500
"""How many objects one request may ask about."""

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
            refused=tuple(sorted({address_of(ref) for ref in self.refused()})),
        )

    def _told(self, address: Address) -> Told:
        ref = ref_of(address)
        observed = self.observations.get(ref)
        found = self.progress(ref)
        return Told(
            object=address,
            generation=observed.generation if observed else 0,
            acknowledged=found.acknowledged,
            total=found.total,
            rejected=found.rejected,
        )


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


async def _question(request: web.Request) -> Question:
    if request.method == "POST":
        return msgspec.json.decode(await request.read(), type=Question)
    return Question(objects=tuple(_parsed(text) for text in request.query.getall("object", [])))


def _parsed(text: str) -> Address:
    parts = text.split("/")
    if len(parts) != 3:
        raise ValueError(f"object={text[:100]} is not KIND/NAMESPACE/NAME")
    return parts[0], parts[1], parts[2]


def address_of(ref: ObjectRef) -> Address:
    """An object as it is written in questions."""
    return ref.kind, ref.namespace, ref.name


def ref_of(address: Address) -> ObjectRef:
    """An object as it is read from answers."""
    kind, namespace, name = address
    return ObjectRef(kind=kind, namespace=namespace, name=name)
