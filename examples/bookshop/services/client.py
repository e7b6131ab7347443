"""Calls from one service to another: through the sidecar where HTTP_PROXY says so, directly otherwise."""

import asyncio
from collections.abc import Mapping
from typing import Self
from urllib.parse import urlsplit

from messages import Response, encode_head


class Client:
    """Sends GET requests, each on a connection of its own: keeping connections is the sidecar's work.

    The timeout is only there so that nothing waits for ever. What is reasonable, and how often to try again, is left
    to the mesh.
    """

    def __init__(self, proxy: tuple[str, int] | None = None, *, timeout: float = 30.0) -> None:
        self._proxy = proxy
        self._timeout = timeout

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Take the proxy from HTTP_PROXY, or http_proxy: a URL such as http://127.0.0.1:15001."""
        url = urlsplit(environment.get("HTTP_PROXY") or environment.get("http_proxy") or "")
        return cls((url.hostname, url.port or 80) if url.hostname else None)

    async def get(self, url: str, headers: Mapping[str, str]) -> Response:
        """GET a URL. What goes wrong on the way comes back as an answer, 502 or 504 as a proxy would give."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._get(url, headers)
        except TimeoutError:
            return Response.of_json({"error": f"no answer from {url}"}, status=504)
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            return Response.of_json({"error": f"cannot reach {url}: {error}"}, status=502)

    async def _get(self, url: str, headers: Mapping[str, str]) -> Response:
        parts = urlsplit(url)
        path = parts._replace(scheme="", netloc="", path=parts.path or "/").geturl()
        # RFC 9112, 3.2.2: a proxy is told the whole URL, a server only the path.
        target = url if self._proxy else path
        host, port = self._proxy or (parts.hostname or "", parts.port or 80)
        reader, writer = await asyncio.open_connection(host, port)
        try:
            own = {"host": parts.netloc, "connection": "close"}
            writer.write(encode_head(f"GET {target} HTTP/1.1", own | dict(headers)))
            return await Response.read(reader)
        finally:
            writer.close()
