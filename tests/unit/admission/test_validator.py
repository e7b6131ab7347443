"""The webhook as a whole: refusals, warnings about other objects, and what happens when something takes too long."""

import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
import yaml

from weft_core.model.decode import decode
from weft_core.model.meta import Config
from weft_core.problems import Problem
from weft_core.registry import Registry
from weft_kube.admission import AdmissionRequest, Verdict
from weft_operator.admission import Validator
from weft_operator.admission.admitted import LIFE, Admitted
from weft_operator.admission.rehearsal import Rehearsal, Snapshot, snapshot

Make = Callable[..., AdmissionRequest]
Post = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]

DANGLING = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: shop}
spec: {hosts: [api.example.com], gateways: [edge], http: [{route: [{destination: {host: nobody}}]}]}
"""


async def test_what_an_object_names_may_come_later(mesh: Registry, request_for: Make) -> None:
    """`kubectl apply -f FOLDER` goes by file name, so what is missing is a warning, though `weft analyze` calls it an
    error."""
    verdict = await Validator(mesh).decide(request_for(DANGLING))
    assert verdict.allowed
    assert [warning.partition(":")[0] for warning in verdict.warnings] == [
        "spec.gateways[0]",
        "spec.http[0].route[0].destination.host",
    ]
    assert "there is no service `nobody.shop.svc.cluster.local`" in verdict.warnings[1]
    assert verdict.warnings[1].endswith("(IST0101)")


SUBSETS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: subsets, namespace: shop}
spec: {host: web, subsets: [{name: canary, labels: {app: web}}]}
"""
ROUTE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: route, namespace: shop}
spec: {hosts: [api.example.com], gateways: [edge], http: [{route: [{destination: {host: web, subset: canary}}]}]}
"""


def subset_is_missing(verdict: Verdict) -> bool:
    return any("canary" in warning for warning in verdict.warnings)


async def test_what_was_admitted_just_before_is_there_although_no_watch_has_told(
    mesh: Registry, request_for: Make
) -> None:
    """As with both in one file of `kubectl apply`."""
    validator = Validator(mesh)
    assert subset_is_missing(await validator.decide(request_for(ROUTE)))
    await validator.decide(request_for(SUBSETS, dry_run=True))
    assert subset_is_missing(await validator.decide(request_for(ROUTE)))
    await validator.decide(request_for(SUBSETS))
    assert not subset_is_missing(await validator.decide(request_for(ROUTE)))


def config(text: str) -> Config[Any]:
    found = decode(yaml.safe_load(text)).object
    assert isinstance(found, Config)
    return found


def test_what_was_admitted_is_believed_in_for_a_moment_alone(mesh: Registry) -> None:
    now = 0.0
    admitted = Admitted(mesh, lambda: now)
    admitted.put(config(SUBSETS))
    rows = snapshot(mesh)
    assert ("shop", "subsets") in admitted.over(rows)["destination_rules"]
    assert ("shop", "subsets") not in rows["destination_rules"]
    now = LIFE
    assert admitted.over(rows) == rows


def test_the_watch_knows_better_than_admission(mesh: Registry) -> None:
    admitted = Admitted(mesh)
    other = config(SUBSETS.replace("canary", "other"))
    admitted.put(config(SUBSETS))
    mesh.destination_rules.put(("shop", "subsets"), other)
    assert admitted.over(snapshot(mesh))["destination_rules"]["shop", "subsets"] is other
    mesh.destination_rules.put(("shop", "subsets"), None)
    assert ("shop", "subsets") not in admitted.over(snapshot(mesh))["destination_rules"]


async def test_nobody_is_warned_before_the_mesh_is_known(mesh: Registry, request_for: Make) -> None:
    verdict = await Validator(mesh, lambda: False).decide(request_for(DANGLING))
    assert (verdict.allowed, verdict.warnings) == (True, ())


async def test_a_dry_run_and_a_real_one_leave_no_trace(mesh: Registry, request_for: Make) -> None:
    keys = set(mesh.virtual_services)
    for dry_run in (True, False):
        assert (await Validator(mesh).decide(request_for(DANGLING, dry_run=dry_run))).allowed
    assert set(mesh.virtual_services) == keys


async def test_a_fault_of_the_rehearsal_refuses_nothing(
    mesh: Registry, request_for: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Rehearsal, rows: Snapshot, config: Config[Any]) -> tuple[Problem, ...]:
        raise KeyError("a fault of Weft's")

    monkeypatch.setattr(Rehearsal, "problems", broken)
    verdict = await Validator(mesh).decide(request_for(DANGLING))
    assert (verdict.allowed, verdict.warnings) == (True, ())


async def test_a_rehearsal_that_takes_long_is_not_waited_for(
    mesh: Registry, request_for: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()

    def slow(self: Rehearsal, rows: Snapshot, config: Config[Any]) -> tuple[Problem, ...]:
        done.wait(30)
        return ()

    monkeypatch.setattr(Rehearsal, "problems", slow)
    validator = Validator(mesh, patience=0.01)
    try:
        for _ in range(3):
            verdict = await validator.decide(request_for(DANGLING))
            assert verdict.allowed
            assert verdict.warnings == ("how it fits the rest of the mesh was not found out in time: see its status",)
    finally:
        done.set()


async def test_a_refusal_reaches_the_api_server_with_its_lines(post: Post) -> None:
    document = yaml.safe_load(DANGLING)
    document["spec"] |= {"timeout": "1s", "hosts": "api.example.com"}
    assert await post(document) == {
        "uid": "u-1",
        "allowed": False,
        "status": {
            "status": "Failure",
            "code": 400,
            "reason": "BadRequest",
            "message": "2 mistakes\n"
            "spec.hosts: `hosts` is a list, and this is text → write [api.example.com] (IST0106)\n"
            "spec.timeout: unknown field `timeout` → move it to spec.http[].timeout, beside `route` (IST0106)",
        },
    }
