"""Answers as kopf reads them."""

import asyncio

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from weft_operator.ingest.kopf_responses import KopfResponse


async def test_a_watch_that_is_given_up_wakes_who_reads_it() -> None:
    """As at the end of each process: kopf closes the answers that it is in the middle of."""

    async def watch(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"type": "ADDED"}\n')
        await asyncio.sleep(60)
        return response

    app = web.Application()
    app.router.add_get("/", watch)
    async with TestServer(app) as server, aiohttp.ClientSession(response_class=KopfResponse) as session:
        response = await session.get(server.make_url("/"))
        assert isinstance(response, KopfResponse)
        response.lines()
        lines = response.content.iter_chunked(1024)
        assert await anext(lines) == b'{"type": "ADDED"}\n'
        waiting = asyncio.ensure_future(anext(lines))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        response.close()
        with pytest.raises(aiohttp.ClientConnectionError):
            await waiting
