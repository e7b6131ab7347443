"""Addresses and durations in the JSON form of Envoy's protobuf."""

import ipaddress
from datetime import timedelta
from typing import Any

LOOPBACK = "127.0.0.1"


def socket_address(host: str, port: int) -> dict[str, Any]:
    """An `Address` message. Raises ValueError for an impossible port."""
    if not 0 < port <= 65535:
        raise ValueError(f"port {port} is not between 1 and 65535")
    return {"socket_address": {"address": host, "port_value": port}}


def duration(value: timedelta) -> str:
    """`0.25s`, the JSON form of a `google.protobuf.Duration`."""
    seconds = value.total_seconds()
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def is_loopback(host: str) -> bool:
    """Whether only this machine is reached there.

    Names are looked up by nobody; `localhost` alone is known to be one.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
