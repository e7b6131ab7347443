"""The quarantine: versions that an Envoy has refused, which no proxy is sent again.

A NACK says little about the proxy and much about the resource: all Envoys run the same code. So the first refusal
of a version holds it back from every other stream and every proxy to come, and nothing else: the resource's next
version is tried as if nothing had happened.
"""

from collections.abc import Callable
from dataclasses import dataclass

from weft_core.problems import ObjectRef
from weft_core.proxy import ProxyId


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

    def add(self, rejection: Rejection) -> bool:
        """Hold this version back from now on; False where it was held back already."""
        key = (rejection.type_url, rejection.name, rejection.version)
        if key in self._rejections:
            return False
        if len(self._rejections) >= self._limit:
            del self._rejections[next(iter(self._rejections))]
        self._rejections[key] = rejection
        self._report(rejection)
        return True

    def get(self, type_url: str, name: str, version: str) -> Rejection | None:
        """Why this version is held back, or None where it is not."""
        return self._rejections.get((type_url, name, version)) if self._rejections else None

    def __len__(self) -> int:
        return len(self._rejections)
