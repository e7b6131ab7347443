"""Keys of resources and of sections: the smallest arguments that decide their content, never the proxy."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class ResourceKey:
    """One resource: its type and name on the wire, and the identity of the view that decides its content.

    Two keys of one name differ in `view` where two groups of proxies see different things under that name.
    """

    type_url: str
    name: str
    view: Hashable
    last: bool = False
    """Sent only after all else has been acknowledged: the readiness listener."""


class Part(StrEnum):
    """The parts that a proxy's configuration is put together from."""

    OUTBOUND = "outbound"
    """What a client sees of the mesh; shared by all proxies that see the same."""
    SPECIAL = "special"
    """What every proxy has."""
    INBOUND = "inbound"
    """What a workload takes; shared by its replicas."""
    HTTP_PROXY = "http-proxy"
    """Where the application's own HTTP requests come in, on a machine without capture."""
    GATEWAY = "gateway"
    READINESS = "readiness"


@dataclass(frozen=True, slots=True)
class SectionKey:
    """All resources of one type that a group of proxies shares."""

    type_url: str
    part: Part
    view: Hashable = field(default=None)
