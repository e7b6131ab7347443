"""Listeners and filter chains: where traffic is taken, how chains are chosen, what a connection passes through."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import TypeAlias

from weft_core.ir.access_log import FileAccessLog
from weft_core.ir.downstream_tls import DownstreamTls
from weft_core.ir.http import HttpConnectionManager
from weft_core.ir.rbac import Rbac
from weft_core.problems import ObjectRef

TLS = "tls"
RAW_BUFFER = "raw_buffer"
DETECTION_TIMEOUT = timedelta(seconds=5)
"""How long inspections wait for bytes. Then the connection goes on as plain bytes, so that a server that speaks first
answers late on a port that does not say its protocol. Without a limit, as by default in Istio, it would never.
MeshConfig's `protocolDetectionTimeout` sets another one."""


class Direction(Enum):
    """Traffic's direction, seen from the workload; a gateway's listeners are OUTBOUND."""

    UNSPECIFIED = "UNSPECIFIED"
    INBOUND = "INBOUND"
    OUTBOUND = "OUTBOUND"


@dataclass(frozen=True, slots=True)
class Address:
    """A socket address."""

    host: str
    """IP address, or `unix://` and a path, which has no port."""
    port: int


class Inspection(Enum):
    """What is found out about a connection before a filter chain is chosen."""

    ORIGINAL_DESTINATION = "original destination"
    """The address before redirection."""
    TLS = "tls"
    """TLS or not, server name, ALPN."""
    HTTP = "http"
    """HTTP/1.x or HTTP/2 in clear."""
    PROXY_PROTOCOL = "proxy protocol"
    """The client's address, from a PROXY header."""


@dataclass(frozen=True, slots=True)
class ListenerFilter:
    """One inspection, and the destination ports where it is left out: nothing there needs to wait for bytes."""

    inspection: Inspection
    disabled_ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterChainMatch:
    """What a connection must look like; empty fields match everything, the most specific chain is taken."""

    destination_port: int = 0
    prefix_ranges: tuple[str, ...] = ()
    """Destination addresses, as CIDR blocks."""
    server_names: tuple[str, ...] = ()
    transport_protocol: str = ""
    application_protocols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UpstreamAlpn:
    """Replaces the ALPN protocols that the cluster would offer upstream, for this connection only."""

    protocols: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpProxy:
    """Sends a connection's bytes on, to one cluster or to several by weight."""

    stat_prefix: str
    clusters: tuple[tuple[str, int], ...]
    """(cluster, weight)."""
    idle_timeout: timedelta | None = None
    max_connection_duration: timedelta | None = None
    hash_source_ip: bool = False
    access_logs: tuple[FileAccessLog, ...] = ()


NetworkFilter: TypeAlias = Rbac | UpstreamAlpn | TcpProxy | HttpConnectionManager


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterChain:
    """The filters of the connections that match; the last one is a `TcpProxy` or an `HttpConnectionManager`."""

    name: str
    filters: tuple[NetworkFilter, ...]
    match: FilterChainMatch | None = None
    """None in a default chain."""
    tls: DownstreamTls | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A listener. With `bind` false it has no socket: connections come from the one that redirection leads to."""

    name: str
    addresses: tuple[Address, ...]
    """The first, and further ones with the same chains."""
    filter_chains: tuple[FilterChain, ...]
    direction: Direction
    bind: bool = True
    use_original_destination: bool = False
    """Hand connections on to the listener of the address that they were made to."""
    listener_filters: tuple[ListenerFilter, ...] = ()
    detection_timeout: timedelta = DETECTION_TIMEOUT
    default_filter_chain: FilterChain | None = None
    access_logs: tuple[FileAccessLog, ...] = ()
    """For connections that no filter chain took."""
    origins: tuple[ObjectRef, ...] = ()
