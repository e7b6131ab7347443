"""One stream: requests from a channel into a `Session`, its responses into the channel.

Two tasks share the session, and only one of them writes. It asks for the next response when the last one has left, so
whatever a slow proxy has not taken is not even made yet.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol

import structlog

from weft_core.errors import ProtocolFault
from weft_core.proxy import ProxyId
from weft_core.spiffe import SpiffeId
from weft_xds.delta import PATIENCE, Session
from weft_xds.fanout import Fanout, Marks
from weft_xds.identity import Authorize
from weft_xds.metrics import XdsMetrics
from weft_xds.status import ProxyStatus, type_statuses
from weft_xds.wire import Request, decode_request, encode_response

FIRST_REQUEST: Final = 10.0
"""Seconds that a stream may be open without saying who it is."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Refused(ProtocolFault):
    """The proxy may not have this stream; the text says why."""


class Channel(Protocol):
    """A transport's bidirectional stream of whole messages."""

    async def read(self) -> bytes | None:
        """The next message; None once the proxy has closed its side."""
        ...

    async def write(self, data: bytes) -> None:
        """Send a message; returns when the transport has room for the next."""
        ...


class Stream:
    """A proxy's stream from its first request to its end; a `fanout.Subscriber`."""

    def __init__(self, channel: Channel, fanout: Fanout, metrics: XdsMetrics, *, patience: float = PATIENCE) -> None:
        self._channel = channel
        self._fanout = fanout
        self._metrics = metrics
        self._patience = patience
        self._clock = asyncio.get_running_loop().time
        self._opened = self._clock()
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._changed_at: float | None = None
        self._session: Session
        self._proxy: ProxyId
        self._node_id = ""

    async def run(self, identity: SpiffeId | None, authorize: Authorize) -> None:
        """Serve the stream until either side ends it.

        Raises Refused where `authorize` does, and ProtocolFault where the proxy breaks the protocol.
        """
        async with asyncio.timeout(FIRST_REQUEST):
            data = await self._channel.read()
        if data is None:
            return
        request, node = decode_request(data)
        if node is None:
            raise ProtocolFault("the first request on a stream must carry a node")
        self._proxy = _authorized(authorize, identity, node.id, node.metadata)
        self._node_id = node.id
        log = _log.bind(proxy=str(self._proxy), node_id=node.id, identity=str(identity) if identity else None)
        self._session = Session(self._fanout.join(self._proxy, self), patience=self._patience)
        log.info("xds_stream_opened")
        try:
            self._receive(request)
            await self._first_of(self._read(), self._write(), self._closing.wait())
        finally:
            self._fanout.leave(self._proxy, self)
            log.info("xds_stream_closed", seconds=round(self._clock() - self._opened, 3))

    def close(self) -> None:
        """End the stream in good order; the proxy will open another one."""
        self._closing.set()

    async def _first_of(self, *parts: Any) -> None:
        """Run the parts until one ends; raises what it raised, after the others have ended too."""
        tasks = [asyncio.ensure_future(part) for part in parts]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _read(self) -> None:
        while (data := await self._channel.read()) is not None:
            request, _ = decode_request(data)
            self._receive(request)

    def _receive(self, request: Request) -> None:
        now = self._clock()
        if request.error is not None:
            self._metrics.rejected(request.type_url)
        self._session.receive(request)
        if self._session.waiting:
            self._wake.set()
        elif self._changed_at is not None and self._session.settled:
            self._metrics.converged(now - self._changed_at)
            self._changed_at = None
        if request.nonce:
            self._fanout.answered()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            while (response := self._session.poll(self._clock())) is not None:
                data = encode_response(
                    type_url=response.type_url,
                    nonce=response.nonce,
                    bodies=response.bodies,
                    removed=response.removed,
                )
                self._metrics.pushed(response.type_url, len(data))
                await self._channel.write(data)
            if self._changed_at is not None and self._session.settled:
                self._changed_at = None  # the change was none to this proxy
            deadline = self._session.deadline(self._clock())
            timer = loop.call_at(deadline, self._wake.set) if deadline is not None else None
            try:
                await self._wake.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    # the fan-out's side

    def mark(self, marks: Marks) -> None:
        """Look at these resources again, soon."""
        cares = False
        for type_url, names in marks.items():
            cares |= self._session.mark(type_url, names)
        if cares:
            if self._changed_at is None:
                self._changed_at = self._clock()
            self._wake.set()

    def acknowledged(self, type_url: str, name: str, version: str) -> bool:
        """Whether the proxy has ACKed this version and has it still."""
        subscription = self._session.subscription(type_url)
        return subscription is not None and subscription.acknowledged(name, version)

    def has(self, type_url: str, name: str, version: str) -> bool:
        """As `acknowledged`; or the proxy has everything that it wants, and does not want this."""
        return self._session.has(type_url, name, version)

    def settled(self) -> bool:
        """Whether the proxy has ACKed all there is for it."""
        return self._session.complete and self._session.settled

    def status(self) -> ProxyStatus | None:
        """How far the proxy is; None before its first request."""
        if not self._node_id:
            return None
        return ProxyStatus(
            proxy=self._proxy,
            node_id=self._node_id,
            connected_for=self._clock() - self._opened,
            complete=self._session.complete,
            types=type_statuses(self._session),
        )


def _authorized(authorize: Authorize, identity: SpiffeId | None, node_id: str, metadata: Mapping[str, Any]) -> ProxyId:
    verdict = authorize(identity, node_id, metadata)
    if isinstance(verdict, str):
        raise Refused(verdict)
    return verdict
