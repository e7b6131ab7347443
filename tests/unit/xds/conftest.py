"""A catalog over a table, for tests of what serves it: sections per proxy, resources that are written by hand."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import pytest
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse, Resource

from weft_core.graph import Graph, Table, query
from weft_core.problems import ObjectRef
from weft_core.proxy import ProxyId, ProxyKind
from weft_xds.catalog import Catalog
from weft_xds.delta import Session
from weft_xds.fanout import Fanout
from weft_xds.frames import Frame
from weft_xds.quarantine import Quarantine, Rejection
from weft_xds.wire import Request


@dataclass(frozen=True, slots=True, order=True)
class Section:
    type_url: str
    owner: str


@dataclass(frozen=True, slots=True, order=True)
class Key:
    type_url: str
    name: str
    owner: str
    last: bool = False


class World:
    """The graph, its two tables, and the fan-out over them. A resource belongs to one section, a content is a text."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.contents: Table[Key, str] = Table(self.graph, "contents")
        self.sections: Table[Section, tuple[Key, ...]] = Table(self.graph, "sections")
        self.proxies: Table[ProxyId, tuple[Section, ...]] = Table(self.graph, "proxies")
        self.origin_kind = "VirtualService"
        """The kind of object that resources are made from; its name is the resource's."""
        self.faults: Table[str, str] = Table(self.graph, "faults")
        """Queries that raise, by name."""
        self.rejections: list[Rejection] = []
        self.failures: list[tuple[object, Exception]] = []
        self.quarantine = Quarantine(self.rejections.append)
        self.fanout = Fanout(self.graph, self._catalog(), self.quarantine, failed=self._failed)

    def proxy(self, name: str, *sections: Section) -> ProxyId:
        """Give a proxy its sections."""
        proxy = ProxyId(ProxyKind.SIDECAR, "shop", name)
        self.proxies.put(proxy, sections)
        return proxy

    def put(self, section: Section, name: str, content: str, *, last: bool = False) -> Key:
        """Write a resource into a section; the content `fails` makes its query raise."""
        key = Key(section.type_url, name, section.owner, last)
        self.contents.put(key, content)
        self.sections.put(section, tuple(sorted({*(self.sections.peek(section) or ()), key})))
        return key

    def remove(self, section: Section, name: str) -> None:
        """Take a resource out of its section, and its content away."""
        keys = self.sections.peek(section) or ()
        self.sections.put(section, tuple(key for key in keys if key.name != name))
        for key in keys:
            if key.name == name:
                self.contents.put(key, None)

    def commit(self) -> None:
        """Make what was written known."""
        self.fanout.commit()

    def _failed(self, key: object, error: Exception) -> None:
        self.failures.append((key, error))

    def _catalog(self) -> Catalog[Section, Key]:
        contents, sections, proxies, faults = self.contents, self.sections, self.proxies, self.faults

        def check(name: str) -> None:
            if faults.get(name):
                raise ValueError(name)

        @query
        def proxy_sections(_db: Graph, proxy: ProxyId) -> tuple[Section, ...]:
            check("proxy_sections")
            return proxies.get(proxy) or ()

        @query
        def section(_db: Graph, key: Section) -> tuple[Key, ...]:
            check("section")
            return sections.get(key) or ()

        @query
        def frame(_db: Graph, key: Key) -> Frame | None:
            content = contents.get(key)
            if content == "fails":
                raise ValueError(key.name)
            return None if content is None else _frame(key, content, self.origin_kind)

        return Catalog(proxy_sections=proxy_sections, section=section, frame=frame)


def _frame(key: Key, content: str, kind: str) -> Frame:
    origin = ObjectRef(kind=kind, namespace="shop", name=key.name)
    resource = Resource(name=key.name, version=content)
    return Frame(key.name, content, DeltaDiscoveryResponse(resources=[resource]).SerializeToString(), (origin,))


@pytest.fixture
def world() -> World:
    """An empty world."""
    return World()


@pytest.fixture
def section() -> Callable[[str, str], Section]:
    """Names a section by type and owner."""
    return Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response as a proxy reads it: versions by name, names removed."""

    type_url: str
    nonce: str
    added: dict[str, str]
    removed: tuple[str, ...]


class Proxy:
    """A stream without a transport: requests go into its session by hand, responses are taken out by hand."""

    def __init__(self, world: World, proxy: ProxyId) -> None:
        self.world = world
        self.proxy = proxy
        self.now = 0.0
        self.connect()

    def connect(self) -> None:
        """Open a (new) stream."""
        self.session = Session(self.world.fanout.join(self.proxy, self))

    def disconnect(self) -> None:
        """End the stream."""
        self.world.fanout.leave(self.proxy, self)

    def mark(self, marks: Mapping[str, Collection[str]]) -> None:
        """From the fan-out to the session."""
        for type_url, names in marks.items():
            self.session.mark(type_url, names)

    def acknowledged(self, type_url: str, name: str, version: str) -> bool:
        """From the fan-out to the session."""
        subscription = self.session.subscription(type_url)
        return subscription is not None and subscription.acknowledged(name, version)

    def has(self, type_url: str, name: str, version: str) -> bool:
        """From the fan-out to the session."""
        return self.session.has(type_url, name, version)

    def settled(self) -> bool:
        """From the fan-out to the session."""
        return self.session.complete and self.session.settled

    def ask(
        self,
        type_url: str,
        *names: str,
        without: tuple[str, ...] = (),
        held: Mapping[str, str] | None = None,
    ) -> list[Answer]:
        """Subscribe; returns what comes."""
        self.session.receive(Request(type_url=type_url, subscribe=names, unsubscribe=without, held=held or {}))
        return self.take()

    def take(self) -> list[Answer]:
        """All responses that may go now, none of them answered."""
        answers = []
        while (response := self.session.poll(self.now)) is not None:
            message = DeltaDiscoveryResponse.FromString(b"".join(response.bodies))
            added = {resource.name: resource.version for resource in message.resources}
            assert len(added) == len(message.resources) == response.resources
            answers.append(
                Answer(type_url=response.type_url, nonce=response.nonce, added=added, removed=response.removed)
            )
        return answers

    def ack(self, *answers: Answer) -> list[Answer]:
        """ACK; returns what comes then."""
        for answer in answers:
            assert self.session.receive(Request(type_url=answer.type_url, nonce=answer.nonce, held={}))
        return self.take()

    def nack(self, answer: Answer, message: str) -> list[Answer]:
        """Refuse; returns what comes then."""
        request = Request(type_url=answer.type_url, nonce=answer.nonce, error=message, held={})
        assert self.session.receive(request)
        return self.take()

    def settle(self, answers: list[Answer]) -> list[Answer]:
        """ACK everything until nothing more comes; all responses in order."""
        seen = []
        while answers:
            seen += answers
            answers = self.ack(*answers)
        return seen


@pytest.fixture
def connect(world: World) -> Callable[..., Proxy]:
    """Connects a proxy of the world: its name, and the sections that it has."""

    def make(name: str, *sections: Section) -> Proxy:
        return Proxy(world, world.proxy(name, *sections))

    return make
