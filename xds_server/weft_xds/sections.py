"""What the fan-out keeps: resources with the frame shown of them, sections with their bytes joined."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from weft_core.graph.engine import Node
from weft_xds.catalog import ResourceKey, SectionKey
from weft_xds.frames import Frame
from weft_xds.quarantine import Quarantine
from weft_xds.types import VHDS
from weft_xds.view import HELD, Full, Held, scope_of

if TYPE_CHECKING:
    from weft_xds.fanout import ProxyView


@dataclass(slots=True, eq=False)
class Entry:
    """One resource that some connected proxy should have.

    `current` is what the catalog holds, `shown` what proxies are sent: the same, unless `current` was
    refused. Then it is `good`, the last version before that a proxy has ACKed, and where there is none, HELD.
    """

    key: ResourceKey
    node: Node
    current: Frame | None = None
    previous: Frame | None = None
    good: Frame | None = None
    shown: Frame | Held | None = HELD
    sections: dict["Section", None] = field(default_factory=dict)

    def choose(self, quarantine: Quarantine) -> bool:
        """Decide anew what is shown; False where it stays the same."""
        before, self.shown = self.shown, self._choice(quarantine)
        return before is not self.shown

    def _choice(self, quarantine: Quarantine) -> Frame | Held | None:
        if self.current is None:
            return None
        for frame in (self.current, self.good):
            if frame is not None and quarantine.get(self.key.type_url, frame.name, frame.version) is None:
                return frame
        return HELD


@dataclass(slots=True, eq=False)
class Section:
    """A set of resources with the proxies that have it.

    `known` is false as long as the catalog has failed to say what is in it: nothing is taken from a proxy on
    that ground.
    """

    key: SectionKey
    node: Node
    entries: dict[str, Entry] = field(default_factory=dict)
    last: tuple[str, ...] = ()
    views: dict["ProxyView", None] = field(default_factory=dict)
    known: bool = True
    _full: Full | None = None

    def changed(self) -> None:
        """Forget the joined bytes: something in the section is shown differently."""
        self._full = None

    def full(self) -> Full:
        """All that is shown of the section, joined once and kept until something changes."""
        if self._full is None:
            self._full = self._join()
        return self._full

    def _join(self) -> Full:
        shown = (entry.shown for entry in self.entries.values() if not entry.key.last)
        frames = [frame for frame in shown if isinstance(frame, Frame)]
        scopes: defaultdict[str, list[str]] = defaultdict(list)
        if self.key.type_url == VHDS:
            for frame in frames:
                scopes[scope_of(frame.name)].append(frame.name)
        return Full(
            body=b"".join([frame.body for frame in frames]),
            versions={frame.name: frame.version for frame in frames},
            scopes=dict(scopes),
        )
