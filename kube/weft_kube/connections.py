"""Connections to the API server: who we are there, sockets that notice a dead peer, and an end that leaves none open.

aiohttp says goodbye to a TLS peer in the background, for up to 30 s, and its sessions don't wait for that. A watch that
is broken off while the server hangs would outlive its event loop, so the sockets are counted here, and cut at the end.
"""

import asyncio
import contextlib
import socket
import time
import weakref
from typing import Any, Final

import aiohttp
from yarl import URL

from weft_kube.login import Login

_TOKEN_LIFE: Final = 60.0
"""Seconds after which the token is read anew; the kubelet replaces it long before it expires."""
_REFUSED_LIFE: Final = 1.0
"""As above, of a token that the server refuses: a newer one may be there, but a plugin must not run all the time."""
_READING: Final = 30.0
"""Seconds that a kubeconfig's plugin has to come up with a token."""
_CUTTING: Final = 2.0
"""Seconds in which the loop closes sockets that were cut; it takes two of its turns."""

_KEEP_ALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 45_000}
"""A peer that vanished without a word is noticed within 45 s (by default two hours), as Kubernetes' own clients do by
HTTP/2 pings. Milliseconds in the last one, and not every system has all of them."""

_UNPACKED: Final = "identity"
"""How answers come, as with Kubernetes' own components: in a cluster, packing takes longer than sending."""

_Address = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]
"""As `getaddrinfo` has it."""


class NoToken(aiohttp.ClientConnectionError):
    """No token could be had. As with a server that is not there, a later try may work."""


class Connections:
    """HTTP sessions with one login. Belongs to one event loop; `close` comes last there."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._server = URL(login.server).origin()
        self._sessions: list[aiohttp.ClientSession] = []
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._reading = asyncio.Lock()
        self._token = ""
        self._read_at = float("-inf")

    def session(
        self,
        user_agent: str,
        *middlewares: aiohttp.ClientMiddlewareType,
        responses: type[aiohttp.ClientResponse] = aiohttp.ClientResponse,
    ) -> aiohttp.ClientSession:
        """A session whose requests are authorized. `middlewares` see each request once, before that."""
        connector = aiohttp.TCPConnector(ssl=self._login.tls or False, limit=0, socket_factory=self._socket)
        session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": user_agent, "Accept-Encoding": _UNPACKED},
            middlewares=(*middlewares, self._authorized),
            response_class=responses,
        )
        self._sessions = [*(each for each in self._sessions if not each.closed), session]
        return session

    async def close(self) -> None:
        """Close all sessions, and wait until their sockets are closed too."""
        for session in self._sessions:
            await session.close()
        for each in self._open():
            with contextlib.suppress(OSError):  # not connected yet, or no longer
                each.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + _CUTTING
        while self._open() and time.monotonic() < deadline:  # noqa: ASYNC110 - sockets tell nobody of their end
            await asyncio.sleep(0.001)

    def _open(self) -> list[socket.socket]:
        return [each for each in self._sockets if each.fileno() >= 0]

    def _socket(self, address: _Address) -> socket.socket:
        family, kind, protocol, *_ = address
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEP_ALIVE.items():
            if (option := getattr(socket, name, None)) is not None:
                made.setsockopt(socket.IPPROTO_TCP, option, value)
        self._sockets.add(made)
        return made

    async def _authorized(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send with the token of the moment; a refused one may have been replaced since it was read.

        Nobody but the API server gets it, wherever its answers may lead.
        """
        if request.url.origin() != self._server:
            return await handler(request)
        request.server_hostname = self._login.server_name or None
        token = await self._current()
        response = await handler(_carrying(request, token))
        if response.status == 401 and (newer := await self._current(refused=token)) != token:
            response.release()
            response = await handler(_carrying(request, newer))
        return response

    async def _current(self, refused: str | None = None) -> str:
        """The token, read anew where it is time; whoever comes meanwhile waits for the one that reads.

        Raises NoToken. A kubeconfig's plugin is a program of somebody else's: what the official client raises for it is
        no closed set.
        """
        async with self._reading:
            life = _REFUSED_LIFE if refused == self._token else _TOKEN_LIFE
            if time.monotonic() - self._read_at >= life:
                try:
                    async with asyncio.timeout(_READING):
                        self._token = await asyncio.to_thread(self._login.authorization)
                except Exception as error:
                    raise NoToken(f"no token for the API server: {str(error) or type(error).__name__}") from error
                self._read_at = time.monotonic()
            return self._token


def _carrying(request: aiohttp.ClientRequest, token: str) -> aiohttp.ClientRequest:
    if token:
        request.headers["Authorization"] = token
    return request
