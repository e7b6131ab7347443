"""The filter chains of one inbound port: what each mode of mutual TLS lets in, told apart by what clients say first.

A PERMISSIVE port recognises the mesh's mutual TLS by its ALPN names alone. An application's own TLS on a TCP port
therefore passes through untouched, and plain text is served beside it. Ports that don't say their protocol have chains
for HTTP and for everything else, chosen by ALPN within mutual TLS and by the first bytes in clear.
"""

from dataclasses import dataclass

from weft_core.ir.downstream_tls import DownstreamTls
from weft_core.ir.http import HttpConnectionManager
from weft_core.ir.listener import RAW_BUFFER, TLS, FilterChain, FilterChainMatch, NetworkFilter, TcpProxy
from weft_core.ir.rbac import Rbac
from weft_core.ir.service import Protocol
from weft_core.view.mesh_tls import ISTIO_HTTP_PROTOCOLS, ISTIO_PROTOCOLS, ISTIO_TCP_PROTOCOLS
from weft_core.view.peer_authentication import MutualTlsMode

CLEAR_HTTP_PROTOCOLS = ("http/1.0", "http/1.1", "h2c")
"""What Envoy's inspector calls HTTP in clear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """What connections to a port are handed to: as HTTP, or as bytes behind the network filters that protect them."""

    http: HttpConnectionManager
    guards: tuple[Rbac, ...]
    tcp: TcpProxy
    http_tls: DownstreamTls
    tcp_tls: DownstreamTls
    http_name: str
    tcp_name: str


@dataclass(frozen=True, slots=True)
class _Chain:
    """One line of the tables below."""

    http: bool
    mutual_tls: bool
    transport: str
    protocols: tuple[str, ...] = ()


_STRICT, _PERMISSIVE, _DISABLE = MutualTlsMode.STRICT, MutualTlsMode.PERMISSIVE, MutualTlsMode.DISABLE
_HTTP = {
    _STRICT: (_Chain(True, True, TLS),),
    _PERMISSIVE: (_Chain(True, True, TLS, ISTIO_PROTOCOLS), _Chain(True, False, RAW_BUFFER)),
    _DISABLE: (_Chain(True, False, RAW_BUFFER),),
}
_TCP = {
    _STRICT: (_Chain(False, True, TLS),),
    _PERMISSIVE: (
        _Chain(False, True, TLS, ISTIO_PROTOCOLS),
        _Chain(False, False, TLS),
        _Chain(False, False, RAW_BUFFER),
    ),
    _DISABLE: (_Chain(False, False, RAW_BUFFER),),
}
_UNSAID = {
    _STRICT: (_Chain(True, True, TLS, ISTIO_HTTP_PROTOCOLS), _Chain(False, True, TLS)),
    _PERMISSIVE: (
        _Chain(True, True, TLS, ISTIO_HTTP_PROTOCOLS),
        _Chain(True, False, RAW_BUFFER, CLEAR_HTTP_PROTOCOLS),
        _Chain(False, True, TLS, ISTIO_TCP_PROTOCOLS),
        _Chain(False, False, RAW_BUFFER),
        _Chain(False, False, TLS),
    ),
    _DISABLE: (
        _Chain(True, False, RAW_BUFFER, CLEAR_HTTP_PROTOCOLS),
        _Chain(False, False, RAW_BUFFER),
        _Chain(False, False, TLS),  # the application's own: TLS is looked for on ports that no Service leads to
    ),
}


def port_chains(
    protocol: Protocol, mode: MutualTlsMode, handlers: Handlers, destination_port: int
) -> tuple[FilterChain, ...]:
    """All chains of a port; `destination_port` 0 is for every port that has no chains of its own."""
    table = _HTTP if protocol.is_http else _UNSAID if protocol is Protocol.AUTO else _TCP
    return tuple(_chain(each, handlers, destination_port) for each in table[mode])


def inspects_tls(mode: MutualTlsMode) -> bool:
    """Whether TLS has to be looked for. Where it is off, all that comes is the application's, TLS or not."""
    return mode is not MutualTlsMode.DISABLE


def inspects_http(protocol: Protocol, mode: MutualTlsMode) -> bool:
    """Whether HTTP has to be looked for: in clear, where the port does not say."""
    return protocol is Protocol.AUTO and mode is not MutualTlsMode.STRICT


def _chain(wanted: _Chain, handlers: Handlers, destination_port: int) -> FilterChain:
    filters: tuple[NetworkFilter, ...] = (handlers.http,) if wanted.http else (*handlers.guards, handlers.tcp)
    tls = handlers.http_tls if wanted.http else handlers.tcp_tls
    return FilterChain(
        name=handlers.http_name if wanted.http else handlers.tcp_name,
        match=FilterChainMatch(
            destination_port=destination_port,
            transport_protocol=wanted.transport,
            application_protocols=wanted.protocols,
        ),
        filters=filters,
        tls=tls if wanted.mutual_tls else None,
    )
