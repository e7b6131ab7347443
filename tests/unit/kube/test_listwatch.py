"""A reflector, against a server that lists, watches and fails as told."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from weft_core.model.kubernetes import Pod
from weft_kube.client import Api
from weft_kube.listwatch import Key, Reflector
from weft_kube.login import Login
from weft_kube.resource import PODS
from weft_kube.steps import Steps


def pod(name: str, version: int, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "shop", "name": name, "resourceVersion": str(version)}, "spec": spec}


class Server:
    """Answers each list with the next of `lists` (a page, or a status), the last one again and again; watches hang."""

    def __init__(self) -> None:
        self.lists: list[web.Response | dict[str, Any]] = []
        self.watched: list[str] = []
        self.queries: list[dict[str, str]] = []
        self.events: asyncio.Queue[bytes | None] = asyncio.Queue()
        """Lines of the watch of the moment; None ends it."""

    def page(self, *pods: dict[str, Any], version: int, following: str = "") -> None:
        metadata = {"resourceVersion": str(version)} | ({"continue": following} if following else {})
        self.lists.append({"metadata": metadata, "items": list(pods)})

    def fail(self, status: int, reason: str = "") -> None:
        body = {"kind": "Status", "reason": reason, "message": "because"}
        self.lists.append(web.json_response(body, status=status))

    def send(self, kind: str, body: dict[str, Any]) -> None:
        self.events.put_nowait(json.dumps({"type": kind, "object": body}).encode() + b"\n")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        if "watch" not in request.query:
            found = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
            return found if isinstance(found, web.Response) else web.json_response(found)
        self.watched.append(request.query["resourceVersion"])
        response = web.StreamResponse()
        await response.prepare(request)
        while (line := await self.events.get()) is not None:
            await response.write(line)
        return response


class Copy:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.rows: dict[Key, Pod] = {}

    def put(self, row: Pod) -> None:
        self.rows[row.namespace, row.name] = row

    def remove(self, key: Key) -> None:
        self.rows.pop(key, None)

    def retain(self, keys: Collection[Key]) -> None:
        self.rows = {key: row for key, row in self.rows.items() if key in keys}

    @property
    def names(self) -> list[str]:
        return sorted(name for _, name in self.rows)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def copy() -> Copy:
    return Copy()


@pytest.fixture
def reasons() -> list[str]:
    """Why the reflector did not simply go on."""
    return []


@pytest.fixture
async def reflector(server: Server, copy: Copy, reasons: list[str]) -> AsyncIterator[Reflector[Pod]]:
    """A reflector; it runs from the moment on that something is awaited."""
    app = web.Application()
    app.router.add_get("/api/v1/pods", server.handle)
    async with TestServer(app, shutdown_timeout=0) as running:
        login = Login(server=f"http://{running.host}:{running.port}", tls=None, authorization=lambda: "")
        async with Api(login) as api:
            steps = Steps(jitter=lambda: 0.0)
            found = Reflector(api, PODS, Pod, copy, fields="a=b", restarted=reasons.append, steps=steps)
            task = asyncio.create_task(found.run())
            yield found
            task.cancel()
            server.events.put_nowait(None)
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_lists_all_pages_and_watches_from_there(server: Server, copy: Copy, reflector: Reflector[Pod]) -> None:
    server.page(pod("a", 1), version=7, following="more")
    server.page(pod("b", 2), version=7)
    await reflector.synced.wait()
    assert copy.names == ["a", "b"]
    await until(lambda: server.watched == ["7"])
    assert server.queries[1]["continue"] == "more"
    assert {query["fieldSelector"] for query in server.queries} == {"a=b"}


async def test_follows_what_is_added_changed_and_deleted(server: Server, copy: Copy, reflector: Reflector[Pod]) -> None:
    server.page(pod("a", 1), version=7)
    await reflector.synced.wait()
    server.send("ADDED", pod("b", 8))
    server.send("MODIFIED", pod("a", 9, nodeName="n"))
    await until(lambda: copy.names == ["a", "b"] and copy.rows["shop", "a"].spec.node_name == "n")
    server.send("DELETED", pod("a", 10))
    await until(lambda: copy.names == ["b"])


async def test_goes_on_from_the_last_bookmark_after_a_dropped_watch(
    server: Server, copy: Copy, reflector: Reflector[Pod]
) -> None:
    server.page(version=7)
    await reflector.synced.wait()
    server.send("BOOKMARK", {"metadata": {"resourceVersion": "20"}})
    server.events.put_nowait(None)
    await until(lambda: server.watched == ["7", "20"])
    server.send("ADDED", pod("b", 21))
    await until(lambda: copy.names == ["b"])


async def test_lists_anew_and_forgets_what_vanished_where_the_watch_is_too_old(
    server: Server, copy: Copy, reflector: Reflector[Pod], reasons: list[str]
) -> None:
    server.page(pod("a", 1), pod("b", 2), version=7)
    await reflector.synced.wait()
    server.page(pod("b", 2), pod("c", 30), version=40)
    server.lists.pop(0)
    server.send("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})
    await until(lambda: copy.names == ["b", "c"])
    await until(lambda: server.watched == ["7", "40"])
    assert reasons == ["gone"]


async def test_begins_again_where_a_list_expires_between_two_pages(
    server: Server, copy: Copy, reflector: Reflector[Pod], reasons: list[str]
) -> None:
    server.page(pod("a", 1), version=7, following="more")
    server.fail(410, "Expired")
    server.page(pod("b", 8), version=9)
    await reflector.synced.wait()
    assert copy.names == ["b"]
    assert reasons == ["gone"]


async def test_keeps_asking_for_what_it_may_not_read(
    server: Server, copy: Copy, reflector: Reflector[Pod], reasons: list[str]
) -> None:
    server.fail(403, "Forbidden")
    server.fail(401, "Unauthorized")
    server.page(pod("a", 1), version=7)
    await reflector.synced.wait()
    assert reasons == ["forbidden", "unauthenticated"]


async def test_survives_a_server_that_fails_and_answers_nonsense(
    server: Server, copy: Copy, reflector: Reflector[Pod]
) -> None:
    server.lists.append(web.Response(text="<html>"))
    server.lists.append(web.json_response([]))
    server.page(pod("a", 1), version=7)
    await reflector.synced.wait()
    server.events.put_nowait(b"{]\n")
    await until(lambda: server.watched == ["7", "7"])
    assert copy.names == ["a"]


async def test_an_object_that_cannot_be_read_keeps_its_last_version_and_disturbs_no_other(
    server: Server, copy: Copy, reflector: Reflector[Pod]
) -> None:
    server.page(pod("a", 1, nodeName="n"), version=7)
    await reflector.synced.wait()
    server.page(pod("a", 8, nodeName=["?"]), pod("b", 9), version=10)
    server.lists.pop(0)
    server.send("MODIFIED", pod("a", 8, nodeName=["?"]))
    server.send("ERROR", {"code": 410})
    await until(lambda: copy.names == ["a", "b"])
    assert copy.rows["shop", "a"].spec.node_name == "n"
