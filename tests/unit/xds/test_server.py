"""The gRPC server: who gets in, over what, and how it ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from envoy.config.core.v3.base_pb2 import Node
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from prometheus_client import CollectorRegistry, generate_latest

from weft_core.errors import CertificateFault, EnvironmentFault, PortInUse
from weft_core.spiffe import SpiffeId
from weft_injector.ca.authority import Authority
from weft_xds.identity import by_namespace
from weft_xds.server import ServerOptions, TlsMaterial, XdsServer
from weft_xds.types import CDS, LDS

if TYPE_CHECKING:
    from tests.unit.xds.conftest import Section, World

NODE_ID = "sidecar~10.0.0.1~web.shop~shop.svc.cluster.local"
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

Call = Any  # grpc.aio's calls have no public type


@pytest.fixture
def authority() -> Authority:
    return Authority.self_made(trust_domain="cluster.local", now=datetime.now(UTC))


def material(authority: Authority, roots: Authority | None = None) -> TlsMaterial:
    leaf = authority.issue_serving(now=datetime.now(UTC), dns_names=["weft.test"])
    assert leaf.key_pem is not None
    return TlsMaterial(
        certificate_chain=leaf.chain_pem, private_key=leaf.key_pem, client_roots=(roots or authority).bundle.pem
    )


@pytest.fixture
async def start(world: "World") -> AsyncIterator[Callable[..., Awaitable[tuple[XdsServer, int]]]]:
    servers: list[XdsServer] = []

    async def run(tls: TlsMaterial | None = None, **options: Any) -> tuple[XdsServer, int]:
        server = XdsServer(
            world.fanout,
            by_namespace({"cluster.local"}),
            ServerOptions(**{"address": "127.0.0.1:0"} | options),
            tls=tls,
            registry=CollectorRegistry(),
        )
        servers.append(server)
        return server, await server.start()

    yield run
    for server in servers:
        await server.stop(0.1)


@asynccontextmanager
async def stream(port: int, credentials: grpc.ChannelCredentials | None = None) -> AsyncIterator[Call]:
    """A stream with plain bytes on both sides."""
    target, options = f"127.0.0.1:{port}", [("grpc.ssl_target_name_override", "weft.test")]
    channel = (
        grpc.aio.secure_channel(target, credentials, options) if credentials else grpc.aio.insecure_channel(target)
    )
    async with channel:
        yield channel.stream_stream(METHOD)()


def first(node_id: str = NODE_ID, type_url: str = CDS) -> bytes:
    return DeltaDiscoveryRequest(node=Node(id=node_id), type_url=type_url).SerializeToString()


async def answer(call: Call, request: bytes) -> DeltaDiscoveryResponse:
    await call.write(request)
    return DeltaDiscoveryResponse.FromString(await asyncio.wait_for(call.read(), 5))


async def refusal(call: Call, request: bytes) -> tuple[grpc.StatusCode, str]:
    with contextlib.suppress(grpc.aio.AioRpcError):  # the refusal may be here before either of them has returned
        await call.write(request)
        await asyncio.wait_for(call.wait_for_connection(), 5)
    return await asyncio.wait_for(call.code(), 5), await call.details()


def client(authority: Authority, namespace: str = "shop", trust_domain: str = "cluster.local") -> Any:
    identity = SpiffeId(trust_domain=trust_domain, namespace=namespace, service_account="web")
    leaf = authority.issue(identity, now=datetime.now(UTC))
    return grpc.ssl_channel_credentials(authority.bundle.pem, leaf.key_pem, leaf.chain_pem)


async def test_a_certificate_of_the_proxys_namespace_gets_in(
    start: Any, authority: Authority, world: "World", section: "Callable[[str, str], Section]"
) -> None:
    clusters = section(CDS, "all")
    world.proxy("web", clusters)
    world.put(clusters, "a", "1")
    server, port = await start(material(authority))
    async with stream(port, client(authority)) as call:
        response = await answer(call, first())
        assert response.type_url == CDS
        (status,) = server.snapshot()
        assert (status.proxy.namespace, status.proxy.name, status.node_id) == ("shop", "web", NODE_ID)
        assert [kind.state for kind in status.types] == ["STALE"] + ["NOT SENT"] * 5


@pytest.mark.parametrize(
    ("namespace", "node_id", "words"),
    [
        ("other", NODE_ID, "it is of namespace 'other'"),
        ("shop", "web", "is not of the form KIND~IP~POD.NAMESPACE~DOMAIN"),
    ],
)
async def test_others_are_refused_and_told_why(
    start: Any, authority: Authority, namespace: str, node_id: str, words: str
) -> None:
    _, port = await start(material(authority))
    async with stream(port, client(authority, namespace)) as call:
        code, details = await refusal(call, first(node_id))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert words in details


async def test_another_trust_domain_is_refused(start: Any, authority: Authority) -> None:
    foreign = Authority.self_made(trust_domain="elsewhere.test", now=datetime.now(UTC))
    _, port = await start(material(authority, roots=foreign))
    leaf = foreign.issue(
        SpiffeId(trust_domain="elsewhere.test", namespace="shop", service_account="web"), now=datetime.now(UTC)
    )
    credentials = grpc.ssl_channel_credentials(authority.bundle.pem, leaf.key_pem, leaf.chain_pem)
    async with stream(port, credentials) as call:
        code, details = await refusal(call, first())
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert "trust domain 'elsewhere.test' is not one of this mesh's" in details


async def test_a_client_without_certificate_or_with_a_strangers_does_not_connect(
    start: Any, authority: Authority
) -> None:
    stranger = Authority.self_made(trust_domain="cluster.local", now=datetime.now(UTC))
    leaf = stranger.issue(
        SpiffeId(trust_domain="cluster.local", namespace="shop", service_account="web"), now=datetime.now(UTC)
    )
    _, port = await start(material(authority))
    for credentials in (
        grpc.ssl_channel_credentials(authority.bundle.pem),
        grpc.ssl_channel_credentials(authority.bundle.pem, leaf.key_pem, leaf.chain_pem),
    ):
        async with stream(port, credentials) as call:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await answer(call, first())
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_new_key_material_is_used_for_new_connections(start: Any, authority: Authority) -> None:
    newer = Authority.self_made(trust_domain="cluster.local", now=datetime.now(UTC))
    server, port = await start(material(authority))
    async with stream(port, client(authority)) as old:
        await answer(old, first())
        server.rotate(material(newer))
        async with stream(port, client(newer)) as call:
            assert (await answer(call, first())).type_url == CDS
        assert (await answer(old, first(type_url=LDS))).type_url == LDS


def test_key_material_that_does_not_fit_together_is_refused(authority: Authority) -> None:
    one, other = material(authority), material(authority)
    mixed = TlsMaterial(
        certificate_chain=one.certificate_chain, private_key=other.private_key, client_roots=one.client_roots
    )
    with pytest.raises(CertificateFault, match="does not belong"):
        mixed.check()
    with pytest.raises(CertificateFault, match="cannot be read"):
        TlsMaterial(certificate_chain=b"", private_key=b"", client_roots=b"").check()


async def test_plaintext_is_for_loopback_only(start: Any) -> None:
    with pytest.raises(EnvironmentFault, match="loopback only"):
        await start(address="0.0.0.0:0")


async def test_a_taken_port_is_named(start: Any) -> None:
    _, port = await start()
    with pytest.raises(PortInUse, match=str(port)):
        await start(address=f"127.0.0.1:{port}")


async def test_what_is_no_discovery_request_ends_the_stream_with_its_reason(start: Any) -> None:
    _, port = await start()
    async with stream(port) as call:
        code, details = await refusal(call, b"\xff\xff")
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "not a DeltaDiscoveryRequest" in details
    async with stream(port) as call:
        code, details = await refusal(call, DeltaDiscoveryRequest(type_url=CDS).SerializeToString())
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "must carry a node" in details


async def test_stopping_ends_streams_in_good_order_and_releases_what_they_needed(
    start: Any, world: "World", section: "Callable[[str, str], Section]"
) -> None:
    world.proxy("web", section(CDS, "all"))
    world.put(section(CDS, "all"), "a", "1")
    server, port = await start()
    async with stream(port) as call:
        await answer(call, first())
        await server.stop(2)
        assert await call.code() is grpc.StatusCode.OK
    assert server.snapshot() == ()
    world.graph.commit()
    assert len(world.graph) == 0


async def test_connections_are_ended_when_they_are_old(start: Any) -> None:
    _, port = await start(max_connection_age=0.2)
    async with stream(port) as call:
        await answer(call, first())
        code = await asyncio.wait_for(call.code(), 5)
    assert (code, await call.details()) == (grpc.StatusCode.UNAVAILABLE, "max connection age")


async def test_metrics_carry_istios_names(world: "World") -> None:
    registry = CollectorRegistry()
    server = XdsServer(
        world.fanout, by_namespace(()), ServerOptions(address="127.0.0.1:0"), tls=None, registry=registry
    )
    port = await server.start()
    async with stream(port) as call:
        await answer(call, first())
        exposed = generate_latest(registry).decode()
    await server.stop(0.1)
    assert "\npilot_xds 1.0\n" in exposed
    assert '\npilot_xds_pushes{type="cds"} 1.0\n' in exposed
    assert "# TYPE pilot_proxy_convergence_time histogram" in exposed
    assert "# HELP pilot_total_xds_rejects " in exposed
