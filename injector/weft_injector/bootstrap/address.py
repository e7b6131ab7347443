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


def is_ip_address(host: str) -> bool:
    """Whether `host` is an IPv4 or IPv6 address; if not, it is a DNS name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine is reached there. No name is looked up; `localhost` alone is known to be one."""
    return ipaddress.ip_address(host).is_loopback if is_ip_address(host) else host == "localhost"
