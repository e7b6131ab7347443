"""Addresses and address blocks."""

from typing import Final

from envoy.config.core.v3 import address_pb2
from google.protobuf.wrappers_pb2 import UInt32Value

from weft_core.ir.listener import Address

UNIX: Final = "unix://"


def build_address(address: Address) -> address_pb2.Address:
    """A TCP socket's address, or a Unix socket's path."""
    if address.host.startswith(UNIX):
        return address_pb2.Address(pipe=address_pb2.Pipe(path=address.host.removeprefix(UNIX)))
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=address.host, port_value=address.port))


def build_cidr(block: str) -> address_pb2.CidrRange:
    """A block in CIDR notation; an address alone is a block of one."""
    prefix, _, length = block.partition("/")
    whole = 128 if ":" in prefix else 32
    return address_pb2.CidrRange(address_prefix=prefix, prefix_len=UInt32Value(value=int(length) if length else whole))
