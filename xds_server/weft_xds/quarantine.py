"""The quarantine: versions that an Envoy has refused, which no proxy is sent again.

A NACK says little about the proxy and much about the resource: all Envoys run the same code. So the first refusal
of a version holds it back from every other stream and every proxy to come, and nothing else: the resource's next
version is tried as if nothing had happened.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

from weft_core.problems import ObjectRef
from weft_core.proxy import ProxyId
from weft_xds.frames import Frame

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """One version of one resource that a proxy refused.

    `message` is Envoy's own; `origins` are the objects whose status should show it.
    """

    type_url: str
    name: str
    version: str
    message: str
    origins: tuple[ObjectRef, ...]
    proxy: ProxyId


class Quarantine:
    """Refused versions with the first refusal of each; shared by all streams.

    `report` is told of each version once, however many proxies refuse it. Versions are hashes of content, so an entry
    never goes stale; beyond `limit` the oldest are forgotten, and would at worst be refused once more.
    """

    def __init__(self, report: Callable[[Rejection], None], *, limit: int = 10_000) -> None:
        self._report = report
        self._limit = limit
        self._rejections: dict[tuple[str, str, str], Rejection] = {}
        self._kept: dict[Hashable, Frame] = {}

    def add(self, rejection: Rejection) -> bool:
        """Hold this version back from now on; False where it was held back already."""
        key = (rejection.type_url, rejection.name, rejection.version)
        if key in self._rejections:
            return False
        self._put(self._rejections, key, rejection)
        self._report(rejection)
        return True

    def get(self, type_url: str, name: str, version: str) -> Rejection | None:
        """Why this version is held back, or None where it is not."""
        return self._rejections.get((type_url, name, version)) if self._rejections else None

    def keep(self, key: Hashable, frame: Frame) -> None:
        """Remember the last good frame of a resource that no connected proxy needs for the moment."""
        self._put(self._kept, key, frame)

    def kept(self, key: Hashable) -> Frame | None:
        """Give back what `keep` was given, once."""
        return self._kept.pop(key, None)

    def _put(self, table: dict[K, V], key: K, value: V) -> None:
        if len(table) >= self._limit:
            del table[next(iter(table))]
        table[key] = value

    def __len__(self) -> int:
        return len(self._rejections)
