"""Which IP versions a pod has addresses of, and what its proxy binds to for each.

Istio's rule: a proxy listens in the families of its pod's addresses. In one address family too few, redirected
connections would be refused; in one too many, Envoy could not bind where the kernel lacks it.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Final

LOOPBACK = "127.0.0.1"
LOOPBACK_V6 = "::1"


class IpFamilies(Enum):
    """The families of a pod's addresses: all that listeners need to know of them, so that pods share what they get."""

    V4 = "IPv4"
    V6 = "IPv6"
    DUAL = "IPv4 and IPv6"

    @property
    def anywhere(self) -> tuple[str, ...]:
        """The addresses that stand for all of a pod's; the first one is in the listeners' names."""
        return _ANYWHERE[self]

    @property
    def passthrough_sources(self) -> tuple[str, ...]:
        """What a sidecar binds to when it hands a connection to its application: by this redirection knows it."""
        return _PASSTHROUGH_SOURCES[self]


# What is redirected, and what the kubelet asks, comes from anywhere.
_ANYWHERE: Final = {
    IpFamilies.V4: ("0.0.0.0",),  # noqa: S104
    IpFamilies.V6: ("::",),
    IpFamilies.DUAL: ("0.0.0.0", "::"),  # noqa: S104
}
_PASSTHROUGH_SOURCES: Final = {
    IpFamilies.V4: ("127.0.0.6",),
    IpFamilies.V6: ("::6",),
    IpFamilies.DUAL: ("127.0.0.6", "::6"),
}


def families_of(addresses: Iterable[str]) -> IpFamilies:
    """The families of a pod's addresses. One without any, as before the kubelet has told them, counts as IPv4."""
    found = {":" in address for address in addresses}
    if found == {True}:
        return IpFamilies.V6
    return IpFamilies.DUAL if len(found) == 2 else IpFamilies.V4
