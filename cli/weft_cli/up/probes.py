"""Readiness probes: whether a process that runs also answers.

A probe is any coroutine function without arguments that returns whether the process is ready; the supervisor
calls it until it says yes. The two here follow the kubelet's tcpSocket and httpGet.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

Probe: TypeAlias = Callable[[], Awaitable[bool]]

_TIMEOUT = 1.0
"""Seconds for one attempt, the kubelet's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpProbe:
    """Ready when a TCP connection is accepted."""

    port: int
    host: str = "127.0.0.1"

    async def __call__(self) -> bool:
        """Try once."""
        try:
            async with asyncio.timeout(_TIMEOUT):
                _, writer = await asyncio.open_connection(self.host, self.port)
        except (OSError, TimeoutError):
            return False
        await _close(writer)
        return True

    def __str__(self) -> str:
        return f"a connection to {self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProbe:
    """Ready when a GET is answered with a status from 200 to 399."""

    port: int
    path: str = "/"
    host: str = "127.0.0.1"

    async def __call__(self) -> bool:
        """Try once, on a connection of its own."""
        try:
            async with asyncio.timeout(_TIMEOUT):
                reader, writer = await asyncio.open_connection(self.host, self.port)
                try:
                    request = f"GET {self.path} HTTP/1.1\r\nHost: {self.host}\r\nConnection: close\r\n\r\n"
                    writer.write(request.encode())
                    return _is_success(await reader.readline())
                finally:
                    await _close(writer)
        except (OSError, TimeoutError):
            return False

    def __str__(self) -> str:
        return f"GET http://{self.host}:{self.port}{self.path}"


def _is_success(status_line: bytes) -> bool:
    """Read `HTTP/1.1 200 OK`; an empty or foreign line is no success."""
    _, _, rest = status_line.partition(b" ")
    return status_line.startswith(b"HTTP/") and rest[:1] in {b"2", b"3"}


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close a connection whose peer may have closed it first."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
