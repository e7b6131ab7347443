"""Which connections an inbound port takes, by mode of mutual TLS and by protocol."""

from collections.abc import Callable

import pytest

from weft_core.ir.http import HttpConnectionManager, NoRoute, Router
from weft_core.ir.listener import RAW_BUFFER, TLS, FilterChain, TcpProxy
from weft_core.ir.service import Protocol
from weft_core.registry import Registry
from weft_core.view.inbound_chains import Handlers, inspects_http, inspects_tls, port_chains
from weft_core.view.mesh_tls import HTTP_ALPN, TCP_ALPN, mesh_tls
from weft_core.view.peer_authentication import MutualTlsMode

STRICT, PERMISSIVE, DISABLE = MutualTlsMode.STRICT, MutualTlsMode.PERMISSIVE, MutualTlsMode.DISABLE
MESH_HTTP = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
MESH_TCP = ("istio-peer-exchange", "istio")
CLEAR_HTTP = ("http/1.0", "http/1.1", "h2c")

Line = tuple[str, tuple[str, ...], str, bool]
"""(transport, application protocols, handled as, mutual TLS is ended here)."""


@pytest.fixture
def handlers() -> Handlers:
    db = Registry()
    return Handlers(
        http=HttpConnectionManager(stat_prefix="a", route=NoRoute(), filters=(Router(),)),
        guards=(),
        tcp=TcpProxy(stat_prefix="a", clusters=(("a", 1),)),
        http_tls=mesh_tls(db, HTTP_ALPN),
        tcp_tls=mesh_tls(db, TCP_ALPN),
        http_name="http",
        tcp_name="tcp",
    )


def lines(chains: tuple[FilterChain, ...]) -> list[Line]:
    found = []
    for chain in chains:
        assert chain.match is not None
        handled = "HTTP" if isinstance(chain.filters[-1], HttpConnectionManager) else "TCP"
        match = chain.match
        found.append((match.transport_protocol, match.application_protocols, handled, chain.tls is not None))
    return found


@pytest.mark.parametrize("protocol", [Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB])
def test_http_ports(handlers: Handlers, protocol: Protocol) -> None:
    assert lines(port_chains(protocol, STRICT, handlers, 80)) == [(TLS, (), "HTTP", True)]
    assert lines(port_chains(protocol, PERMISSIVE, handlers, 80)) == [
        (TLS, (*MESH_TCP, *MESH_HTTP), "HTTP", True),
        (RAW_BUFFER, (), "HTTP", False),
    ]
    assert lines(port_chains(protocol, DISABLE, handlers, 80)) == [(RAW_BUFFER, (), "HTTP", False)]


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.MONGO, Protocol.HTTPS, Protocol.TLS])
def test_tcp_ports(handlers: Handlers, protocol: Protocol) -> None:
    assert lines(port_chains(protocol, STRICT, handlers, 80)) == [(TLS, (), "TCP", True)]
    assert lines(port_chains(protocol, PERMISSIVE, handlers, 80)) == [
        (TLS, (*MESH_TCP, *MESH_HTTP), "TCP", True),
        (TLS, (), "TCP", False),
        (RAW_BUFFER, (), "TCP", False),
    ]
    assert lines(port_chains(protocol, DISABLE, handlers, 80)) == [(RAW_BUFFER, (), "TCP", False)]


def test_ports_that_do_not_say_their_protocol(handlers: Handlers) -> None:
    assert lines(port_chains(Protocol.AUTO, STRICT, handlers, 80)) == [
        (TLS, MESH_HTTP, "HTTP", True),
        (TLS, (), "TCP", True),
    ]
    assert lines(port_chains(Protocol.AUTO, PERMISSIVE, handlers, 80)) == [
        (TLS, MESH_HTTP, "HTTP", True),
        (RAW_BUFFER, CLEAR_HTTP, "HTTP", False),
        (TLS, MESH_TCP, "TCP", True),
        (RAW_BUFFER, (), "TCP", False),
        (TLS, (), "TCP", False),
    ]
    assert lines(port_chains(Protocol.AUTO, DISABLE, handlers, 80)) == [
        (RAW_BUFFER, CLEAR_HTTP, "HTTP", False),
        (RAW_BUFFER, (), "TCP", False),
        (TLS, (), "TCP", False),
    ]


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.AUTO])
def test_rule_6_permissive_recognises_mutual_tls_by_alpn_only(handlers: Handlers, protocol: Protocol) -> None:
    """Whatever TLS offers no name of the mesh is the application's own, and passes through unopened."""
    for chain in port_chains(protocol, PERMISSIVE, handlers, 443):
        assert chain.match is not None
        if chain.match.transport_protocol == TLS:
            assert (chain.tls is not None) == bool(chain.match.application_protocols)
            assert all(name.startswith("istio") for name in chain.match.application_protocols)


def test_rule_6_the_set_of_chains_differs_for_http_tcp_and_unnamed_ports(handlers: Handlers) -> None:
    counts = [
        len(port_chains(protocol, PERMISSIVE, handlers, 1)) for protocol in (Protocol.HTTP, Protocol.TCP, Protocol.AUTO)
    ]
    assert counts == [2, 3, 5]


def test_nothing_is_inspected_in_vain() -> None:
    """A server that speaks first must not wait for bytes that nobody needs."""
    assert not inspects_tls(DISABLE)
    assert inspects_tls(PERMISSIVE)
    assert not inspects_http(Protocol.TCP, PERMISSIVE)
    assert not inspects_http(Protocol.AUTO, STRICT)
    assert inspects_http(Protocol.AUTO, DISABLE)


def test_mutual_tls_takes_peers_of_the_mesh_and_no_other(
    registry: Callable[..., Registry],
) -> None:
    tls = mesh_tls(registry(settings="{trustDomain: one, trustDomainAliases: [two]}"), HTTP_ALPN)
    assert [name.matcher.value for name in tls.alt_names] == ["spiffe://one/", "spiffe://two/"]
    assert tls.client_certificate.name == "REQUIRED"
