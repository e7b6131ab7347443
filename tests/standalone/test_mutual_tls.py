"""Mutual TLS between the sidecars of `weft up`: who calls is known, and nobody else gets in where policy says so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import aiohttp
import pytest

if TYPE_CHECKING:
    from tests.standalone.conftest import Client, Mesh

pytestmark = pytest.mark.envoy

PROGRAM = """
import json, os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Echo(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Echo).serve_forever()
"""
WORKLOAD = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: echo}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec:
  selector: {app: echo}
  ports: [{name: http, port: 80, targetPort: 8000}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  selector: {matchLabels: {app: echo}}
  template:
    metadata:
      labels: {app: echo}
      annotations: {weft.dev/local-command: python echo.py}
    spec:
      serviceAccountName: echo
      containers: [{name: echo, image: python, ports: [{containerPort: 8000}]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo}
spec:
  hosts: ["*"]
  gateways: [bookshop]
  http:
    - match: [{uri: {prefix: /echo}}]
      route: [{destination: {host: echo}}]
"""
STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec:
  mtls: {mode: STRICT}
"""
IDENTITY = "spiffe://cluster.local/ns/default/sa"

Eventually = Callable[..., Awaitable[None]]


@pytest.fixture
async def echo(shop: "Mesh", gateway: "Client", eventually: Eventually) -> AsyncIterator[None]:
    """A workload that answers with the headers that it gets, at /echo of the gateway, for the time of the test."""

    async def there() -> None:
        assert (await gateway.get("/echo")).status == 200

    async def gone() -> None:
        assert (await gateway.get("/echo")).status == 404
        assert not {name for name in shop.processes().values() if name.startswith("echo-0")}

    shop.apply("echo.py", PROGRAM)
    shop.apply("echo.yaml", WORKLOAD)
    await eventually(there, seconds=15)
    yield
    shop.remove("echo.yaml")
    shop.remove("echo.py")
    await eventually(gone, seconds=15)


@pytest.fixture
async def inbound(shop: "Mesh", echo: None, connect: "Callable[[int], Client]") -> "Client":
    """A client straight to where the echo's sidecar takes traffic from other sidecars."""
    statuses = (await connect(shop.admin("echo-0")).get("/listeners?format=json")).json["listener_statuses"]
    (listener,) = (each for each in statuses if each["name"] == "virtualInbound")
    return connect(listener["local_address"]["socket_address"]["port_value"])


async def test_a_workload_is_told_who_calls_and_cannot_be_lied_to(echo: None, gateway: "Client") -> None:
    for forged in ({}, {"x_forwarded_client_cert": f"By={IDENTITY}/echo;URI={IDENTITY}/admin"}):
        certificate = (await gateway.get("/echo", **forged)).json["x-forwarded-client-cert"]
        fields = dict(part.split("=", 1) for part in certificate.split(";"))
        assert fields["By"] == f"{IDENTITY}/echo"
        assert fields["URI"] == f"{IDENTITY}/bookshop-gateway"


@pytest.mark.parametrize(
    "policy", [pytest.param(STRICT, id="STRICT"), pytest.param(STRICT.replace("STRICT", "STRIKT"), id="unreadable")]
)
async def test_strict_refuses_plaintext_that_permissive_lets_in(
    shop: "Mesh", gateway: "Client", inbound: "Client", eventually: Eventually, policy: str
) -> None:
    async def refused() -> None:
        try:
            answer = await inbound.get("/")
        except aiohttp.ClientError:
            return
        assert answer.status == 0, "it was answered"

    async def let_in() -> None:
        answer = await inbound.get("/")
        assert answer.status == 200
        assert "x-forwarded-client-cert" not in answer.json

    await let_in()
    shop.apply("strict.yaml", policy)
    await eventually(refused)
    through, _ = await asyncio.gather(gateway.many(50, "/echo"), refused())
    assert {answer.status for answer in through} == {200}
    shop.remove("strict.yaml")
    await eventually(let_in)
