"""The address that Envoy binds to when it hands an inbound IPv6 connection to the application.

IPv4's 127.0.0.6 belongs to every loopback interface, as all of 127/8 does. IPv6 has but one loopback address, so that
::6 must be given to the interface, or no such connection could be made. The kernel is asked directly (netdevice(7),
`struct in6_ifreq`): an image need not have `ip` for it.
"""

import errno
import fcntl
import socket
import struct
import time
from typing import Final

from weft_core.errors import EnvironmentFault
from weft_injector.capture.rules import LOOPBACK_INTERFACE, IpVersion

COMMAND: Final = ("ip", "-6", "address", "add", str(IpVersion.V6.passthrough_source), "dev", LOOPBACK_INTERFACE)
"""The same, as a person would do it."""
_SIOCSIFADDR: Final = 0x8916
_SIOCDIFADDR: Final = 0x8936
_USABLE_WITHIN: Final = 2.0
"""Seconds. The kernel makes a new address usable in the background; this takes it milliseconds."""
_REQUEST: Final = struct.Struct("=16sIi")  # address, length of the prefix, index of the interface


def add_passthrough_source() -> None:
    """Give ::6 to the loopback interface, if it does not have it yet, and wait until it is usable.

    Raises EnvironmentFault.
    """
    _change(_SIOCSIFADDR, already=errno.EEXIST)
    deadline = time.monotonic() + _USABLE_WITHIN
    while not _usable() and time.monotonic() < deadline:
        time.sleep(0.01)


def remove_passthrough_source() -> None:
    """Take ::6 from the loopback interface, if it has it. Raises EnvironmentFault."""
    _change(_SIOCDIFADDR, already=errno.EADDRNOTAVAIL)


def _usable() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind((str(IpVersion.V6.passthrough_source.network_address), 0))
    except OSError:
        return False
    return True


def _change(request: int, *, already: int) -> None:
    network = IpVersion.V6.passthrough_source
    packed = _REQUEST.pack(network.network_address.packed, network.prefixlen, socket.if_nametoindex(LOOPBACK_INTERFACE))
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, request, packed)
    except OSError as error:
        if error.errno != already:
            raise EnvironmentFault(
                f"the address {network} of the loopback interface can't be changed: {error.strerror};"
                " it takes the capability NET_ADMIN"
            ) from None
