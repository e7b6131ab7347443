"""The writer of status against an API server that is only memory: what is written, and above all what is not."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from weft_core.model.kinds import MESH_KINDS
from weft_core.problems import Code, ObjectRef, Problem, Severity
from weft_core.progress import Progress
from weft_kube.client import Api
from weft_kube.errors import Conflict, Forbidden, NotFound, Unavailable
from weft_kube.login import Login
from weft_kube.resource import Resource
from weft_operator.ingest.report import Observations, Observed
from weft_operator.status import writer
from weft_operator.status.peers import Tally
from weft_operator.status.writer import StatusWriter

REF = ObjectRef(kind="Gateway", namespace="shop", name="front")


class Server(Api):
    """Gateways in memory. `fails` are raised by writes, one by one; `away` fails everything."""

    def __init__(self) -> None:
        super().__init__(Login(server="http://127.0.0.1:1", tls=None, authorization=str))
        self.objects: dict[str, dict[str, Any]] = {}
        self.writes: list[dict[str, Any]] = []
        self.fails: list[Exception] = []
        self.away = False
        self.asked_for: set[Resource] = set()

    def add(self, name: str = "front", *, generation: int = 1, status: Mapping[str, Any] | None = None) -> None:
        meta = {"name": name, "namespace": "shop", "uid": f"u-{name}", "generation": generation}
        self.objects[name] = {"metadata": {**meta, "resourceVersion": "1"}, "status": dict(status or {})}

    def conditions(self, name: str = "front") -> dict[str, dict[str, Any]]:
        return {each["type"]: each for each in self.objects[name]["status"].get("conditions", ())}

    async def pages(self, resource: Resource, namespace: str = "", **_: object) -> AsyncIterator[bytes]:  # type: ignore[override]
        del namespace
        if self.away:
            raise Unavailable("away")
        if resource.kind == "Sidecar":
            raise NotFound("no such kind")
        self.asked_for.add(resource)
        yield msgspec.json.encode({"items": list(self.objects.values()) if resource.kind == "Gateway" else []})

    async def get(self, resource: Resource, name: str, namespace: str = "") -> dict[str, Any]:
        del namespace
        self.asked_for.add(resource)
        if self.away:
            raise Unavailable("away")
        if name not in self.objects:
            raise NotFound(name)
        found: dict[str, Any] = json.loads(json.dumps(self.objects[name]))
        return found

    async def patch(self, resource: Resource, name: str, patch: Any, namespace: str = "", **how: Any) -> dict[str, Any]:
        del resource, namespace
        assert how["subresource"] == "status"
        if self.fails:
            raise self.fails.pop(0)
        there = self.objects[name]
        if patch["metadata"]["resourceVersion"] != there["metadata"]["resourceVersion"]:
            raise Conflict(name)
        there["metadata"]["resourceVersion"] += "1"
        before = there["status"] if isinstance(there["status"], dict) else {}
        there["status"] = {k: v for k, v in {**before, **patch["status"]}.items() if v is not None}
        self.writes.append(patch)
        return there


class Recorder:
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def record(self, resource: Resource, observed: Observed, *, reason: str, note: str) -> None:
        assert resource.kind == observed.kind
        self.events.append((reason, note))


class Finder:
    """Finds what it is told."""

    def __init__(self, findings: Mapping[ObjectRef, tuple[Problem, ...]]) -> None:
        self._findings = findings

    async def prepare(self) -> None:
        pass

    def __call__(self) -> Mapping[ObjectRef, tuple[Problem, ...]]:
        return dict(self._findings)


class World:
    """What the writer is told, and where it writes."""

    def __init__(self) -> None:
        self.server = Server()
        self.observations = Observations()
        self.findings: dict[ObjectRef, tuple[Problem, ...]] = {}
        self.progress: dict[ObjectRef, Progress] = {}
        self.refused: frozenset[ObjectRef] = frozenset()
        self.recorder = Recorder()
        self.served = {kind.kind: Resource.of(kind) for kind in MESH_KINDS}
        self.asked = 0

    def put(self, name: str = "front", *, generation: int = 1, **more: Any) -> None:
        """An object as ingest tells of it; the API server has it."""
        if name not in self.server.objects:
            self.server.add(name, generation=generation)
        self.server.objects[name]["metadata"]["generation"] = generation
        found = {"kind": "Gateway", "namespace": "shop", "uid": f"u-{name}", **more}
        self.observations.put(Observed(name=name, generation=generation, **found))

    async def ask(self, generations: Mapping[ObjectRef, int]) -> Tally:
        self.asked += 1
        return Tally(progress={ref: self.progress.get(ref, Progress()) for ref in generations}, refused=self.refused)

    def writer(self, *, warm_up: float = 0.0) -> StatusWriter:
        return StatusWriter(
            self.server,
            self.observations,
            Finder(self.findings),
            self.ask,
            self.recorder,
            served=self.served.get,
            warm_up=warm_up,
        )

    @asynccontextmanager
    async def running(self, made: StatusWriter | None = None) -> AsyncIterator[StatusWriter]:
        """A writer that leads meanwhile."""
        found = made or self.writer()
        task = asyncio.create_task(found.run())
        try:
            yield found
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.005)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A hurried world: pauses are hundredths of a second."""
    for name in ("GATHER", "PAUSE", "PENDING", "IDLE", "BACK_OFF"):
        monkeypatch.setattr(writer, name, 0.01)
    return World()


