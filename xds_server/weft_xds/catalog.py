"""The catalog: the three questions that the server asks the query graph.

A proxy is served the resources of its sections. A section is a set of resources of one type that many proxies
share (the outbound clusters seen from a namespace, say) or that is one proxy's own (its inbound listeners).
What is shared is looked after once, whatever the number of its proxies.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from weft_core.graph.engine import Query
from weft_core.proxy import ProxyId
from weft_xds.frames import Frame


class SectionKey(Hashable, Protocol):
    """What names a section; all its resources are of one type."""

    @property
    def type_url(self) -> str:
        """The type of the section's resources."""
        ...


class ResourceKey(Hashable, Protocol):
    """What names a resource: the smallest key that decides its content, rarely the proxy."""

    @property
    def type_url(self) -> str:
        """The resource's type."""
        ...

    @property
    def name(self) -> str:
        """The resource's name, as Envoy knows it; in one section only of those that one proxy has."""
        ...

    @property
    def last(self) -> bool:
        """Whether it is kept back until the proxy has ACKed everything else: the readiness listener."""
        ...


S = TypeVar("S", bound=SectionKey)
R = TypeVar("R", bound=ResourceKey)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog(Generic[S, R]):
    """Three tracked queries: a proxy's sections, a section's resources, a resource's frame.

    A frame is None where the resource does not exist (any more).
    """

    proxy_sections: Query[[ProxyId], tuple[S, ...]]
    section: Query[[S], tuple[R, ...]]
    frame: Query[[R], Frame | None]
