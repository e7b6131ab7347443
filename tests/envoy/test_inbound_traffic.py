"""Real traffic through a real Envoy's inbound listener: mutual TLS by mode, and policies that let through or refuse."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from google.protobuf.json_format import MessageToDict
from yarl import URL

from weft_core.ingest import replace_all
from weft_core.model.decode import decode
from weft_core.proxy import LocalPorts, ProxyId, ProxyKind
from weft_core.registry import Registry
from weft_core.spiffe import SpiffeId
from weft_core.view.clusters import special_clusters
from weft_core.view.inbound import inbound_id
from weft_core.view.inbound_clusters import inbound_clusters
from weft_core.view.inbound_listener import inbound_listener
from weft_core.view.readiness import readiness_listener_of
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
spec: {containers: [{name: web}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 5432}]
"""
MESH_ALPN = ["istio-http/1.1", "istio", "http/1.1"]
HELLO = b"hello, workload"
REFUSED = "RBAC: access denied"


def policy(kind: str, spec: str) -> str:
    return f"""
apiVersion: security.istio.io/v1
kind: {kind}
metadata: {{name: a, namespace: shop}}
spec: {spec}
"""


class Workload:
    """A workload behind its sidecar, and clients of it."""

    def __init__(self, ports: LocalPorts, authority: Authority, folder: Path) -> None:
        self.ports = ports
        self._authority = authority
        self._folder = folder

    async def get(self, path: str = "/", caller: str = "", headers: dict[str, str] | None = None) -> tuple[int, str]:
        """Status and text of a request; `caller` (`namespace/account`) calls by mutual TLS, nobody in clear."""
        context = self._context(caller) if caller else None
        base = f"{'https' if context else 'http'}://127.0.0.1:{self.ports.inbound_port(8080)}"
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(base, connector=connector) as session:
            url = URL(base + path, encoded=True)
            async with session.get(url, ssl=context or True, headers=headers) as response:
                return response.status, await response.text()

    async def send(self, data: bytes) -> bytes:
        """What the TCP port answers; empty where the connection is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports.inbound_port(5432))
        writer.write(data)
        try:
            return await asyncio.wait_for(reader.read(1), 5)
        except ConnectionResetError:
            return b""
        finally:
            writer.close()

    async def ready(self, path: str) -> int:
        """Status of the readiness listener."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.ports.readiness}{path}") as response,
        ):
            return response.status

    def _context(self, caller: str) -> ssl.SSLContext:
        namespace, _, account = caller.partition("/")
        identity = SpiffeId(trust_domain="cluster.local", namespace=namespace, service_account=account)
        leaf = self._authority.issue(identity, now=datetime.now(UTC))
        pem = self._folder / f"{namespace}-{account}.pem"
        pem.write_bytes((leaf.key_pem or b"") + leaf.chain_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(pem)
        context.set_alpn_protocols(MESH_ALPN)
        return context


Start = Callable[..., Awaitable[Workload]]


async def answer(request: web.Request) -> web.Response:
    return web.Response(text=request.headers.get("x-forwarded-client-cert", "nobody"))


async def first_byte(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read(1))
    await writer.drain()
    writer.close()


@pytest.fixture
async def applications(free_ports: Callable[[int], list[int]]) -> AsyncIterator[tuple[int, int]]:
    """An HTTP server that says who calls, and a TCP server that sends the first byte back: their ports."""
    http, tcp = free_ports(2)
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", http).start()
    server = await asyncio.start_server(first_byte, "127.0.0.1", tcp)
    yield http, tcp
    server.close()
    await runner.cleanup()


@pytest.fixture
async def start(
    applications: tuple[int, int],
    start_envoy: Callable[[dict[str, Any]], Awaitable["Envoy"]],
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Start:
    """Starts the sidecar under these policies."""

    async def run(*policies: str) -> Workload:
        http, tcp, readiness = free_ports(3)
        ports = LocalPorts(
            inbound=((5432, tcp), (8080, http)),
            application=((5432, applications[1]), (8080, applications[0])),
            readiness=readiness,
        )
        authority = Authority.self_made(trust_domain="cluster.local", now=datetime.now(UTC))
        identity = SpiffeId(trust_domain="cluster.local", namespace="shop", service_account="web")
        leaf = authority.issue(identity, now=datetime.now(UTC))
        CredentialFolder(tmp_path / "certs", seen_as=WORKLOAD_SECRETS).deliver(leaf, authority.bundle)
        monkeypatch.chdir(tmp_path)
        envoy = await start_envoy(_bootstrap(ports, policies))
        await envoy.ready()
        return Workload(ports, authority, tmp_path)

    return run


def _bootstrap(ports: LocalPorts, policies: tuple[str, ...]) -> dict[str, Any]:
    db = Registry()
    decoded = [decode(document) for text in (SHOP, *policies) for document in yaml.safe_load_all(text)]
    assert not [problem for each in decoded if each.rejected for problem in each.problems]
    replace_all(db, [each.object for each in decoded])
    db.local_ports.put(("shop", "web-0"), ports)
    inbound = inbound_id(db, ProxyId(ProxyKind.SIDECAR, "shop", "web-0"))
    assert inbound is not None
    listeners = [build_listener(each) for each in (inbound_listener(db, inbound), readiness_listener_of(ports))]
    clusters = [build_cluster(each) for each in (*inbound_clusters(db, inbound), *special_clusters())]
    return {
        "node": {"id": "sidecar~127.0.0.1~web-0.shop~shop.svc.cluster.local", "cluster": "web.shop"},
        "static_resources": {
            "listeners": [MessageToDict(each, preserving_proto_field_name=True) for each in listeners],
            "clusters": [MessageToDict(each, preserving_proto_field_name=True) for each in clusters],
        },
    }


async def test_permissive_takes_mutual_tls_and_clear_text_side_by_side(start: Start) -> None:
    workload = await start()
    assert await workload.get() == (200, "nobody")
    status, caller = await workload.get(caller="shop/friend")
    assert status == 200
    assert "URI=spiffe://cluster.local/ns/shop/sa/friend" in caller
    assert await workload.send(HELLO) == b"h"


async def test_rule_6_an_applications_own_tls_passes_through_a_permissive_tcp_port(start: Start) -> None:
    """The application sees the handshake's first byte: nobody opened it."""
    workload = await start()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    handshake = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="a.example.com")
    with pytest.raises(ssl.SSLWantReadError):
        handshake.do_handshake()
    assert await workload.send(outgoing.read()) == b"\x16"


async def test_strict_takes_mutual_tls_only(start: Start) -> None:
    workload = await start(policy("PeerAuthentication", "{mtls: {mode: STRICT}}"))
    assert (await workload.get(caller="shop/friend"))[0] == 200
    with pytest.raises(aiohttp.ClientError):
        await workload.get()
    assert await workload.send(HELLO) == b""


async def test_disable_takes_clear_text_only(start: Start) -> None:
    workload = await start(policy("PeerAuthentication", "{mtls: {mode: DISABLE}}"))
    assert await workload.get() == (200, "nobody")
    with pytest.raises(aiohttp.ClientError):
        await workload.get(caller="shop/friend")


async def test_deny_refuses_what_it_names_and_nothing_else(start: Start) -> None:
    rule = "{to: [{operation: {methods: [GET], paths: [/admin, /admin/*]}}]}"
    workload = await start(policy("AuthorizationPolicy", f"{{action: DENY, rules: [{rule}]}}"))
    assert await workload.get("/admin") == (403, REFUSED)
    assert await workload.get("/admin/users?x=1") == (403, REFUSED)
    assert (await workload.get("/administrator"))[0] == 200
    assert (await workload.get("/"))[0] == 200


@pytest.mark.parametrize("path", ["/x/../admin", "/./admin", "/%61dmin", "/x/%2e%2e/admin", "/x\\..\\admin"])
async def test_no_spelling_of_a_path_gets_around_a_deny(start: Start, path: str) -> None:
    workload = await start(
        policy("AuthorizationPolicy", "{action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}")
    )
    assert await workload.get(path) == (403, REFUSED)


async def test_allow_by_namespace_needs_a_proven_identity(start: Start) -> None:
    rule = "{from: [{source: {namespaces: [shop]}}]}"
    workload = await start(policy("AuthorizationPolicy", f"{{rules: [{rule}]}}"))
    assert (await workload.get(caller="shop/friend"))[0] == 200
    assert await workload.get(caller="other/stranger") == (403, REFUSED)
    assert await workload.get() == (403, REFUSED)


async def test_path_templates_and_headers(start: Start) -> None:
    to = "{operation: {paths: ['/users/{*}/orders']}}"
    when = "{key: 'request.headers[x-role]', values: [admin]}"
    workload = await start(policy("AuthorizationPolicy", f"{{rules: [{{to: [{to}], when: [{when}]}}]}}"))
    admin = {"x-role": "admin"}
    assert (await workload.get("/users/1/orders", headers=admin))[0] == 200
    assert (await workload.get("/users/1/2/orders", headers=admin))[0] == 403
    assert (await workload.get("/users/1/orders"))[0] == 403


async def test_rule_8_allow_without_rules_refuses_http_and_tcp(start: Start) -> None:
    workload = await start(policy("AuthorizationPolicy", "{}"))
    assert await workload.get() == (403, REFUSED)
    assert await workload.send(HELLO) == b""


async def test_rule_8_a_deny_of_paths_blocks_a_tcp_port(start: Start) -> None:
    workload = await start(
        policy("AuthorizationPolicy", "{action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}")
    )
    assert (await workload.get())[0] == 200
    assert await workload.send(HELLO) == b""


async def test_ports_of_policies_are_the_workloads(start: Start) -> None:
    workload = await start(
        policy("AuthorizationPolicy", "{action: DENY, rules: [{to: [{operation: {ports: ['8080']}}]}]}")
    )
    assert await workload.get() == (403, REFUSED)
    assert await workload.send(HELLO) == b"h"


async def test_a_token_that_cannot_be_verified_is_refused_and_none_is_not(start: Start) -> None:
    workload = await start(
        policy("RequestAuthentication", "{jwtRules: [{issuer: https://a, jwksUri: https://a/keys}]}")
    )
    # {"alg":"ES256"} . {"iss":"https://a"} . nonsense
    token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2EifQ.c2lnbmF0dXJl"
    assert (await workload.get())[0] == 200
    assert (await workload.get(headers={"authorization": f"Bearer {token}"}))[0] == 401


async def test_readiness(start: Start) -> None:
    workload = await start()
    assert await workload.ready("/healthz/ready") == 200
    assert await workload.ready("/") == 404
