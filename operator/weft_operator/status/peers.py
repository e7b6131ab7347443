"""Progress over all replicas: each knows its own proxies, and the one that writes status asks the others.

A replica that does not answer, or has not seen the generation, is `silent`: then nothing counts as programmed.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import aiohttp
import msgspec
import structlog

from weft_core.problems import ObjectRef
from weft_core.progress import Progress
from weft_core.registry import Registry
from weft_operator.status.replica import MOST, PATH, Answer, Local, Question, Told, address_of, ref_of

TIMEOUT: Final = 1.0
"""Seconds that a replica has to answer."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The progress of all objects that were asked for, over all replicas; and the objects that proxies refuse."""

    progress: Mapping[ObjectRef, Progress]
    refused: frozenset[ObjectRef]


class Peers:
    """All replicas: this one, and those at `addresses`, which are `HOST:PORT`. An async context manager."""

    def __init__(self, local: Local, addresses: Callable[[], Sequence[str]]) -> None:
        self._local = local
        self._addresses = addresses
        self._session: aiohttp.ClientSession | None = None
        self._silent: set[str] = set()
        """Addresses of which it was told that they do not answer: they are asked several times a second."""

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
        self._silent &= set(addresses)
        question = Question(objects=tuple(address_of(ref) for ref in tuple(generations)[:MOST]))
        answers = await asyncio.gather(*(self._ask(address, question) for address in addresses))
        # The own answer last: what the others have seen meanwhile, this replica has most likely seen as well.
        mine = {ref: self._local.progress(ref) for ref in map(ref_of, question.objects)}
        return tally(mine, generations, dict(zip(addresses, answers, strict=True)), refused=self._local.refused())

    async def _ask(self, address: str, question: Question) -> Answer | None:
        if self._session is None:
            raise AssertionError("use Peers as an async context manager")
        try:
            async with self._session.post(f"http://{address}{PATH}", data=msgspec.json.encode(question)) as response:
                response.raise_for_status()
                answer = msgspec.json.decode(await response.read(), type=Answer)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError) as error:
            if address not in self._silent:
                self._silent.add(address)
                _log.warning("peer_silent", address=address, error=str(error) or type(error).__name__)
            return None
        self._silent.discard(address)
        return answer


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
        told = {ref_of(each.object): each for each in answer.objects} if answer else {}
        everywhere |= {ref_of(address) for address in answer.refused} if answer else set()
        for ref in found:
            found[ref] += _of(replica, told.get(ref), generations[ref])
    return Tally(progress=found, refused=frozenset(everywhere))


def peer_addresses(registry: Registry, *, namespace: str, service: str, own: str, port: int) -> tuple[str, ...]:
    """The other ready replicas behind the control plane's own Service, as `HOST:PORT`; `own` is an address of this one.

    Each once: a dual-stack Service has a slice for each family, with the same pods in both.
    """
    pods: dict[str, list[str]] = {}
    for endpoint_slice in registry.endpoint_slices.rows("service", (namespace, service)):
        for endpoint in endpoint_slice.endpoints:
            if endpoint.conditions.ready is not False and endpoint.addresses:
                pod = endpoint.target_ref.name if endpoint.target_ref else endpoint.addresses[0]
                pods.setdefault(pod, []).extend(endpoint.addresses)
    hosts = (addresses[0] for addresses in pods.values() if own not in addresses)
    return tuple(sorted(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts))


def _of(replica: str, told: Told | None, generation: int) -> Progress:
    if told is None:
        return Progress(silent=(f"replica {replica} does not answer",))
    seen = () if told.generation >= generation else (f"replica {replica} has yet to see this generation",)
    return Progress(acknowledged=told.acknowledged, total=told.total, rejected=told.rejected, silent=seen)
