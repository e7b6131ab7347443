"""Simulated sidecars: many delta ADS streams from one process, as cheap as they can be.

They ask as Envoy asks (clusters, then their endpoints, then listeners, routes and, where the server has them, virtual
hosts) and ACK everything, but apply nothing. Only the first of them reads what it receives; the others ask for the same
names and look no further than the nonce, so that this process does not become what is measured.

Talks to whoever started it in JSON lines: `{"event": "synced", …}` when all have everything; then, for every line on
stdin, `{"event": "watching"}`, and `{"event": "reached", "at": …, "bytes": …}` when each stream has received something
more and no more has come for a while. Times are of the machine's monotonic clock.
"""

import argparse
import asyncio
import json
import ssl
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from bench.grpc_stream import GrpcStream
from bench.mesh import namespace, sidecar_name
from envoy.config.core.v3.base_pb2 import Node
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse

from weft_xds.types import CDS, EDS, LDS, PREFIX, RDS, VHDS
from weft_xds.wire import METHOD, SERVICE

SERVER_NAME: Final = "weft.bench"
ORDER: Final = (CDS, EDS, LDS, RDS, VHDS)
"""Each is asked for after the first response of the one before."""
IDLE: Final = 0.1
"""Seconds without a response after which what was awaited counts as over; not counted in."""


def say(event: str, **fields: Any) -> None:
    """A line for the runner."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


class Names:
    """What all sidecars ask for, found out by the first."""

    def __init__(self) -> None:
        self._requests: dict[str, bytes] = {}
        self._waiting: defaultdict[str, list[Callable[[bytes], None]]] = defaultdict(list)

    def request(self, type_url: str, send: Callable[[bytes], None]) -> None:
        """Give the encoded subscription to all names of a type to `send`, once it is known."""
        if type_url in self._requests:
            send(self._requests[type_url])
        else:
            self._waiting[type_url].append(send)

    def learn(self, response: bytes) -> None:
        """Read the first sidecar's responses: clusters have endpoints, listeners have routes."""
        message = DeltaDiscoveryResponse.FromString(response)
        if message.type_url == CDS:
            self._know(EDS, [r.name for r in message.resources if r.name.startswith("outbound|")])
        elif message.type_url == LDS:
            self._know(RDS, sorted(set(_routes(Listener.FromString(r.resource.value) for r in message.resources))))

    def _know(self, type_url: str, names: list[str]) -> None:
        if type_url not in self._requests:
            request = DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=names)
            self._requests[type_url] = request.SerializeToString()
            for send in self._waiting.pop(type_url, ()):
                send(self._requests[type_url])


def _routes(listeners: Iterable[Listener]) -> Iterable[str]:
    for listener in listeners:
        for chain in listener.filter_chains:
            for part in chain.filters:
                manager = HttpConnectionManager()
                if part.typed_config.Unpack(manager) and manager.rds.route_config_name:
                    yield manager.rds.route_config_name


