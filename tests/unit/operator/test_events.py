"""Events: one for each thing that happened to an object, and a count where it happens again."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from weft_kube.client import Api
from weft_kube.errors import AlreadyExists, NotFound, Unavailable
from weft_kube.login import Login
from weft_kube.resource import PODS, Resource
from weft_operator.events import EventRecorder, Happening
from weft_operator.events.recorder import BURST
from weft_operator.events.series import NAME, NOTE, REPEAT, Series, repetition

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HAPPENING = Happening(
    resource=PODS, namespace="shop", name="web-0", uid="1", reason="Odd", note="something is odd", action="Looking"
)


class Server(Api):
    """An API server of Events alone; `fails` are raised one by one."""

    def __init__(self) -> None:
        super().__init__(Login(server="http://127.0.0.1:1", tls=None, authorization=str))
        self.events: dict[str, dict[str, Any]] = {}
        self.fails: list[Exception] = []

    async def create(
        self, resource: Resource, body: Mapping[str, Any], namespace: str = "", *, dry_run: bool = False
    ) -> dict[str, Any]:
        del resource, dry_run
        if self.fails:
            raise self.fails.pop(0)
        name = f"{namespace}/{body['metadata']['name']}"
        if name in self.events:
            raise AlreadyExists(name)
        self.events[name] = dict(body)
        return self.events[name]

    async def patch(  # type: ignore[override]
        self, resource: Resource, name: str, patch: Mapping[str, Any], namespace: str = "", **_: object
    ) -> dict[str, Any]:
        del resource
        if f"{namespace}/{name}" not in self.events:
            raise NotFound(name)
        self.events[f"{namespace}/{name}"] |= patch
        return self.events[f"{namespace}/{name}"]


def test_the_same_thing_is_one_event_whoever_notes_it() -> None:
    assert HAPPENING.event_name == replace(HAPPENING).event_name
    others = (replace(HAPPENING, uid="2"), replace(HAPPENING, reason="Other"), replace(HAPPENING, note="else"))
    assert len({each.event_name for each in (HAPPENING, *others)}) == 4


def test_events_are_within_the_apis_limits() -> None:
    long = replace(HAPPENING, name="n" * 253, note="x" * 5000)
    body = long.body("i" * 500, NOON)
    assert len(body["metadata"]["name"]) <= 253
    assert len(body["note"]) == NOTE
    assert len(body["reportingInstance"]) == 128
    assert body["eventTime"] == "2026-01-01T12:00:00.000000Z"


@pytest.mark.parametrize("sign", ["-", ".", ".-"])
def test_a_name_that_is_cut_off_is_a_name(sign: str) -> None:
    """Each label of an object's name ends with a letter or digit; the API server refuses it otherwise."""
    name = replace(HAPPENING, name=f"{'n' * (NAME - len(sign))}{sign}more").event_name
    assert not {label[-1:] for label in name.split(".")} & {"-", ""}
    assert name.startswith("nnn")


def test_events_about_cluster_scoped_objects_are_in_the_default_namespace() -> None:
    assert replace(HAPPENING, namespace="").body("i", NOON)["metadata"]["namespace"] == "default"


def test_repetitions_are_counted_and_written_seldom() -> None:
    series = Series()
    assert [series.count(HAPPENING, now) for now in (0.0, 1.0, 2.0, REPEAT, REPEAT + 1)] == [1, 0, 0, 4, 0]
    assert series.count(replace(HAPPENING, uid="2"), 3.0) == 1


def test_what_is_remembered_is_bounded() -> None:
    series = Series(remembered=2)
    for uid in ("1", "2", "3"):
        assert series.count(replace(HAPPENING, uid=uid), 0.0) == 1
    assert series.count(HAPPENING, 0.0) == 1, "it was forgotten"
    assert series.count(replace(HAPPENING, uid="3"), 0.0) == 0


def test_a_series_has_two_occurrences_at_least() -> None:
    assert repetition(1, NOON)["series"]["count"] == 2


async def test_events_are_written_and_what_fails_does_not_stop_the_rest() -> None:
    server = Server()
    recorder = EventRecorder(server, instance="weft-0")
    server.fails = [Unavailable("away"), AlreadyExists("there")]
    names = ("1", "2", "3", "3")
    for uid in names:
        recorder.happened(replace(HAPPENING, uid=uid))
    task = asyncio.create_task(recorder.run())
    await asyncio.sleep(0.05)
    task.cancel()
    (event,) = server.events.values()
    assert event["regarding"]["uid"] == "3"
    assert event["reportingInstance"] == "weft-0"
    assert event["type"] == "Warning"


async def test_what_a_leader_has_left_untold_is_not_told_when_it_leads_again() -> None:
    """Hours may lie between, and another replica has told of it meanwhile."""
    server = Server()
    recorder = EventRecorder(server, instance="weft-0")
    for uid in range(BURST + 5):
        recorder.happened(replace(HAPPENING, uid=str(uid)))
    for _ in range(2):
        task = asyncio.create_task(recorder.run())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert len(server.events) == BURST


async def test_what_is_too_much_is_dropped() -> None:
    recorder = EventRecorder(Server(), instance="weft-0")
    for number in range(2000):
        recorder.happened(replace(HAPPENING, uid=str(number)))
