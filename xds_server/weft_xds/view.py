"""What a stream sees of the world: the resources that its proxy should have, as they are at this moment."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from weft_xds.frames import Frame

ALL: Final = "*"
"""In place of a name: every resource of the type."""


class Held(Enum):
    """The value `HELD`: the resource exists, but every version of it that is known was refused.

    A proxy keeps what it has of it: it is neither sent nor removed.
    """

    HELD = "held"


HELD: Final = Held.HELD


@dataclass(frozen=True, slots=True)
class Full:
    """All of a section at one moment, ready to be sent to a proxy that has nothing of it.

    `body` is all its frames' bodies, `versions` its names with their versions, both shared by every stream and never
    changed. `scopes` groups the names of virtual hosts by their route configuration and is empty for other types.
    Resources that are sent last, and held ones, are not in it.
    """

    body: bytes
    versions: Mapping[str, str]
    scopes: Mapping[str, Collection[str]]


class View(Protocol):
    """One proxy's view of the catalog."""

    def full(self, type_url: str) -> Sequence[Full]:
        """The proxy's sections of a type, whole."""
        ...

    def frame(self, type_url: str, name: str) -> Frame | Held | None:
        """What the proxy should have under this name; None: nothing, and it should forget what it has."""
        ...

    def last(self, type_url: str) -> Collection[str]:
        """Names that are sent only once the proxy has everything else."""
        ...

    def reject(self, type_url: str, name: str, version: str, message: str) -> None:
        """Tell that the proxy refused this version; from here on `frame` answers with something else."""
        ...

    def rejected(self, type_url: str, name: str, version: str) -> bool:
        """Whether a proxy has refused this version."""
        ...


def scope_of(name: str) -> str:
    """The route configuration that a virtual host belongs to: Envoy dispatches by what is before the last slash."""
    return name.rpartition("/")[0]
