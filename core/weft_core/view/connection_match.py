"""Which connections a TCP or TLS route takes, in a form that Envoy accepts.

Envoy refuses a whole listener when two of its filter chains could take the same connection, and knows server names in
lower case only, with `*.` at most in front. So names and blocks are brought into one form, and of two routes that want
the same the first has it.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import replace

from weft_core.ir.listener import TLS, FilterChainMatch
from weft_core.ir.route import TcpRoute

ANY_NAME = "*"


def connection_match(route: TcpRoute) -> FilterChainMatch | None:
    """The match of a route's chain; None for all connections. The server name `*` is any TLS."""
    if not route.destination_subnets and not route.sni_hosts:
        return None
    names = tuple(name for name in route.sni_hosts if name != ANY_NAME)
    return FilterChainMatch(
        prefix_ranges=route.destination_subnets,
        server_names=names,
        transport_protocol=TLS if route.sni_hosts and not names else "",
    )


def without_overlaps(routes: Iterable[TcpRoute]) -> Iterator[TcpRoute]:
    """The routes, less the names and blocks that an earlier one has; without those of which nothing is left."""
    taken: set[tuple[str, str]] = set()
    for route in routes:
        names = tuple(dict.fromkeys(_server_name(name) for name in route.sni_hosts)) or ("",)
        blocks = tuple(dict.fromkeys(_block(block) for block in route.destination_subnets)) or ("",)
        if ANY_NAME in names:
            # Any name includes the others, and Envoy can't say both in one match.
            names = (ANY_NAME,)
        free = tuple(name for name in names if not any((name, block) in taken for block in blocks))
        if not free:
            free, blocks = names, tuple(b for b in blocks if not any((name, b) in taken for name in names))
        if not blocks:
            continue
        taken.update((name, block) for name in free for block in blocks)
        yield replace(
            route,
            sni_hosts=tuple(name for name in free if name),
            destination_subnets=tuple(block for block in blocks if block),
        )


def _server_name(name: str) -> str:
    """Lower case; a wildcard within a label is widened to the whole label: `*-eu.example.com` to `*.example.com`."""
    name = name.lower()
    if name.startswith("*") and name != ANY_NAME and not name.startswith("*."):
        return f"*.{name.partition('.')[2]}" if "." in name else ANY_NAME
    return name


def _block(block: str) -> str:
    """The block by its first address, so that two spellings of it are one."""
    return str(ipaddress.ip_network(block, strict=False))
