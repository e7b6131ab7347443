"""Connections to an API server that hangs or forgets who we are, and what is left of them at the end: nothing."""

import asyncio
import contextlib
import gc
import socket
import ssl
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from weft_kube import connections as module
from weft_kube.client import Api
from weft_kube.connections import Connections
from weft_kube.errors import ApiError, Forbidden
from weft_kube.login import Login
from weft_kube.resource import PODS

BEGUN = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{"type":"BOOKMARK"}\n\r\n'


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's context, for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    path = tmp_path / "server.pem"
    path.write_bytes(
        pem
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cadata=pem.decode())


@pytest.fixture
def hanging(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[Login]:
    """A server that begins an answer and then does nothing any more, as a process that is stopped or swaps."""
    released = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            plain, _ = listener.accept()
            with plain, tls[0].wrap_socket(plain, server_side=True) as connection:
                connection.recv(65536)
                connection.sendall(BEGUN)
                released.wait(20)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve)
        serving.start()
        yield Login(server=f"https://localhost:{listener.getsockname()[1]}", tls=tls[1], authorization=str)
        released.set()
        listener.shutdown(socket.SHUT_RDWR)
        serving.join()


def unclosed(work: Coroutine[Any, Any, None]) -> list[str]:
    """What a loop leaves open when it ends right after some work."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(work)
        gc.collect()
    return [str(each.message) for each in caught if each.category is ResourceWarning]


def test_a_watch_broken_off_while_the_server_hangs_leaves_no_socket(hanging: Login) -> None:
    async def watch_and_stop() -> None:
        async with Api(hanging) as api:
            lines = api.watch(PODS, resource_version="1")
            assert await anext(lines) == b'{"type":"BOOKMARK"}'
            await lines.aclose()

    assert unclosed(watch_and_stop()) == []


@pytest.mark.parametrize("turns", [0, 5, 15, 30, 60, 120])
def test_a_request_that_is_cancelled_on_its_way_leaves_no_socket(hanging: Login, turns: int) -> None:
    async def ask_and_stop() -> None:
        async with Api(hanging) as api:
            asking = asyncio.create_task(api.get(PODS, "a", "n"))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking

    assert unclosed(ask_and_stop()) == []


async def test_the_servers_certificate_may_have_another_name_than_its_address(hanging: Login) -> None:
    at_address = replace(hanging, server=hanging.server.replace("localhost", "127.0.0.1"), server_name="localhost")
    async with Api(at_address) as api:
        lines = api.watch(PODS, resource_version="1")
        assert await anext(lines) == b'{"type":"BOOKMARK"}'
        await lines.aclose()


async def test_a_peer_that_vanished_is_noticed_by_the_kernel(hanging: Login) -> None:
    connections = Connections(hanging)
    async with connections.session("weft").get(hanging.server) as response:
        assert response.connection is not None
        assert response.connection.transport is not None
        made = response.connection.transport.get_extra_info("socket")
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
    await connections.close()


Handler = Callable[[web.Request], Any]


@asynccontextmanager
async def answering(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        yield f"http://{server.host}:{server.port}"


@pytest.fixture
def read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused token may be read again at once."""
    monkeypatch.setattr(module, "_REFUSED_LIFE", 0.0)


@pytest.mark.usefixtures("read_again")
async def test_a_token_that_is_refused_is_read_again_and_the_request_sent_again() -> None:
    """A service account that was created anew, or a laptop that slept, has a token that expired before its time."""
    valid = "Bearer old"

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers["Authorization"] != valid:
            return web.json_response({"reason": "Unauthorized"}, status=401)
        if "watch" in request.query:
            return web.Response(body=b'{"type":"BOOKMARK"}\n')
        return web.json_response({"body": await request.text()})

    async with answering(answer) as server, Api(Login(server=server, tls=None, authorization=lambda: valid)) as api:
        assert await api.create(PODS, {"a": 1}, "n") == {"body": '{"a":1}'}
        valid = "Bearer new"
        assert await api.create(PODS, {"a": 2}, "n") == {"body": '{"a":2}'}
        valid = "Bearer newer"
        assert [line async for line in api.watch(PODS, resource_version="1") if line] == [b'{"type":"BOOKMARK"}']


async def test_a_token_that_stays_refused_is_not_read_for_every_request() -> None:
    """It may come from a plugin, which may ask a server of its own."""
    reads: list[None] = []

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"reason": "Unauthorized"}, status=401)

    def authorization() -> str:
        reads.append(None)
        return "Bearer t"

    async with answering(answer) as server, Api(Login(server=server, tls=None, authorization=authorization)) as api:
        for _ in range(5):
            with pytest.raises(Forbidden):
                await api.get(PODS, "a", "n")
    assert len(reads) <= 2


async def test_nobody_but_the_api_server_is_given_the_token() -> None:
    seen: list[str | None] = []

    async def other(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({})

    async with answering(other) as elsewhere:

        async def answer(_request: web.Request) -> web.Response:
            raise web.HTTPFound(elsewhere)

        async with answering(answer) as server:
            login = Login(server=server, tls=None, authorization=lambda: "Bearer t")
            async with Api(login) as api:
                with pytest.raises(ApiError, match="302"):
                    await api.get(PODS, "a", "n")
            followed = Connections(login)
            async with followed.session("weft").get(server) as response:
                assert response.status == 200
            await followed.close()
    assert seen == [None]
