"""Kopf beside the lists of our own: started late, started again, and never the end of anything."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from weft_core.registry import Registry
from weft_kube.errors import Unavailable
from weft_kube.login import Login
from weft_kube.resource import Resource
from weft_operator.ingest import mesh as mesh_module
from weft_operator.ingest.kopf_watch import KopfWatch
from weft_operator.ingest.metrics import IngestMetrics
from weft_operator.ingest.report import Observations

RESOURCE = Resource(group="networking.istio.io", plural="virtualservices", kind="VirtualService")


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def group(name: str) -> dict[str, Any]:
    return {"name": name, "versions": [{"version": "v1"}], "preferredVersion": {"version": "v1"}}


def served(plural: str, kind: str) -> dict[str, Any]:
    verbs = ["list", "watch", "get", "patch"]
    return {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": True, "verbs": verbs}


class Server:
    """Discovery, a list of one object and watches, as far as kopf needs them."""

    def __init__(self) -> None:
        self.lists = 0
        self.tokens: set[str] = set()
        self.lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.status = b"{}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.tokens.add(request.headers.get("Authorization", ""))
        if request.path == "/apis/networking.istio.io/v1/virtualservices":
            return await (self._watch(request) if "watch" in request.query else self._list())
        answers: dict[str, dict[str, Any]] = {
            "/api": {"versions": ["v1"]},
            "/api/v1": {"resources": [served("namespaces", "Namespace"), served("events", "Event")]},
            "/apis": {"groups": [group("apiextensions.k8s.io"), group(RESOURCE.group)]},
            "/apis/apiextensions.k8s.io/v1": {
                "resources": [served("customresourcedefinitions", "CustomResourceDefinition")]
            },
            "/apis/networking.istio.io/v1": {"resources": [served(RESOURCE.plural, RESOURCE.kind)]},
        }
        found = answers.get(request.path)
        return web.json_response(found) if found else web.json_response({}, status=404)

    async def _list(self) -> web.Response:
        self.lists += 1
        metadata = {"namespace": "shop", "name": "a", "uid": "u", "resourceVersion": "5"}
        item = {"apiVersion": RESOURCE.api_version, "kind": RESOURCE.kind, "metadata": metadata, "status": "STATUS"}
        text = json.dumps({"metadata": {"resourceVersion": "7"}, "items": [item]}).encode()
        body = text.replace(b'"STATUS"', self.status)
        return web.Response(body=body, content_type="application/json")

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while (line := await self.lines.get()) is not None:
            await response.write(line)
        return response


async def test_tells_events_and_when_it_has_listed_anew() -> None:
    server = Server()
    app = web.Application()
    app.router.add_get("/{path:.*}", server.handle)
    events: list[tuple[str, str | None, str]] = []
    relisted: list[str] = []

    def deliver(kind: str, what: str | None, document: Any) -> None:
        events.append((kind, what, document["metadata"]["name"]))

    async with TestServer(app, shutdown_timeout=0) as running:
        login = Login(server=f"http://{running.host}:{running.port}", tls=None, authorization=lambda: "Bearer t")
        task = asyncio.create_task(KopfWatch(login, [RESOURCE], deliver, relisted.append).run())
        await until(lambda: relisted == ["VirtualService"] and events)
        assert events == [("VirtualService", None, "a")]
        assert server.tokens == {"Bearer t"}
        server.lines.put_nowait(b'{"type": "ERROR", "object": {"code": 410}}\n')
        await until(lambda: relisted == ["VirtualService", "VirtualService"])
        assert server.lists == 2
        server.lines.put_nowait(None)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_an_object_too_deep_for_a_parser_does_not_end_the_watches() -> None:
    """Whoever may write one status could blind the control plane to all changes of its kinds."""
    server = Server()
    server.status = b'{"a":' * 5000 + b"1" + b"}" * 5000
    app = web.Application()
    app.router.add_get("/{path:.*}", server.handle)
    events: list[tuple[str | None, str]] = []

    def deliver(_kind: str, what: str | None, document: Any) -> None:
        events.append((what, document["metadata"]["name"]))

    async with TestServer(app, shutdown_timeout=0) as running:
        login = Login(server=f"http://{running.host}:{running.port}", tls=None, authorization=str)
        task = asyncio.create_task(KopfWatch(login, [RESOURCE], deliver, lambda _kind: None).run())
        await until(lambda: events == [(None, "a")])
        for name, status in (("deep", server.status), ("plain", b"{}")):
            metadata = b'"metadata":{"namespace":"shop","name":"%s","uid":"%s","resourceVersion":"8"}'
            line = b'{"type":"ADDED","object":{%s,"status":%s}}\n' % (metadata % (name.encode(), name.encode()), status)
            server.lines.put_nowait(line)
        await until(lambda: sorted(events[1:]) == [("ADDED", "deep"), ("ADDED", "plain")])
        server.lines.put_nowait(None)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_is_started_again_after_it_ended_and_all_kinds_are_listed_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[Sequence[Resource]] = []

    class Failing:
        def __init__(self, _login: Login, resources: Sequence[Resource], *_rest: Any) -> None:
            started.append(resources)

        async def run(self) -> None:
            if len(started) < 3:
                raise RuntimeError("a bug of its own")
            await asyncio.Event().wait()

    async def at_once() -> None:
        return

    monkeypatch.setattr(mesh_module, "KopfWatch", Failing)
    monkeypatch.setattr(mesh_module, "_GATHERING", 0.01)
    cluster = _mesh(at_once)
    task = asyncio.create_task(cluster.run())
    cluster._kinds["VirtualService"].resource = RESOURCE
    cluster._changed_kinds.set()
    await until(lambda: len(started) == 3)
    assert started[-1] == [RESOURCE]
    assert not task.done()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _mesh(before_kopf: Callable[[], Awaitable[None]]) -> mesh_module.MeshIngest:
    class Away:
        """An `Api` without a server."""

        async def pages(self, _resource: Resource) -> Any:
            raise Unavailable("refused")
            yield b""

    return mesh_module.MeshIngest(
        Away(),  # type: ignore[arg-type]
        Login(server="http://nowhere", tls=None, authorization=lambda: ""),
        Registry(),
        Observations(),
        revision="default",
        changed=lambda: None,
        arrived=lambda _kind: None,
        before_kopf=before_kopf,
        metrics=IngestMetrics(CollectorRegistry()),
    )
