"""What the control plane tells about users' objects and pods: status, Events, coverage, put together."""

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from weft_cli.control_plane import ControlPlane
from weft_cli.serve.address import split_address
from weft_cli.serve.certificates import Part
from weft_cli.serve.options import ClusterOptions
from weft_kube.client import Api
from weft_operator.coverage.uncovered import Scope
from weft_operator.coverage.watch import CoverageWatch
from weft_operator.events import EventRecorder
from weft_operator.ingest.run import Ingest
from weft_operator.status import replica
from weft_operator.status.findings import View
from weft_operator.status.peers import Peers, peer_addresses
from weft_operator.status.writer import StatusWriter


class Reporting:
    """All that tells. Every replica answers the leader's questions about its proxies; only the leader writes."""

    def __init__(
        self,
        api: Api,
        control_plane: ControlPlane,
        ingest: Ingest,
        options: ClusterOptions,
        *,
        scope: Callable[[], Scope],
    ) -> None:
        fanout, registry = control_plane.fanout, control_plane.registry
        self._options = options
        self._registry = registry
        self._local = replica.Local(
            observations=ingest.observations,
            progress=fanout.progress,
            refused=lambda: (origin for each in fanout.rejections() for origin in each.origins),
            ready=lambda: ingest.barrier.is_open,
        )
        self._peers = Peers(self._local, self._addresses)
        self._recorder = EventRecorder(api, instance=options.pod_name)
        findings = View(registry, fanout.commit)
        self._writer = StatusWriter(
            api, ingest.observations, findings, self._peers.ask, self._recorder, served=ingest.served
        )
        fanout.answered = self._writer.answered
        self._coverage = CoverageWatch(registry, scope, fanout.commit, metrics=control_plane.metrics)

    def routes(self) -> Sequence[web.RouteDef]:
        """What the other replicas ask, on the HTTP port."""
        handle = replica.handler(self._local)
        return (web.get(replica.PATH, handle), web.post(replica.PATH, handle))

    def everybodys(self) -> tuple[Part, ...]:
        """What runs on every replica."""
        return ((self._coverage.count, "coverage"),)

    def leaders(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        """What runs where this replica leads."""
        return (self._write, self._recorder.run, lambda: self._coverage.mark(self._recorder))

    async def _write(self) -> None:
        async with self._peers:
            await self._writer.run()

    def _addresses(self) -> Sequence[str]:
        options = self._options
        return peer_addresses(
            self._registry,
            namespace=options.namespace,
            service=options.name,
            own=options.pod_ip,
            port=split_address(options.http)[1],
        )
