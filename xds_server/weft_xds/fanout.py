"""From changes in the query graph to the streams that they concern, and to no others.

The fan-out observes the sections of connected proxies and the frames in them. A commit yields the nodes that changed;
each leads over its sections to proxies, whose streams learn the (type, name) to look at again. What no connected proxy
needs any more is released, so the graph forgets it too.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from weft_core.graph import Failure, Graph, Node
from weft_core.problems import ObjectRef
from weft_core.progress import Progress
from weft_core.proxy import ProxyId
from weft_xds.catalog import Catalog, ResourceKey, SectionKey
from weft_xds.frames import Frame
from weft_xds.programmed import Origins, progress
from weft_xds.quarantine import Quarantine, Rejection
from weft_xds.sections import Entry, Section
from weft_xds.types import PUSH_ORDER
from weft_xds.view import ALL, HELD, Full, Held

Marks = Mapping[str, Collection[str]]
"""Names by type."""


class Subscriber(Protocol):
    """A stream, as the fan-out sees it."""

    def mark(self, marks: Marks) -> None:
        """Look at these resources again, soon."""
        ...

    def acknowledged(self, type_url: str, name: str, version: str) -> bool:
        """Whether the proxy has ACKed this version and has it still."""
        ...

    def has(self, type_url: str, name: str, version: str) -> bool:
        """As `acknowledged`; or the proxy has everything that it wants, and does not want this."""
        ...

    def settled(self) -> bool:
        """Whether the proxy has ACKed all there is for it."""
        ...


class ProxyView:
    """What one proxy should have; its streams (two, for the moment of a reconnect) share it. A `view.View`."""

    def __init__(self, fanout: "Fanout", proxy: ProxyId, node: Node) -> None:
        self._fanout = fanout
        self.proxy = proxy
        self.node = node
        self.known = True
        self.sections: dict[SectionKey, Section] = {}
        self.by_type: dict[str, list[Section]] = {}
        self.subscribers: dict[Subscriber, None] = {}

    def full(self, type_url: str) -> Sequence[Full]:
        """The proxy's sections of a type, whole."""
        return [section.full() for section in self.by_type.get(type_url, ())]

    def frame(self, type_url: str, name: str) -> Frame | Held | None:
        """What the proxy should have under this name; HELD where that cannot be told."""
        sections = self.by_type.get(type_url, ())
        for section in sections:
            entry = section.entries.get(name)
            if entry is not None:
                return entry.shown
        return None if self.known and all(section.known for section in sections) else HELD

    def last(self, type_url: str) -> Collection[str]:
        """Names that are sent only once the proxy has everything else."""
        return [name for section in self.by_type.get(type_url, ()) for name in section.last]

    def has(self, type_url: str, name: str, version: str) -> bool:
        """Whether the proxy has taken this version, or wants none."""
        return any(subscriber.has(type_url, name, version) for subscriber in self.subscribers)

    def settled(self) -> bool:
        """Whether the proxy has taken all there is for it."""
        return any(subscriber.settled() for subscriber in self.subscribers)

    def reject(self, type_url: str, name: str, version: str, message: str) -> None:
        """Hold this version back, here and everywhere."""
        self._fanout.reject(self, type_url, name, version, message)

    def rejected(self, type_url: str, name: str, version: str) -> bool:
        """Whether a proxy has refused this version."""
        return self._fanout.quarantine.get(type_url, name, version) is not None

    def arrange(self, sections: Iterable[Section]) -> None:
        """Take these as the proxy's sections."""
        self.sections = {section.key: section for section in sections}
        self.by_type = {}
        for key, section in self.sections.items():
            self.by_type.setdefault(key.type_url, []).append(section)


