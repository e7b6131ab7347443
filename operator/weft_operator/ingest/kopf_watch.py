"""Kopf at work: its watches of the mesh's kinds, as events in our loop.

Kopf runs in a thread with a loop of its own. Embedded in ours it would take over the signals, and when it ends it
cancels every task that it finds, the xDS server's too; and its 0.8 ms of work per event would delay those of others.
In its thread it can fail, and be started again, without anybody noticing more than a pause.

Only `on.event` handlers are registered: all others write annotations and finalizers onto users' objects. After a 410
kopf lists anew in silence, and tells nobody what vanished meanwhile. Its HTTP requests do tell, so they are looked at:
a watch that follows a list is the moment for a list of our own.
"""

import asyncio
import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import structlog

from weft_kube.connections import Connections
from weft_kube.login import Login
from weft_kube.resource import Resource
from weft_operator.ingest.kopf_responses import KopfResponse

if TYPE_CHECKING:
    import kopf

Deliver = Callable[[str, str | None, Mapping[str, Any]], None]
"""Takes an event: kind, type (ADDED, MODIFIED, DELETED, or None from a list of kopf's) and the object."""

_RETRY: Final = 1.0
"""Seconds between kopf's tries to reach the API server, for as long as it takes."""
_STOPPING: Final = 5.0
"""Seconds that kopf has for its end; after that it is left behind."""
_WORKERS: Final = 500
"""Objects that are handled at the same time. A worker that has nothing to do is gone after `_IDLE` seconds."""
_IDLE: Final = 0.1

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class _Patience:
    """Endless back-offs: kopf's own come to an end, and its operator with them."""

    def __iter__(self) -> Iterator[float]:
        return itertools.repeat(_RETRY)


class KopfWatch:
    """Kopf, watching some resources of all namespaces.

    `deliver` is called in the loop in which `run` is awaited, for every event, in the order of each object's.
    `relisted` is called there with the kind whenever kopf has listed it, the first time included, and watches it from
    there on.
    """

    def __init__(
        self, login: Login, resources: Sequence[Resource], deliver: Deliver, relisted: Callable[[str], None]
    ) -> None:
        self._login = login
        self._resources = tuple(resources)
        self._by_path = {resource.path(): resource.kind for resource in self._resources}
        self._deliver = deliver
        self._relisted = relisted
        self._loop: asyncio.AbstractEventLoop
        self._stop: Callable[[], object] = lambda: None
        """Ends kopf, from any thread."""
        self._stopping = False
        self._listed: set[str] = set()
        """Kinds that kopf has listed, and does not watch again yet."""

    async def run(self) -> None:
        """Watch, until cancelled. Raises what ended kopf."""
        self._loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = self._loop.create_future()
        threading.Thread(target=self._main, args=(ended,), name="kopf", daemon=True).start()
        try:
            await asyncio.shield(ended)
        finally:
            self._stopping = True
            with contextlib.suppress(RuntimeError):  # it is over already
                self._stop()
            await asyncio.wait([ended], timeout=_STOPPING)
            if ended.done():
                ended.exception()
            else:
                _log.warning("kopf_left_behind")

    # in kopf's thread

    def _main(self, ended: asyncio.Future[None]) -> None:
        error: BaseException | None = None
        try:
            asyncio.run(self._operate())
        except BaseException as caught:  # whatever it is, it must not be lost with the thread
            error = caught
        finally:
            self._call(_finish, ended, error)

    async def _operate(self) -> None:
        import kopf  # noqa: PLC0415 - half a second, in which nobody waits for it here

        _quieten()
        settings, loop = _settings(), asyncio.get_running_loop()
        connections = Connections(self._login)
        registry = self._registry(connections)
        working = loop.create_task(
            kopf.operator(registry=registry, settings=settings, clusterwide=True, standalone=True)
        )
        self._stop = lambda: loop.call_soon_threadsafe(working.cancel)
        if self._stopping:
            working.cancel()
        try:
            await working
        finally:
            await connections.close()

    def _registry(self, connections: Connections) -> "kopf.OperatorRegistry":
        import kopf  # noqa: PLC0415

        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        async def log_in(**_: Any) -> kopf.AiohttpSession:
            session = connections.session("weft-kopf", self._look, responses=KopfResponse)
            return kopf.AiohttpSession(server=self._login.server, aiohttp_session=session)

        for resource in self._resources:
            self._watch(registry, resource)
        return registry

    def _watch(self, registry: "kopf.OperatorRegistry", resource: Resource) -> None:
        import kopf  # noqa: PLC0415

        @kopf.on.event(
            group=resource.group,
            version=resource.version,
            plural=resource.plural,
            id=resource.plural,
            registry=registry,
        )
        async def arrived(event: Any, **_: Any) -> None:
            self._call(self._deliver, resource.kind, event["type"], event["object"])

    async def _look(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Look at kopf's requests: a watch that follows a list is the news."""
        response = await handler(request)
        kind = self._by_path.get(request.url.path)
        if kind is None or response.status >= 400:
            return response
        if "watch" not in request.url.query:
            self._listed.add(kind)
            return response
        if isinstance(response, KopfResponse):
            response.lines()
        if kind in self._listed:
            self._listed.discard(kind)
            self._call(self._relisted, kind)
        return response

    def _call(self, function: Callable[..., None], *args: Any) -> None:
        """Call in our loop; nowhere, when that is closed by now."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *args)


def _finish(ended: asyncio.Future[None], error: BaseException | None) -> None:
    if ended.done():
        return
    if error is None or isinstance(error, asyncio.CancelledError):
        ended.set_result(None)
    else:
        ended.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))


def _settings() -> "kopf.OperatorSettings":
    import kopf  # noqa: PLC0415

    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True  # the kinds are fixed, and CRDs need not be readable
    settings.peering.standalone = True
    settings.process.ultimate_exiting_timeout = None  # it would kill the whole process
    settings.queueing.worker_limit = _WORKERS
    settings.queueing.idle_timeout = _IDLE
    settings.queueing.exit_timeout = 1.0
    settings.networking.error_backoffs = _Patience()
    settings.networking.request_timeout = 30.0
    settings.networking.connect_timeout = 10.0
    settings.watching.chunk_size = 500
    return settings


def _quieten() -> None:
    """Kopf logs every failed try as an error. The reflectors tell of the same outage once, and well."""
    for name in ("kopf._cogs.clients.watching", "kopf._core.reactor.observation", "kopf._core.reactor.running"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