def status_of(world: World, kind: str, name: str = "front") -> str:
    return str(world.server.conditions(name).get(kind, {}).get("status"))


async def test_a_new_object_is_told_of_its_state(world: World) -> None:
    world.put()
    world.progress[REF] = Progress(acknowledged=2, total=2)
    async with world.running():
        await world.until(lambda: world.server.writes)
    assert {each["status"] for each in world.server.conditions().values()} == {"True"}
    assert world.server.objects["front"]["status"]["observedGeneration"] == 1


async def test_progress_is_followed_to_its_end(world: World) -> None:
    world.put()
    world.progress[REF] = Progress(acknowledged=1, total=2)
    async with world.running() as found:
        await world.until(lambda: status_of(world, "Programmed") == "False")
        world.progress[REF] = Progress(acknowledged=2, total=2)
        found.answered()
        await world.until(lambda: status_of(world, "Programmed") == "True")


async def test_nothing_is_written_or_asked_for_while_nothing_changes(world: World) -> None:
    world.put()
    async with world.running():
        await world.until(lambda: world.server.writes)
        await asyncio.sleep(0.1)
        asked = world.asked
        await asyncio.sleep(0.2)
    assert len(world.server.writes) == 1
    assert world.asked == asked


async def test_a_restart_writes_nothing(world: World) -> None:
    world.put()
    world.findings[REF] = (problem(Code.SCHEMA_WARNING, Severity.WARNING),)
    async with world.running():
        await world.until(lambda: world.server.writes)
    async with world.running():
        await asyncio.sleep(0.2)
    assert len(world.server.writes) == 1


async def test_the_conditions_of_others_stay(world: World) -> None:
    foreign = {"type": "Reconciled", "status": "True", "reason": "Any", "message": ""}
    world.server.add(status={"conditions": [foreign], "other": 1})
    world.put()
    async with world.running():
        await world.until(lambda: world.server.writes)
    assert world.server.conditions()["Reconciled"] == foreign
    assert world.server.objects["front"]["status"]["other"] == 1


@pytest.mark.parametrize("status", ["x", [], {"conditions": "x", "validationMessages": 1}, {"conditions": ["x", None]}])
async def test_a_status_of_any_form_is_replaced(world: World, status: Any) -> None:
    """Istio's own definitions of the kinds let whoever may write a status write what he likes."""
    world.server.add()
    world.server.objects["front"]["status"] = status
    world.put()
    async with world.running():
        await world.until(lambda: world.server.writes)
    assert [each["status"] for each in world.server.writes[0]["status"]["conditions"]] == ["True"] * 3


async def test_kinds_are_read_and_written_in_the_version_that_the_cluster_serves(world: World) -> None:
    """Istio's definitions from before 1.22 have no v1."""
    old = replace(world.served["Gateway"], version="v1beta1")
    world.served = {"Gateway": old}
    world.put()
    async with world.running():
        await world.until(lambda: world.server.writes)
    assert world.server.asked_for == {old}


async def test_a_conflict_is_tried_again(world: World) -> None:
    world.put()
    world.server.fails = [Conflict("somebody"), Conflict("somebody")]
    async with world.running():
        await world.until(lambda: world.server.writes)


async def test_an_outage_delays_and_loses_nothing(world: World) -> None:
    world.server.away = True
    world.put()
    async with world.running():
        await asyncio.sleep(0.05)
        world.server.away = False
        await world.until(lambda: status_of(world, "Programmed") == "True")
        world.server.away = True
        world.put(generation=2)
        await asyncio.sleep(0.05)
        world.server.away = False
        await world.until(lambda: world.server.objects["front"]["status"]["observedGeneration"] == 2)


