"""What was admitted a moment ago and has not come back by a watch yet.

`kubectl apply` of one file sends a DestinationRule and, milliseconds later, the VirtualService that routes to its
subsets. A watch takes longer than that, and the author would be warned that the subset is missing. The API server keeps
its connection to a webhook, so it is nearly always the same replica that is asked about both.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from weft_core.ingest import CONFIG_KINDS
from weft_core.model.meta import Config
from weft_core.registry import Key, Registry
from weft_operator.admission.rehearsal import Snapshot

LIFE: Final = 2.0
"""Seconds for which an object is believed in without a watch. Storing it may yet have failed, or been refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    config: Config[Any]
    before: object
    """The registry's row at that moment, or None. Another one is news from the watch, which knows better."""
    until: float


class Admitted:
    """Objects by table and key, each until the watch tells something of it, and for no longer than `LIFE`."""

    def __init__(self, registry: Registry, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._clock = clock
        self._entries: dict[tuple[str, Key], _Entry] = {}

    def put(self, config: Config[Any]) -> None:
        """Remember an object that is about to be stored; one whose name the server has yet to make cannot be named."""
        if not config.meta.name:
            return
        place = CONFIG_KINDS[config.meta.kind], (config.meta.namespace, config.meta.name)
        self._entries[place] = _Entry(config=config, before=self._row(*place), until=self._clock() + LIFE)

    def over(self, rows: Snapshot) -> Snapshot:
        """The rows, with what is remembered put in."""
        now = self._clock()
        self._entries = {
            place: entry
            for place, entry in self._entries.items()
            if now < entry.until and self._row(*place) is entry.before
        }
        together = dict(rows)
        for (table, key), entry in self._entries.items():
            together[table] = {**together[table], key: entry.config}
        return together

    def _row(self, table: str, key: Key) -> object:
        return getattr(self._registry, table).peek(key)
