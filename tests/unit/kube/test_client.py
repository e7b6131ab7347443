"""The client of the Kubernetes API, against a server that answers as the API server does."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from weft_kube.client import Api, PatchType
from weft_kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from weft_kube.login import Login
from weft_kube.resource import CLUSTER_ROLES, CONFIG_MAPS, NAMESPACES, POD_CERTIFICATE_REQUESTS, PODS, SECRETS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Connect = Callable[..., Awaitable[Api]]
"""Of a handler, and of what gives the token."""


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Gives clients of servers that answer every request with one handler."""
    opened: list[Any] = []

    async def start(handler: Handler, authorization: Callable[[], str] = lambda: "Bearer t") -> Api:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        server = TestServer(app)
        await server.start_server()
        login = Login(server=f"http://{server.host}:{server.port}", tls=None, authorization=authorization)
        api = Api(login, timeout=5)
        await api.__aenter__()
        opened.extend((api, server))
        return api

    yield start
    for each in opened:
        await (each.__aexit__(None, None, None) if isinstance(each, Api) else each.close())


def failure(status: int, reason: str = "", **headers: str) -> web.Response:
    return web.json_response({"kind": "Status", "reason": reason, "message": "because"}, status=status, headers=headers)


def test_paths_name_group_namespace_object_and_subresource() -> None:
    assert PODS.path() == "/api/v1/pods"
    assert PODS.path("shop", "a", "status") == "/api/v1/namespaces/shop/pods/a/status"
    assert NAMESPACES.path("ignored", "shop") == "/api/v1/namespaces/shop"
    expected = "/apis/certificates.k8s.io/v1/namespaces/shop/podcertificaterequests"
    assert POD_CERTIFICATE_REQUESTS.path("shop") == expected


