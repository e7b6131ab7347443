"""A port that does not say its protocol, through two sidecars: recognised, carried by mutual TLS, recognised again."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import grpc
import pytest
import yaml
from aiohttp import web
from google.protobuf.json_format import MessageToDict

from weft_core.ingest import replace_all
from weft_core.ir.cluster import Cluster, ClusterType
from weft_core.ir.http import HttpConnectionManager, InboundRoute
from weft_core.ir.listener import Address, FilterChain, Listener
from weft_core.ir.load_assignment import Endpoint, LoadAssignment, LocalityEndpoints
from weft_core.model.decode import decode
from weft_core.proxy import LocalPorts, ProxyId, ProxyKind
from weft_core.registry import Registry
from weft_core.spiffe import SpiffeId
from weft_core.view.clusters import cluster, cluster_ids, special_clusters
from weft_core.view.inbound import inbound_id
from weft_core.view.inbound_clusters import inbound_clusters
from weft_core.view.inbound_listener import inbound_listener
from weft_core.view.outbound_listener import outbound_listener
from weft_core.view.outbound_listeners import outbound_listener_ids
from weft_core.view.visibility import Client
from weft_injector.ca.authority import Authority
from weft_injector.files import CredentialFolder
from weft_injector.sds import WORKLOAD_SECRETS
from weft_xds.build.cluster import build_cluster
from weft_xds.build.listener import build_listener

if TYPE_CHECKING:
    from tests.envoy.conftest import Envoy

pytestmark = pytest.mark.envoy

SHOP = """
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web, security.istio.io/tlsMode: istio}}
spec: {serviceAccountName: web, containers: [{name: web}]}
status: {podIP: 10.1.0.1, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, selector: {app: web}, ports: [{name: unsaid, port: 9000}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: unsaid, port: 9000}]
endpoints: [{addresses: [10.1.0.1], targetRef: {kind: Pod, namespace: shop, name: web-0}}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: a, namespace: shop}
spec: {mtls: {mode: STRICT}}
"""
NAME = "outbound|9000||web.shop.svc.cluster.local"
NODE = {"id": "sidecar~127.0.0.1~web-0.shop~shop.svc.cluster.local", "cluster": "web.shop"}

Connect = Callable[[int], Awaitable[int]]


def bound(listener: Listener, port: int) -> Listener:
    """The listener with a socket of its own, and inline routes: nothing is captured and there is no control plane."""

    def inline(chain: FilterChain) -> FilterChain:
        route = InboundRoute(cluster=NAME, virtual_host="all", operation="")
        filters = (replace(f, route=route) if isinstance(f, HttpConnectionManager) else f for f in chain.filters)
        return replace(chain, filters=tuple(filters))

    return replace(
        listener,
        addresses=(Address("127.0.0.1", port),),
        bind=True,
        filter_chains=tuple(inline(chain) for chain in listener.filter_chains),
    )


def at(wanted: Cluster, port: int) -> Cluster:
    """The cluster, with the peer's loopback port for its only endpoint."""
    endpoints = (Endpoint(address="127.0.0.1", port=port, mutual_tls=True),)
    places = LoadAssignment(name=wanted.name, localities=(LocalityEndpoints(endpoints=endpoints),))
    return replace(wanted, type=ClusterType.STATIC, load_assignment=places)


def bootstrap(listener: Listener, *clusters: Cluster) -> dict[str, Any]:
    messages = [build_cluster(each) for each in (*clusters, *special_clusters())]
    return {
        "node": NODE,
        "static_resources": {
            "listeners": [MessageToDict(build_listener(listener), preserving_proto_field_name=True)],
            "clusters": [MessageToDict(each, preserving_proto_field_name=True) for each in messages],
        },
    }


@pytest.fixture
async def connect(
    start_envoy: Callable[[dict[str, Any]], Awaitable["Envoy"]],
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Connect:
    """Puts two sidecars in front of an application's port; gives the port where its clients connect."""

    async def run(application: int) -> int:
        outbound, inbound = free_ports(2)
        now = datetime.now(UTC)
        authority = Authority.self_made(trust_domain="cluster.local", now=now)
        identity = SpiffeId(trust_domain="cluster.local", namespace="shop", service_account="web")
        folder = CredentialFolder(tmp_path / "certs", seen_as=WORKLOAD_SECRETS)
        folder.deliver(authority.issue(identity, now=now), authority.bundle)
        monkeypatch.chdir(tmp_path)
        db = Registry()
        replace_all(db, [decode(document).object for document in yaml.safe_load_all(SHOP)])
        client = Client(namespace="shop")
        wanted = {key.name: cluster(db, key) for key in cluster_ids(db, client)}[NAME]
        keys = {key.name: key for key in outbound_listener_ids(db, client)}
        assert wanted is not None
        sending = bootstrap(bound(outbound_listener(db, keys["10.0.0.1_9000"]), outbound), at(wanted, inbound))
        db.local_ports.put(
            ("shop", "web-0"), LocalPorts(inbound=((9000, inbound),), application=((9000, application),))
        )
        key = inbound_id(db, ProxyId(ProxyKind.SIDECAR, "shop", "web-0"))
        assert key is not None
        receiving = bootstrap(inbound_listener(db, key), *inbound_clusters(db, key))
        for each in (sending, receiving):
            await (await start_envoy(each)).ready()
        return outbound

    return run


async def test_http_1(connect: Connect, free_ports: Callable[[int], list[int]]) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=request.headers.get("x-forwarded-client-cert", "nobody"))

    (port,) = free_ports(1)
    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    through = await connect(port)
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{through}/") as response:
        assert response.status == 200
        assert "URI=spiffe://cluster.local/ns/shop/sa/web" in await response.text()
    await runner.cleanup()


async def test_http_2(connect: Connect, free_ports: Callable[[int], list[int]]) -> None:
    """The client's HTTP/2 is spoken at every hop, although the cluster's own ALPN says HTTP/1.1."""

    async def echo(request: bytes, _context: object) -> bytes:
        return request

    (port,) = free_ports(1)
    server = grpc.aio.server()
    handlers: dict[str, Any] = {"b": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a", handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    through = await connect(port)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{through}") as channel:
        call: Any = channel.unary_unary("/a/b")
        assert await call(b"hello", timeout=5) == b"hello"
    await server.stop(0)


async def test_bytes(connect: Connect, free_ports: Callable[[int], list[int]]) -> None:
    """What is no HTTP must reach the workload as it is, not an HTTP connection manager."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(5))
        await writer.drain()
        writer.close()

    (port,) = free_ports(1)
    server = await asyncio.start_server(echo, "127.0.0.1", port)
    through = await connect(port)
    reader, writer = await asyncio.open_connection("127.0.0.1", through)
    writer.write(b"\x00\x01\x02\x03\x04")
    assert await asyncio.wait_for(reader.readexactly(5), 8) == b"\x00\x01\x02\x03\x04"
    writer.close()
    server.close()
