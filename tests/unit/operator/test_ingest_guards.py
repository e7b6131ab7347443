"""Security policies that were never readable: by lists and by events, they leave a guard until they can be read."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from weft_core.model.guard import PROTECTIVE_KINDS
from weft_core.model.kinds import MESH_KINDS, SECURITY
from weft_core.problems import Code, ObjectRef
from weft_core.registry import Registry
from weft_core.view.authorization import authorization
from weft_core.view.problems import all_problems
from weft_kube.resource import Resource
from weft_operator.ingest.mesh_kind import MeshKind
from weft_operator.ingest.metrics import IngestMetrics
from weft_operator.ingest.report import Observations
from weft_operator.status.conditions import conditions
from weft_operator.status.findings import View, about

GOOD: dict[str, Any] = {"selector": {"matchLabels": {"app": "web"}}}
BAD: dict[str, Any] = {**GOOD, "frobnicate": True}


class Policies:
    """One kind of policy, read from a cluster that has at most one of it, `shop/a`."""

    def __init__(self, name: str) -> None:
        self.db = Registry()
        self.observations = Observations()
        self.ref = ObjectRef(kind=name, namespace="shop", name="a")
        kind = next(kind for kind in MESH_KINDS if kind.kind == name)
        self.resource = Resource.of(kind, "v1")
        self.kind = MeshKind(
            kind,
            self.db,
            self.observations,
            revision="default",
            changed=lambda: None,
            metrics=IngestMetrics(CollectorRegistry()),
        )

    def document(self, version: int, spec: Any, *, uid: str = "u", **metadata: Any) -> dict[str, Any]:
        meta = {"namespace": "shop", "name": "a", "uid": uid, "generation": version, **metadata}
        return {
            "apiVersion": f"{SECURITY}/v1",
            "kind": self.ref.kind,
            "metadata": {**meta, "resourceVersion": str(version)},
            "spec": spec,
        }

    def event(self, version: int, spec: Any, kind: str = "MODIFIED", **metadata: Any) -> None:
        self.kind.event(kind, self.document(version, spec, **metadata))

    async def list(self, version: int, *documents: dict[str, Any]) -> None:
        body = json.dumps({"metadata": {"resourceVersion": str(version)}, "items": documents}).encode()

        class Listing:
            async def pages(self, _resource: Resource) -> AsyncIterator[bytes]:
                yield body

        await self.kind.read(Listing(), self.resource)  # type: ignore[arg-type]

    @property
    def guarded(self) -> bool:
        found = list(self.db.unreadable_policies)
        assert found in ([], [self.ref])
        return bool(found)


@pytest.fixture(params=PROTECTIVE_KINDS)
def policies(request: pytest.FixtureRequest) -> Policies:
    """Each kind of policy in turn."""
    return Policies(request.param)


async def test_a_list_with_a_bad_policy_leaves_its_guard_until_it_is_mended(policies: Policies) -> None:
    await policies.list(10, policies.document(5, BAD))
    assert policies.guarded
    observed = policies.observations.get(policies.ref)
    assert observed is not None
    assert (observed.rejected, observed.in_force) == (True, False)
    policies.event(11, GOOD)
    assert not policies.guarded
    await policies.list(20, policies.document(11, GOOD))
    assert not policies.guarded


async def test_an_event_of_a_bad_policy_leaves_its_guard_until_it_is_deleted(policies: Policies) -> None:
    await policies.list(10)
    policies.event(11, BAD, "ADDED")
    assert policies.guarded
    policies.event(12, BAD, "DELETED")
    assert not policies.guarded


async def test_a_bad_policy_that_vanished_between_two_lists_leaves_no_guard(policies: Policies) -> None:
    await policies.list(10, policies.document(5, BAD))
    await policies.list(20)
    assert not policies.guarded


async def test_where_an_earlier_version_is_in_force_there_is_no_guard(policies: Policies) -> None:
    await policies.list(10, policies.document(5, GOOD))
    policies.event(11, BAD)
    await policies.list(20, policies.document(11, BAD))
    assert not policies.guarded


async def test_the_earlier_version_of_a_namesake_that_is_gone_is_none(policies: Policies) -> None:
    await policies.list(10, policies.document(5, GOOD))
    policies.event(11, BAD, uid="another")
    assert policies.guarded


async def test_a_bad_policy_of_another_revision_is_not_guarded_here(policies: Policies) -> None:
    await policies.list(10, policies.document(5, BAD))
    policies.event(11, BAD, labels={"istio.io/rev": "canary"})
    assert not policies.guarded


async def test_a_kind_that_is_no_longer_served_leaves_no_guard(policies: Policies) -> None:
    await policies.list(10, policies.document(5, BAD))
    policies.kind.absent()
    assert not policies.guarded
    assert len(policies.observations) == 0


async def test_requests_are_refused_and_the_status_says_so() -> None:
    policies = Policies("AuthorizationPolicy")
    await policies.list(10, policies.document(5, BAD))
    (found,) = authorization(policies.db, "shop", (("app", "web"),), True)
    assert found.origins == (policies.ref,)
    observed = policies.observations.get(policies.ref)
    assert observed is not None
    problems = about(observed, View(policies.db, lambda: None)())
    assert {problem.code for problem in problems} == {Code.SCHEMA_VALIDATION_ERROR, Code.UNREADABLE_POLICY}
    accepted = conditions(observed, problems, None, {}, now="")[0]
    assert (accepted.type, accepted.status) == ("Accepted", "False")
    assert "until it is readable, all requests and connections to the workloads app=web" in accepted.message
    policies.event(11, GOOD)
    assert Code.UNREADABLE_POLICY not in {problem.code for problem in all_problems(policies.db)}
