"""Certificates of `weft up` that live for seconds are renewed under load without a failed request."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.standalone.conftest import Answer, Client, Mesh

pytestmark = pytest.mark.envoy

PRODUCTS = "/api/v1/products"
LIFETIME = 4
SHORT_CONNECTIONS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: productpage}
spec:
  host: productpage
  trafficPolicy:
    connectionPool:
      http: {maxRequestsPerConnection: 10}
"""
"""So that there are handshakes all the time: a connection lives on with the certificate that it began with."""


async def serial_number(admin: "Client") -> str:
    """Which certificate a proxy shows, by the number that its issuer gave it."""
    certificates = (await admin.get("/certs")).json["certificates"]
    (leaf,) = {each["cert_chain"][0]["serial_number"] for each in certificates if each.get("cert_chain")}
    return str(leaf)


async def stat(admin: "Client", name: str) -> int:
    lines = (await admin.get(f"/stats?usedonly&filter={name}")).body.decode().splitlines()
    return sum(int(line.rpartition(": ")[2]) for line in lines)


async def test_renewal_under_load_fails_no_request(
    launch: "Callable[..., Mesh]", connect: "Callable[[int], Client]", eventually: Callable[..., Awaitable[None]]
) -> None:
    mesh = launch(
        "gateway.yaml", "productpage.yaml", "routing.yaml", options=("--certificate-lifetime", f"{LIFETIME}s")
    )
    mesh.apply("short-connections.yaml", SHORT_CONNECTIONS)
    mesh.wait_until_up(PRODUCTS)
    gateway = connect(mesh.port)
    admins = [connect(mesh.admin(pod)) for pod in ("bookshop-gateway-0", "productpage-v1-0")]
    handshakes = "^listener.*ssl.handshake"

    async def handshakes_go_on() -> None:
        before = await stat(admins[1], handshakes)
        await gateway.many(50, PRODUCTS)
        assert await stat(admins[1], handshakes) - before >= 4

    await eventually(handshakes_go_on)
    shown: list[set[str]] = [set(), set()]
    answers: list[Answer] = []
    end = time.monotonic() + 3 * LIFETIME
    while time.monotonic() < end:
        answers += await gateway.many(50, PRODUCTS)
        for serials, admin in zip(shown, admins, strict=True):
            serials.add(await serial_number(admin))
        await asyncio.sleep(0.05)
    assert Counter(answer.status for answer in answers) == {200: len(answers)}
    assert all(len(serials) >= 3 for serials in shown)
    assert await stat(admins[1], "ssl.(fail_verify|connection_error)") == 0
    assert mesh.end(signal.SIGTERM) == 0
    assert mesh.left() == []