class Fanout:
    """All connected proxies over one catalog.

    `failed` is told of the catalog's queries that raise, with the key that they raised for: what they gave before
    stays in force. `answered` is called whenever an answer, or a proxy that leaves, may have changed some `progress`:
    often, so it should only make a note. Belongs to the graph's event loop; nothing here awaits.
    """

    def __init__(
        self,
        graph: Graph,
        catalog: Catalog[Any, Any],
        quarantine: Quarantine,
        *,
        failed: Callable[[object, Exception], None],
    ) -> None:
        self.quarantine = quarantine
        self.answered: Callable[[], None] = _ignore
        self._origins = Origins()
        self._graph = graph
        self._catalog = catalog
        self._failed = failed
        self._views: dict[ProxyId, ProxyView] = {}
        self._sections: dict[SectionKey, Section] = {}
        self._entries: dict[ResourceKey, Entry] = {}
        self._owners: dict[Node, ProxyView | Section | Entry] = {}
        self._marks: defaultdict[ProxyView, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._scheduled = False

    # proxies

    def join(self, proxy: ProxyId, subscriber: Subscriber) -> ProxyView:
        """Connect a stream of `proxy`: its resources are kept up to date from now on.

        Commits first: reading the graph between a write and its commit would take the change from other streams.
        """
        self.commit()
        view = self._views.get(proxy)
        if view is None:
            node = self._graph.observe(self._catalog.proxy_sections, proxy)
            view = self._views[proxy] = ProxyView(self, proxy, node)
            self._owners[node] = view
            self._refresh_view(view)
            self._marks.pop(view, None)
        view.subscribers[subscriber] = None
        return view

    def leave(self, proxy: ProxyId, subscriber: Subscriber) -> None:
        """Disconnect a stream; what only its proxy needed is released."""
        view = self._views[proxy]
        del view.subscribers[subscriber]
        if view.subscribers:
            return
        del self._views[proxy]
        for section in view.sections.values():
            self._drop_section(section, view)
        self._release(view.node)
        self._marks.pop(view, None)
        self.answered()

    # changes

    def schedule(self) -> None:
        """Commit at the end of this turn of the event loop, once for all writes in it."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.commit)

    def commit(self) -> None:
        """Bring all that is observed up to date, and mark what has changed in the streams that it concerns."""
        self._scheduled = False
        for node in self._graph.commit():
            owner = self._owners.get(node)
            if isinstance(owner, Entry):
                self._refresh_entry(owner)
            elif isinstance(owner, Section):
                self._refresh_section(owner)
            elif owner is not None:
                self._refresh_view(owner)
        self._deliver()

    def _refresh_view(self, view: ProxyView) -> None:
        keys = self._value(view.node, view.proxy)
        if isinstance(keys, Failure):
            view.known = bool(view.sections)
            return
        if not view.known:
            view.known = True
            for type_url in PUSH_ORDER:
                self._marks[view][type_url].add(ALL)
        old = view.sections
        view.arrange([old.get(key) or self._add_section(key, view) for key in keys])
        for key, section in view.sections.items():
            if key not in old:
                self._marks[view][key.type_url].update(section.entries)
        for key, section in old.items():
            if key not in view.sections:
                self._marks[view][key.type_url].update(section.entries)
                self._drop_section(section, view)

    def _refresh_section(self, section: Section) -> None:
        keys = self._value(section.node, section.key)
        if isinstance(keys, Failure):
            section.known = bool(section.entries)
            return
        touched = set() if section.known else {ALL}
        section.known = True
        old, section.entries = section.entries, {}
        for key in keys:
            entry = predecessor = old.get(key.name)
            if entry is None or entry.key != key:
                entry = self._add_entry(key, section, predecessor)
                touched.add(key.name)
            section.entries[key.name] = entry
        for name, entry in old.items():
            if section.entries.get(name) is not entry:
                self._drop_entry(entry, section)
                touched.add(name)
        section.last = tuple(name for name, entry in section.entries.items() if entry.key.last)
        self._mark(section, touched)

    def _refresh_entry(self, entry: Entry) -> None:
        value = self._value(entry.node, entry.key)
        if isinstance(value, Failure):
            return
        if isinstance(entry.shown, Frame) and self._proven(entry, entry.shown):
            entry.good = entry.shown
        self._origins.move(entry, entry.current, value)
        entry.previous, entry.current = entry.current, value
        if entry.choose(self.quarantine):
            for section in entry.sections:
                self._mark(section, (entry.key.name,))

    def _value(self, node: Node, key: object) -> Any:
        if isinstance(node.value, Failure):
            self._failed(key, node.value.error)
        return node.value

    # sections and entries

    def _add_section(self, key: SectionKey, view: ProxyView) -> Section:
        section = self._sections.get(key)
        if section is None:
            section = self._sections[key] = Section(key, self._graph.observe(self._catalog.section, key))
            self._owners[section.node] = section
            self._refresh_section(section)
        section.views[view] = None
        return section

    def _drop_section(self, section: Section, view: ProxyView) -> None:
        del section.views[view]
        if section.views:
            return
        del self._sections[section.key]
        for entry in section.entries.values():
            self._drop_entry(entry, section)
        self._release(section.node)

    def _add_entry(self, key: ResourceKey, section: Section, predecessor: Entry | None) -> Entry:
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = Entry(key, self._graph.observe(self._catalog.frame, key))
            entry.good = self.quarantine.kept(key) or (predecessor.good if predecessor else None)
            self._owners[entry.node] = entry
            self._refresh_entry(entry)
        entry.sections[section] = None
        return entry

    def _drop_entry(self, entry: Entry, section: Section) -> None:
        del entry.sections[section]
        if not entry.sections:
            if entry.good is not None and entry.shown is entry.good and entry.current is not entry.good:
                self.quarantine.keep(entry.key, entry.good)
            self._origins.move(entry, entry.current, None)
            del self._entries[entry.key]
            self._release(entry.node)

    def _release(self, node: Node) -> None:
        del self._owners[node]
        self._graph.release(node)

    # progress

    def progress(self, origin: ObjectRef) -> Progress:
        """How many of the connected proxies that have something made from this object have taken it as it is now.

        Commits first: what has just been written is not under way yet, and would pass for taken.
        """
        self.commit()
        return progress(origin, self._origins.of(origin), self.quarantine)

    # refusals

    def reject(self, view: ProxyView, type_url: str, name: str, version: str, message: str) -> None:
        """Hold a version back after `view`'s proxy has refused it, and show the last good one instead."""
        refused = [
            entry for section in view.by_type.get(type_url, ()) if (entry := section.entries.get(name)) is not None
        ]
        origins = tuple(
            origin
            for entry in refused
            for frame in (entry.current, entry.previous)
            if frame is not None and frame.version == version
            for origin in frame.origins
        )
        self.quarantine.add(
            Rejection(type_url=type_url, name=name, version=version, message=message, origins=origins, proxy=view.proxy)
        )
        for entry in refused:
            if entry.previous is not None and self._proven(entry, entry.previous):
                entry.good = entry.previous
            if entry.choose(self.quarantine):
                for section in entry.sections:
                    self._mark(section, (name,))
        self._deliver()

    def rejections(self) -> Iterator[Rejection]:
        """The refusals that are in force: resources whose current version is held back."""
        if not len(self.quarantine):
            return
        for key, entry in self._entries.items():
            if entry.current is not None and entry.current is not entry.shown:
                rejection = self.quarantine.get(key.type_url, key.name, entry.current.version)
                if rejection is not None:
                    yield rejection

    def _proven(self, entry: Entry, frame: Frame) -> bool:
        type_url = entry.key.type_url
        return any(
            subscriber.acknowledged(type_url, frame.name, frame.version)
            for section in entry.sections
            for view in section.views
            for subscriber in view.subscribers
        )

    # delivery

    def _mark(self, section: Section, names: Collection[str]) -> None:
        section.changed()
        if names:
            for view in section.views:
                self._marks[view][section.key.type_url].update(names)

    def _deliver(self) -> None:
        marks = dict(self._marks)
        self._marks.clear()
        for view, changed in marks.items():
            for subscriber in view.subscribers:
                subscriber.mark(changed)


def _ignore() -> None:
    """Nobody wants to know."""