def tail(response: bytes) -> DeltaDiscoveryResponse:
    """Type and nonce, which servers write behind the resources, without reading these."""
    start = response.rfind(PREFIX.encode()) - 2
    return DeltaDiscoveryResponse.FromString(response[start:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a sidecar says it is.

    `tls` is the folder with the roots, chain and key by which it proves it; None is plaintext.
    """

    id: str
    metadata: dict[str, Any] = field(default_factory=dict)
    tls: str | None = None


class Sidecar:
    """One stream."""

    def __init__(self, fleet: "Fleet", identity: Identity, *, learns: bool) -> None:
        self._fleet = fleet
        self._identity = identity
        self._learns = learns
        self._asked = {CDS}
        self.received = 0
        self.responses = 0
        self.stream: GrpcStream

    async def connect(self, address: tuple[str, int], tls: ssl.SSLContext | None, server_name: str) -> None:
        """Open the stream, and ask for clusters."""
        self.stream = await GrpcStream.connect(address, f"/{SERVICE}/{METHOD}", self._respond, tls, server_name)
        node = Node(id=self._identity.id)
        node.metadata.update(self._identity.metadata)
        self.stream.send(DeltaDiscoveryRequest(node=node, type_url=CDS).SerializeToString())

    def _respond(self, stream: GrpcStream, response: bytes) -> None:
        self.received += len(response)
        self.responses += 1
        if self._learns:
            self._fleet.names.learn(response)
        end = tail(response)
        stream.send(DeltaDiscoveryRequest(type_url=end.type_url, response_nonce=end.nonce).SerializeToString())
        self._fleet.heard(self)
        following = self._fleet.following.get(end.type_url)
        if following is not None and following not in self._asked:
            self._asked.add(following)
            if following in {EDS, RDS}:
                self._fleet.names.request(following, stream.send)
            else:
                stream.send(DeltaDiscoveryRequest(type_url=following).SerializeToString())


class Fleet:
    """All sidecars of this process."""

    def __init__(self, identities: Sequence[Identity], types: Sequence[str]) -> None:
        self.names = Names()
        self.following = dict(pairwise(types))
        self.sidecars = [Sidecar(self, each, learns=number == 0) for number, each in enumerate(identities)]
        self.last = 0.0
        self._awaited: set[Sidecar] = set()

    def heard(self, sidecar: Sidecar) -> None:
        """Note that a sidecar has had a response and has ACKed it."""
        self.last = time.monotonic()
        self._awaited.discard(sidecar)

    def received(self) -> int:
        """Bytes so far."""
        return sum(sidecar.received for sidecar in self.sidecars)

    async def watch(self) -> None:
        """Tell when each sidecar has had something more, and nothing more comes."""
        before = self.received()
        self._awaited = set(self.sidecars)
        say("watching")
        await self.quiet()
        say("reached", at=self.last, bytes=self.received() - before)

    async def quiet(self) -> None:
        """Wait until all that are awaited have been heard, and nobody for a while."""
        while self._awaited or time.monotonic() - self.last < IDLE:  # noqa: ASYNC110 - silence is no event
            await asyncio.sleep(0.01)


async def serve(options: argparse.Namespace) -> None:
    """Connect all, report, and follow commands until stdin ends."""
    types = ORDER[: options.types]
    identities = _identities(options)
    fleet = Fleet(identities, types)
    host, _, port = options.target.rpartition(":")
    folders = {each.tls for each in identities if each.tls}
    contexts = {folder: _tls(Path(folder)) for folder in folders}
    began = time.monotonic()
    await asyncio.gather(
        *(
            sidecar.connect((host, int(port)), contexts.get(each.tls or ""), options.server_name)
            for sidecar, each in zip(fleet.sidecars, identities, strict=True)
        )
    )
    ended = [sidecar.stream.ended for sidecar in fleet.sidecars]
    while min(s.responses for s in fleet.sidecars) < len(types):
        for stream in ended:
            if stream.done():
                sys.exit(f"a stream has ended: {stream.result()}")
        await asyncio.sleep(0.01)
    await fleet.quiet()
    say("synced", began=began, at=fleet.last, bytes=fleet.received())
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        await fleet.watch()
    for sidecar in fleet.sidecars:
        sidecar.stream.close()
    await asyncio.gather(*ended)


def _identities(options: argparse.Namespace) -> list[Identity]:
    if options.identities:
        return [Identity(**each) for each in json.loads(options.identities.read_text())]
    return [_pod_of_the_mesh(number, options.tls) for number in range(options.count)]


def _pod_of_the_mesh(number: int, tls: str | None) -> Identity:
    where = namespace(number)
    return Identity(id=f"sidecar~10.0.0.1~{sidecar_name(number)}.{where}~{where}.svc.cluster.local", tls=tls)


def _tls(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / "roots.pem"))
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    context.set_alpn_protocols(["h2"])
    return context


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description="simulated sidecars on an xDS server")
    parser.add_argument("--target", required=True, help="HOST:PORT of the server")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--tls", help="folder with roots.pem, chain.pem and key.pem; plaintext without")
    parser.add_argument("--server-name", default=SERVER_NAME, help="what the server's certificate must name")
    parser.add_argument("--identities", type=Path, help="JSON file with an array of identities, in place of --count")
    parser.add_argument("--types", type=int, default=len(ORDER), help="how many types are asked for; 4: not VHDS")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
