"""`HOST:PORT`, as the command's options have it."""

from weft_core.errors import EnvironmentFault


def split_address(address: str) -> tuple[str, int]:
    """Host and port; IPv6 addresses stand in brackets. Raises EnvironmentFault."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise EnvironmentFault(f"{address!r} is no address: write HOST:PORT")
    return host.strip("[]"), int(port)
