"""The server that all services share: reads requests, asks the service's handler, writes and logs the answers."""

import asyncio
import contextlib
import signal
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

from messages import Identity, Request, Response

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
"""A service: takes a request, gives the answer."""

_PATIENCE = 10.0
"""Seconds that a request which has begun is given once the end is asked for."""


class Busy:
    """Requests that are being answered: `with busy: …` for each. `stopping` once no more are wanted."""

    def __init__(self) -> None:
        self.stopping = False
        self._requests = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __enter__(self) -> None:
        self._requests += 1
        self._idle.clear()

    def __exit__(self, *_error: object) -> None:
        self._requests -= 1
        if not self._requests:
            self._idle.set()

    async def idle(self, seconds: float) -> None:
        """Wait until nothing is being answered, but no longer than this."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)


async def serve(identity: Identity, handler: Handler, *, host: str, port: int) -> None:
    """Answer requests until SIGTERM or SIGINT; those that have begun are finished."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    busy = Busy()
    server = await listen(identity, handler, host=host, port=port, busy=busy)
    print(f"{identity.service} {identity.version} listens on {host}:{port}", flush=True)
    await stopped.wait()
    server.close()
    busy.stopping = True
    await busy.idle(_PATIENCE)


async def listen(
    identity: Identity, handler: Handler, *, host: str, port: int, busy: Busy | None = None
) -> asyncio.Server:
    """Begin to answer requests; port 0 takes a free one."""
    state = busy or Busy()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await _serve_one(reader, writer, identity, handler, state):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the peer has gone: nobody is left to tell
        finally:
            writer.close()

    return await asyncio.start_server(connected, host, port)


async def _serve_one(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, identity: Identity, handler: Handler, busy: Busy
) -> bool:
    """Answer one request; return whether the connection stays open for another."""
    try:
        request = await Request.read(reader)
    except ValueError as error:
        writer.write(Response.of_json({"error": f"bad request: {error}"}, status=400).encode(keep_open=False))
        return False
    with busy:
        return await _respond(request, writer, identity, handler, busy)


async def _respond(
    request: Request, writer: asyncio.StreamWriter, identity: Identity, handler: Handler, busy: Busy
) -> bool:
    """Write the answer; return whether the connection stays open for another request."""
    begin = time.perf_counter()
    response = await _answer(request, handler)
    response = replace(response, headers={**response.headers, "x-served-by": identity.as_header()})
    keep_open = request.headers.get("connection", "").lower() != "close" and not busy.stopping
    # A HEAD is answered with the header that GET would have, and no body.
    encoded = response.encode(keep_open=keep_open)
    writer.write(encoded.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if request.method == "HEAD" else encoded)
    await writer.drain()
    _log(request, response, time.perf_counter() - begin)
    return keep_open


async def _answer(request: Request, handler: Handler) -> Response:
    """Ask the handler; the kubelet's question is the same for all services."""
    if request.segments == ("healthz",):
        return Response.of_json({"status": "ok"})
    try:
        return await handler(request)
    except Exception:
        traceback.print_exc()
        return Response.of_json({"error": "internal error"}, status=500)


def _log(request: Request, response: Response, seconds: float) -> None:
    """Write a line per request, but none for the probes that come every second."""
    if request.segments != ("healthz",):
        trace = request.headers.get("x-request-id", "-")
        line = f"{request.method} {request.path} {response.status} {seconds * 1000:.1f} ms {trace}"
        print(line.encode("unicode_escape").decode(), flush=True)