@pytest.mark.parametrize("name", ["a/b", "../secrets/s", "a?limit=1", "a#b", "a%2Fb", "a\\b", "a b"])
async def test_a_name_stays_one_segment_of_the_path(connect: Connect, name: str) -> None:
    """Names out of an admission review must not lead to another object than the one that is meant."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"segments": [request.raw_path, *map(unquote, request.raw_path.split("/"))]})

    found = await (await connect(answer)).get(SECRETS, "s", name)
    assert found["segments"][1:] == ["", "api", "v1", "namespaces", name, "secrets", "s"], found
    assert CLUSTER_ROLES.path(name="system:node") == "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node"


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_never_leads_upwards(name: str) -> None:
    """Clients walk such segments before they send a path, quoted or not."""
    for namespace, own in ((name, "s"), ("n", name)):
        with pytest.raises(ValueError, match="no name of secrets"):
            SECRETS.path(namespace, own)


async def test_requests_carry_the_token(connect: Connect) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"token": request.headers["Authorization"], "path": request.path})

    api = await connect(answer)
    assert await api.get(SECRETS, "s", "n") == {"token": "Bearer t", "path": "/api/v1/namespaces/n/secrets/s"}


async def test_requests_made_at_once_at_the_start_all_carry_the_token(connect: Connect) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"token": request.headers.get("Authorization", "")})

    api = await connect(answer)
    answers = await asyncio.gather(*(api.get(SECRETS, "s", "n") for _ in range(5)))
    assert answers == [{"token": "Bearer t"}] * 5


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (410, "Expired", Gone),
        (403, "Forbidden", Forbidden),
        (401, "Unauthorized", Unauthenticated),
        (422, "Invalid", Invalid),
        (500, "InternalError", Unavailable),
        (418, "", ApiError),
    ],
)
async def test_answers_become_errors_by_kind(
    connect: Connect, status: int, reason: str, expected: type[ApiError]
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return failure(status, reason)

    api = await connect(answer)
    with pytest.raises(expected, match="because") as caught:
        await api.create(SECRETS, {}, "n")
    assert type(caught.value) is expected
    assert caught.value.status == status


async def test_an_answer_that_is_no_status_is_told_in_part(connect: Connect) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=502, text="<html>bad gateway")

    api = await connect(answer)
    with pytest.raises(Unavailable, match="<html>bad gateway"):
        await api.create(SECRETS, {}, "n")


async def test_reads_are_tried_again_and_writes_only_where_the_server_has_done_nothing(connect: Connect) -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.method)
        if request.method == "GET" and len(seen) < 3:
            return failure(500)
        return web.json_response({}) if request.method == "GET" else failure(500)

    api = await connect(answer)
    await api.get(SECRETS, "s", "n")
    assert seen == ["GET", "GET", "GET"]
    with pytest.raises(Unavailable):
        await api.create(SECRETS, {}, "n")
    assert seen.count("POST") == 1


async def test_too_many_requests_waits_as_long_as_the_server_asks(connect: Connect) -> None:
    seen: list[float] = []

    async def answer(_request: web.Request) -> web.Response:
        seen.append(asyncio.get_running_loop().time())
        return failure(429, "TooManyRequests", **{"Retry-After": "1"}) if len(seen) == 1 else web.json_response({})

    api = await connect(answer)
    await api.create(SECRETS, {}, "n")
    assert seen[1] - seen[0] >= 0.99


async def test_deleting_what_is_gone_is_done(connect: Connect) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return failure(404, "NotFound")

    api = await connect(answer)
    await api.delete(SECRETS, "s", "n")
    assert await api.find(SECRETS, "s", "n") is None


async def test_a_patch_says_how_it_is_meant(connect: Connect) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(
            {"type": request.content_type, "query": dict(request.query), "body": await request.json()}
        )

    api = await connect(answer)
    applied = await api.patch(CONFIG_MAPS, "c", {"data": {}}, "n", how=PatchType.APPLY, field_manager="weft-test")
    assert applied["type"] == "application/apply-patch+yaml"
    assert applied["query"] == {"fieldManager": "weft-test", "force": "true"}
    merged = await api.patch(CONFIG_MAPS, "c", {"data": {"a": None}}, "n")
    assert (merged["type"], merged["body"]) == ("application/merge-patch+json", {"data": {"a": None}})


async def test_lists_come_page_by_page(connect: Connect) -> None:
    async def answer(request: web.Request) -> web.Response:
        page = int(request.query.get("continue", "0"))
        following = str(page + 1) if page < 2 else ""
        return web.json_response({"metadata": {"continue": following}, "items": [page]})

    api = await connect(answer)
    assert [json.loads(page)["items"] async for page in api.pages(PODS, limit=1)] == [[0], [1], [2]]


async def test_the_next_page_is_on_its_way_while_the_caller_reads_one(connect: Connect) -> None:
    asked = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if "continue" in request.query:
            asked.set()
            return web.json_response({"metadata": {}, "items": []})
        return web.json_response({"metadata": {"continue": "more"}, "items": []})

    pages = (await connect(answer)).pages(PODS)
    await anext(pages)
    async with asyncio.timeout(2):
        await asked.wait()
    assert [json.loads(page) async for page in pages] == [{"metadata": {}, "items": []}]


async def test_a_list_that_nobody_reads_on_asks_for_nothing_more(connect: Connect) -> None:
    async def answer(request: web.Request) -> web.Response:
        if "continue" in request.query:
            await asyncio.sleep(60)
        return web.json_response({"metadata": {"continue": "more"}, "items": []})

    before = asyncio.all_tasks()
    pages = (await connect(answer)).pages(PODS)
    await anext(pages)
    async with asyncio.timeout(2):
        await pages.aclose()
    assert not {task for task in asyncio.all_tasks() - before if "raw" in repr(task.get_coro())}


async def test_answers_are_not_packed(connect: Connect) -> None:
    """Thirty megabytes of Pods take longer to pack and to unpack than to send within a cluster."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"asked": request.headers["Accept-Encoding"]})

    assert await (await connect(answer)).get(PODS, "a", "shop") == {"asked": "identity"}


async def test_a_watch_gives_whole_lines_of_any_length(connect: Connect) -> None:
    long = json.dumps({"type": "ADDED", "object": {"data": "x" * 300_000}}).encode()

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.query["resourceVersion"] == "7"
        response = web.StreamResponse()
        await response.prepare(request)
        for part in (b'{"type":"BOOK', b'MARK"}\n', long, b"\n"):
            await response.write(part)
        return response

    api = await connect(answer)
    lines = [line async for line in api.watch(PODS, resource_version="7", seconds=5)]
    assert lines == [b'{"type":"BOOKMARK"}', long]