async def test_what_is_programmed_during_an_outage_is_told_after_it(world: World) -> None:
    world.put()
    world.progress[REF] = Progress(acknowledged=1, total=2)
    async with world.running():
        await world.until(lambda: status_of(world, "Programmed") == "False")
        world.server.away = True
        world.progress[REF] = Progress(acknowledged=2, total=2)
        await asyncio.sleep(0.05)
        world.server.away = False
        await world.until(lambda: status_of(world, "Programmed") == "True")


async def test_what_the_server_refuses_is_not_tried_for_ever(world: World) -> None:
    world.put()
    world.server.fails = [Forbidden("no")]
    async with world.running():
        await asyncio.sleep(0.1)
    assert world.server.writes == []
    assert world.server.fails == []


async def test_an_object_that_is_gone_is_not_written(world: World) -> None:
    world.put()
    del world.server.objects["front"]
    async with world.running():
        await asyncio.sleep(0.05)
        world.observations.remove(REF)
        await asyncio.sleep(0.05)
    assert world.server.writes == []


async def test_an_older_status_never_describes_a_newer_generation(world: World) -> None:
    """Ingest may be behind: what it has seen is then no longer what there is."""
    world.put()
    world.server.objects["front"]["metadata"]["generation"] = 2
    async with world.running():
        await asyncio.sleep(0.1)
        assert world.server.writes == []
        world.put(generation=2)
        await world.until(lambda: world.server.writes)


async def test_findings_of_other_objects_change_a_status(world: World) -> None:
    world.put()
    async with world.running():
        await world.until(lambda: world.server.writes)
        world.findings[REF] = (problem(Code.REFERENCED_RESOURCE_NOT_FOUND),)
        await world.until(lambda: status_of(world, "ResolvedRefs") == "False")
        world.findings.clear()
        await world.until(lambda: status_of(world, "ResolvedRefs") == "True")
    assert "validationMessages" not in world.server.objects["front"]["status"]


async def test_refusals_make_events(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put()
    async with world.running():
        await world.until(lambda: world.server.writes)
        monkeypatch.setattr(writer, "REFUSALS", 0.01)
        world.refused = frozenset({REF})
        world.progress[REF] = Progress(total=1, rejected=(("80/front", "bad"),))
        await world.until(lambda: status_of(world, "Programmed") == "False")
        wrong = problem(Code.SCHEMA_VALIDATION_ERROR)
        world.put(generation=2, rejected=True, problems=(wrong,))
        await world.until(lambda: status_of(world, "Accepted") == "False")
    assert [reason for reason, _ in world.recorder.events] == ["RejectedByEnvoy", "Invalid"]
    assert "80/front: bad" in world.recorder.events[0][1]


async def test_proxies_on_their_way_back_are_waited_for(world: World) -> None:
    world.put()
    async with world.running(world.writer(warm_up=0.3)):
        await world.until(lambda: world.server.writes)
        assert world.server.conditions()["Programmed"]["reason"] == "Pending"
        await world.until(lambda: status_of(world, "Programmed") == "True")
    assert world.server.conditions()["Programmed"]["reason"] == "NoProxies"


async def test_proxies_are_waited_for_from_the_first_writing_on(world: World) -> None:
    """The registry of a large cluster may take longer to fill than proxies need to come back."""
    world.put()
    found = world.writer(warm_up=0.3)
    await asyncio.sleep(0.3)
    async with world.running(found):
        await world.until(lambda: world.server.writes)
        assert world.server.conditions()["Programmed"]["reason"] == "Pending"


async def test_what_was_pending_before_another_led_and_is_gone_holds_nothing_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MOST", 1)
    found = world.writer()
    world.progress[REF] = Progress(acknowledged=1, total=2)
    world.put()
    async with world.running(found):
        await world.until(lambda: status_of(world, "Programmed") == "False")
    world.observations.remove(REF)
    back = ObjectRef(kind="Gateway", namespace="shop", name="back")
    world.progress[back] = Progress(acknowledged=1, total=2)
    world.put("back")
    async with world.running(found):
        await world.until(lambda: status_of(world, "Programmed", "back") == "False")
        world.progress[back] = Progress(acknowledged=2, total=2)
        await world.until(lambda: status_of(world, "Programmed", "back") == "True")


async def test_many_objects_are_written_at_a_bounded_rate(world: World) -> None:
    for number in range(60):
        world.put(f"gateway-{number}")
    async with world.running():
        await asyncio.sleep(0.3)
        assert writer.BURST <= len(world.server.writes) < 60
        world.put("urgent")
        await world.until(lambda: status_of(world, "Accepted", "urgent") == "True")
        assert len(world.server.writes) < 60, "the newest goes first"


def problem(code: str, severity: Severity = Severity.ERROR) -> Problem:
    return Problem(code=code, severity=severity, object=REF, message="is wrong")
