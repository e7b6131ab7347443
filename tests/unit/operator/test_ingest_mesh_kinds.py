"""All mesh kinds: which are served, in which version, and when they are listed again. Without kopf, which waits."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from weft_core.model.kinds import MESH_KINDS
from weft_core.registry import Registry
from weft_kube.errors import Forbidden, NotFound, Unavailable
from weft_kube.login import Login
from weft_kube.resource import Resource
from weft_operator.ingest.mesh import MeshIngest
from weft_operator.ingest.metrics import IngestMetrics
from weft_operator.ingest.report import Observations

KINDS = {kind.kind for kind in MESH_KINDS}


class Cluster:
    """An `Api` that serves some versions of some kinds, each with one object, or fails."""

    def __init__(self) -> None:
        self.versions = {"virtualservices": "v1"}
        self.fault: Exception | None = None
        self.objects = True
        self.lists = 0
        self.task: asyncio.Task[None] | None = None
        self.arrived: set[str] = set()
        self.db = Registry()
        self.mesh = MeshIngest(
            self,  # type: ignore[arg-type]
            Login(server="http://nowhere", tls=None, authorization=lambda: ""),
            self.db,
            Observations(),
            revision="default",
            changed=lambda: None,
            arrived=self.arrived.add,
            before_kopf=asyncio.Event().wait,  # type: ignore[arg-type]
            metrics=IngestMetrics(CollectorRegistry()),
            resync=600,
            poll=0.02,
        )

    def start(self) -> None:
        self.task = asyncio.create_task(self.mesh.run())

    async def pages(self, resource: Resource) -> AsyncIterator[bytes]:
        if self.fault:
            raise self.fault
        if self.versions.get(resource.plural) != resource.version:
            raise NotFound("no such resource")
        self.lists += 1
        metadata = {"namespace": "shop", "name": "a", "uid": "u", "resourceVersion": "5"}
        spec = {"hosts": ["a"], "http": [{"route": [{"destination": {"host": "a"}}]}]}
        item = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": spec}
        items = [item] if self.objects else []
        yield json.dumps({"metadata": {"resourceVersion": str(10 + self.lists)}, "items": items}).encode()


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """It is read from `start` on."""
    found = Cluster()
    yield found
    if found.task:
        found.task.cancel()
        with suppress(asyncio.CancelledError):
            await found.task


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_kinds_that_are_not_served_count_as_empty(cluster: Cluster) -> None:
    cluster.start()
    await until(lambda: cluster.arrived == KINDS)
    assert len(cluster.db.virtual_services) == 1


async def test_an_older_version_is_read_where_the_cluster_serves_no_newer_one(cluster: Cluster) -> None:
    cluster.versions = {"virtualservices": "v1beta1"}
    cluster.start()
    await until(lambda: cluster.arrived == KINDS)
    assert len(cluster.db.virtual_services) == 1


async def test_a_kind_is_found_when_its_definition_comes(cluster: Cluster) -> None:
    cluster.versions = {}
    cluster.start()
    await until(lambda: cluster.arrived == KINDS)
    assert len(cluster.db.virtual_services) == 0
    cluster.versions = {"virtualservices": "v1"}
    await until(lambda: len(cluster.db.virtual_services) == 1)


@pytest.mark.parametrize("fault", [Forbidden("no", status=403), Unavailable("refused"), OSError("no token")])
async def test_what_cannot_be_read_holds_the_barrier_and_is_tried_again(cluster: Cluster, fault: Exception) -> None:
    cluster.fault = fault
    cluster.start()
    await asyncio.sleep(0.05)
    assert cluster.arrived == set()
    cluster.fault = None
    await until(lambda: cluster.arrived == KINDS)


async def test_an_outage_takes_nothing(cluster: Cluster) -> None:
    cluster.start()
    await until(lambda: cluster.arrived == KINDS)
    cluster.fault = Unavailable("refused")
    cluster.mesh._relisted("VirtualService")
    await asyncio.sleep(0.05)
    assert len(cluster.db.virtual_services) == 1


async def test_one_404_may_be_a_server_that_is_starting_and_two_are_a_definition_that_is_gone(cluster: Cluster) -> None:
    cluster.start()
    await until(lambda: cluster.arrived == KINDS)
    cluster.versions = {}
    cluster.mesh._relisted("VirtualService")
    await until(lambda: len(cluster.db.virtual_services) == 0)
    cluster.versions = {"virtualservices": "v1"}
    await until(lambda: len(cluster.db.virtual_services) == 1)


async def test_is_listed_anew_when_kopf_has_listed_and_what_vanished_is_removed(cluster: Cluster) -> None:
    cluster.start()
    await until(lambda: cluster.arrived == KINDS)
    cluster.objects = False
    assert cluster.lists == 1
    cluster.mesh._relisted("VirtualService")
    await until(lambda: len(cluster.db.virtual_services) == 0)
    assert cluster.lists == 2


async def test_an_event_that_is_no_object_is_answered_with_a_list(cluster: Cluster) -> None:
    cluster.start()
    await until(lambda: cluster.arrived == KINDS)
    cluster.mesh._deliver("VirtualService", "MODIFIED", {"metadata": {}})
    await until(lambda: cluster.lists == 2)
