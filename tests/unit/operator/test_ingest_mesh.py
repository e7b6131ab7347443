"""One mesh kind: events and lists into the table, and what is said of objects with mistakes."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from weft_core.model.kinds import MESH_KINDS
from weft_core.problems import ObjectRef
from weft_core.registry import Registry
from weft_kube.errors import Gone
from weft_kube.resource import Resource
from weft_operator.ingest.mesh_kind import MeshKind
from weft_operator.ingest.metrics import IngestMetrics
from weft_operator.ingest.report import Observations

REF = ObjectRef(kind="VirtualService", namespace="shop", name="reviews")
KEY = ("shop", "reviews")
KIND = next(kind for kind in MESH_KINDS if kind.kind == "VirtualService")
GOOD: dict[str, Any] = {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews"}}]}]}
BAD: dict[str, Any] = {"hosts": ["reviews"], "http": [{"route": 5}]}


def document(version: int, spec: dict[str, Any], *, uid: str = "u", **metadata: Any) -> dict[str, Any]:
    meta = {"namespace": "shop", "name": "reviews", "uid": uid, "generation": version, **metadata}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {**meta, "resourceVersion": str(version)},
        "spec": spec,
    }


class Listing:
    """An `Api` that has one list to give, page by page."""

    def __init__(self, version: int, *documents: dict[str, Any], expires: bool = False) -> None:
        self._version = version
        self._documents = documents
        self._expires = expires

    async def pages(self, _resource: Resource) -> AsyncIterator[bytes]:
        for each in self._documents or (None,):
            items = [] if each is None else [each]
            yield json.dumps({"metadata": {"resourceVersion": str(self._version)}, "items": items}).encode()
        if self._expires:
            raise Gone("expired")


class Mesh:
    def __init__(self) -> None:
        self.db = Registry()
        self.observations = Observations()
        self.changes = 0
        self.metrics = CollectorRegistry()
        self.kind = MeshKind(
            KIND,
            self.db,
            self.observations,
            revision="default",
            changed=self._changed,
            metrics=IngestMetrics(self.metrics),
        )

    def _changed(self) -> None:
        self.changes += 1

    async def list(self, version: int, *documents: dict[str, Any], expires: bool = False) -> None:
        await self.kind.read(Listing(version, *documents, expires=expires), Resource.of(KIND))  # type: ignore[arg-type]

    @property
    def hosts(self) -> tuple[str, ...] | None:
        row = self.db.virtual_services.peek(KEY)
        return tuple(row.spec.hosts) if row else None


@pytest.fixture
def mesh() -> Mesh:
    return Mesh()


async def test_a_list_and_then_events_fill_the_table(mesh: Mesh) -> None:
    await mesh.list(10, document(5, GOOD))
    assert mesh.hosts == ("reviews",)
    mesh.kind.event("MODIFIED", document(11, {**GOOD, "hosts": ["ratings"]}))
    assert mesh.hosts == ("ratings",)
    mesh.kind.event("DELETED", document(12, GOOD))
    assert mesh.hosts is None
    assert mesh.observations.get(REF) is None
    assert mesh.changes == 3


async def test_a_list_removes_what_vanished_unseen(mesh: Mesh) -> None:
    await mesh.list(10, document(5, GOOD))
    await mesh.list(20)
    assert mesh.hosts is None
    labels = {"kind": "VirtualService", "type": "vanished"}
    assert mesh.metrics.get_sample_value("weft_ingest_events_total", labels) == 1


async def test_a_list_that_breaks_off_changes_nothing(mesh: Mesh) -> None:
    await mesh.list(10, document(5, GOOD))
    with pytest.raises(Gone):
        await mesh.list(20, expires=True)
    assert mesh.hosts == ("reviews",)


async def test_the_same_list_again_disturbs_nobody(mesh: Mesh) -> None:
    await mesh.list(10, document(5, GOOD))
    await mesh.list(20, document(5, GOOD))
    mesh.kind.event(None, document(5, GOOD))
    assert mesh.changes == 1


async def test_a_mistake_leaves_the_last_good_version_and_is_observed(mesh: Mesh) -> None:
    await mesh.list(10, document(5, GOOD))
    mesh.kind.event("MODIFIED", document(11, BAD))
    assert mesh.hosts == ("reviews",)
    observed = mesh.observations.get(REF)
    assert observed is not None
    assert (observed.rejected, observed.in_force, observed.generation, observed.uid) == (True, True, 11, "u")
    assert observed.problems[0].path == "spec.http[0].route"
    mesh.kind.event("MODIFIED", document(12, GOOD))
    observed = mesh.observations.get(REF)
    assert observed is not None
    assert (observed.rejected, observed.problems) == (False, ())


async def test_a_mistake_at_first_sight_is_observed_and_not_in_force(mesh: Mesh) -> None:
    await mesh.list(10, document(5, BAD))
    assert mesh.hosts is None
    observed = mesh.observations.get(REF)
    assert observed is not None
    assert (observed.rejected, observed.in_force) == (True, False)


async def test_the_last_good_version_of_a_namesake_that_is_gone_is_no_version_of_this_one(mesh: Mesh) -> None:
    await mesh.list(10, document(5, GOOD))
    await mesh.list(20, document(15, BAD, uid="another"))
    assert mesh.hosts is None


@pytest.mark.parametrize("label", ["istio.io/rev", "weft.dev/rev"])
async def test_objects_of_another_revision_are_not_there(mesh: Mesh, label: str) -> None:
    await mesh.list(10, document(5, GOOD, labels={label: "default"}))
    assert mesh.hosts == ("reviews",)
    mesh.kind.event("MODIFIED", document(11, GOOD, labels={label: "canary"}))
    assert mesh.hosts is None
    assert mesh.observations.get(REF) is None
    mesh.kind.event("MODIFIED", document(12, GOOD))
    assert mesh.hosts == ("reviews",)


async def test_a_kind_that_is_no_longer_served_has_no_objects_and_may_come_back(mesh: Mesh) -> None:
    await mesh.list(10, document(5, GOOD))
    mesh.kind.absent()
    assert mesh.hosts is None
    assert len(mesh.observations) == 0
    await mesh.list(10, document(5, GOOD))
    assert mesh.hosts == ("reviews",)
