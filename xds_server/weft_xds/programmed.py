"""Which proxies have taken what was made from one of the user's objects.

The index leads from an object to the entries that name it as an origin, these to sections, and these to proxies. So a
question costs what the object concerns, not what there is; and a proxy to which nothing at all is owed, as nearly all
are at most moments, is asked one thing rather than one for each resource.
"""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final

from weft_core.problems import ObjectRef
from weft_core.progress import Progress
from weft_xds.frames import Frame
from weft_xds.quarantine import Quarantine
from weft_xds.sections import Entry, Section

if TYPE_CHECKING:
    from weft_xds.fanout import ProxyView

WHOLE: Final = frozenset({"Sidecar"})
"""Kinds that decide which resources a proxy has, not only what is in them: it must have taken everything."""


class Origins:
    """Entries by the objects that their current frames were made from."""

    def __init__(self) -> None:
        self._entries: dict[ObjectRef, dict[Entry, None]] = {}

    def move(self, entry: Entry, old: Frame | None, new: Frame | None) -> None:
        """File `entry` under the origins of `new`, and no longer under those of `old`. None: no frame."""
        before = old.origins if old is not None else ()
        after = new.origins if new is not None else ()
        if before == after:
            return
        for origin in before:
            if origin not in after and (entries := self._entries.get(origin)) is not None:
                entries.pop(entry, None)
                if not entries:
                    del self._entries[origin]
        for origin in after:
            self._entries.setdefault(origin, {})[entry] = None

    def of(self, origin: ObjectRef) -> Collection[Entry]:
        """The entries that were made from this object."""
        return self._entries.get(origin, {}).keys()

    def __len__(self) -> int:
        return len(self._entries)


def progress(origin: ObjectRef, entries: Iterable[Entry], quarantine: Quarantine) -> Progress:
    """How many of the proxies that have these entries have taken all of them in their current versions."""
    sections: dict[Section, list[Entry]] = {}
    rejected: dict[tuple[str, str], None] = {}
    for entry in entries:
        for section in entry.sections:
            sections.setdefault(section, []).append(entry)
        if entry.current is not None and entry.shown is not entry.current:
            rejection = quarantine.get(entry.key.type_url, entry.key.name, entry.current.version)
            if rejection is not None:
                rejected[entry.key.name, rejection.message] = None
    taken: dict[ProxyView, bool] = {}
    settled: dict[ProxyView, bool] = {}
    whole = origin.kind in WHOLE
    for section, mine in sections.items():
        held = any(entry.shown is not entry.current for entry in mine)
        for view in section.views:
            if view not in settled:
                settled[view] = view.settled()
            has_all = settled[view] or (not whole and all(_has(view, entry) for entry in mine))
            taken[view] = taken.get(view, True) and not held and has_all
    return Progress(acknowledged=sum(taken.values()), total=len(taken), rejected=tuple(rejected))


def _has(view: "ProxyView", entry: Entry) -> bool:
    frame = entry.current
    return frame is None or view.has(entry.key.type_url, frame.name, frame.version)