@pytest.mark.parametrize("fault", [OSError("no such file"), KeyError("token"), ValueError()])
async def test_a_token_that_cannot_be_read_is_asked_for_again(connect: Connect, fault: Exception) -> None:
    """The kubelet may be replacing the file, and a kubeconfig's plugin is a program that may fail in any way."""
    tokens: list[Exception | str] = ["Bearer late", fault, fault]

    def authorization() -> str:
        token = tokens.pop()
        if isinstance(token, Exception):
            raise token
        return token

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"token": request.headers["Authorization"]})

    api = await connect(answer, authorization)
    with pytest.raises(Unavailable, match=r"no token for the API server: .+"):
        await api.create(PODS, {}, "n")
    assert await api.get(PODS, "p", "n") == {"token": "Bearer late"}


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    login = Login(server="http://127.0.0.1:1", tls=None, authorization=lambda: "")
    async with Api(login, timeout=2) as api:
        with pytest.raises(Unavailable):
            await api.get(PODS, "p", "n")
        with pytest.raises(Unavailable):
            async for _line in api.watch(PODS, resource_version="1"):
                pass


async def test_what_the_server_serves_is_asked_of_discovery(connect: Connect) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/version":
            return web.json_response({"major": "1", "minor": "37+"})
        if request.path == "/apis/certificates.k8s.io/v1":
            return web.json_response({"resources": [{"name": "podcertificaterequests"}]})
        return failure(404, "NotFound")

    api = await connect(answer)
    assert await api.version() == (1, 37)
    assert await api.serves(POD_CERTIFICATE_REQUESTS)
    assert not await api.serves(CONFIG_MAPS)


async def test_a_watch_in_which_nothing_is_heard_for_too_long_is_over(connect: Connect) -> None:
    """A connection that died without a word must not be trusted; what was heard of it counts."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"type":"BOOKMARK"}\n')
        await asyncio.sleep(5)
        return response

    api = await connect(answer)
    lines = [line async for line in api.watch(PODS, resource_version="7", silence=0.2)]
    assert lines == [b'{"type":"BOOKMARK"}']


async def test_a_long_wait_that_the_server_asks_for_is_left_to_the_caller(connect: Connect) -> None:
    """A webhook that waited for it would be long past its own deadline."""

    async def answer(_request: web.Request) -> web.Response:
        return failure(429, "TooManyRequests", **{"Retry-After": "3600"})

    api = await connect(answer)
    with pytest.raises(Unavailable) as caught:
        await asyncio.wait_for(api.get(SECRETS, "s", "n"), 5)
    assert caught.value.retry_after == 3600


@pytest.mark.parametrize("body", ["<html>please log in", "", "[]"])
async def test_an_answer_that_is_not_the_api_servers_is_no_answer(connect: Connect, body: str) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=body)

    api = await connect(answer)
    with pytest.raises(Unavailable, match="no object of the API"):
        await api.get(SECRETS, "s", "n")
    with pytest.raises(Unavailable, match="no list"):
        await anext(api.pages(SECRETS))


async def test_an_object_too_deep_for_a_parser_hides_nothing_else(connect: Connect) -> None:
    """Whoever may write one status could stop the reading of a whole kind, in all namespaces."""
    deep = b'{"metadata":{"name":"deep"},"status":' + b'{"a":' * 5000 + b"1" + b"}" * 5001

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/deep"):
            return web.Response(body=deep)
        return web.Response(body=b'{"metadata":{},"items":[' + deep + b',{"metadata":{"name":"plain"}}]}')

    api = await connect(answer)
    (page,) = [page async for page in api.pages(PODS)]
    assert [item["metadata"]["name"] for item in json.loads(page)["items"]] == ["deep", "plain"]
    assert (await api.get(PODS, "deep", "n"))["metadata"] == {"name": "deep"}
