"""The parts of `weft serve --kubernetes` that decide something: options, settings, labels, readiness."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from weft_cli.serve import readiness as readiness_module
from weft_cli.serve.address import split_address
from weft_cli.serve.cluster import leafs
from weft_cli.serve.options import ClusterOptions, Role, parse_roles
from weft_cli.serve.readiness import Readiness, webhooks_known
from weft_cli.serve.surroundings import CurrentSettings, Namespaces
from weft_core.errors import EnvironmentFault
from weft_core.model.kubernetes import Namespace, ObjectMeta
from weft_core.problems import ObjectRef
from weft_core.registry import Registry
from weft_injector.delivery.names import Release
from weft_kube.errors import Unavailable
from weft_kube.resource import MUTATING_WEBHOOKS, Resource

REF = ObjectRef(kind="ConfigMap", namespace="weft-system", name="weft")


class FakeApi:
    """Answers `find` from a table; an exception there is raised."""

    def __init__(self, answers: dict[tuple[str, str], Any]) -> None:
        self.answers = answers

    async def find(self, resource: Resource, name: str, namespace: str = "") -> Any:
        answer = self.answers.get((resource.plural, name))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.0.0.0:15012", ("0.0.0.0", 15012)), ("[::]:1", ("::", 1)), ("localhost:80", ("localhost", 80))],
)
def test_addresses_are_host_and_port(text: str, expected: tuple[str, int]) -> None:
    assert split_address(text) == expected


@pytest.mark.parametrize("text", ["", "15012", "host:", "host:http", "host:70000"])
def test_what_is_no_address_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(EnvironmentFault, match="HOST:PORT"):
        split_address(text)


def test_roles_are_read_and_strangers_refused() -> None:
    assert parse_roles("xds, operator") == {Role.XDS, Role.OPERATOR}
    for text in ("", "xds,gateway"):
        with pytest.raises(EnvironmentFault, match="operator, xds, injector"):
            parse_roles(text)


def test_a_revisions_objects_carry_its_name() -> None:
    def name(revision: str) -> str:
        return ClusterOptions(
            namespace="n", revision=revision, xds="x:1", http="h:1", webhooks="w:1", pod_name="p"
        ).name

    assert (name("default"), name("canary")) == ("weft", "weft-canary")


def test_a_malformed_edit_of_the_settings_is_told_once_and_the_last_good_one_stays() -> None:
    settings = CurrentSettings(REF)
    settings.read("image: one")
    with capture_logs() as logs:
        settings.read("imge: two")
        settings.read("imge: two")
    assert settings.value.image == "one"
    assert ["data.injection" in log["text"] for log in logs] == [True]
    settings.read(None)
    assert settings.value.image == "weft"


async def test_labels_come_from_the_api_server_and_from_our_copy_only_where_it_is_away() -> None:
    registry = Registry()
    registry.namespaces.put("shop", Namespace(metadata=ObjectMeta(name="shop", labels={"copy": "old"})))
    there: Any = FakeApi({("namespaces", "shop"): {"metadata": {"labels": {"fresh": "yes"}}}})
    assert await Namespaces(there, registry).labels("shop") == {"fresh": "yes"}
    assert await Namespaces(there, registry).labels("other") is None
    away: Any = FakeApi({("namespaces", "shop"): Unavailable("away")})
    assert await Namespaces(away, registry).labels("shop") == {"copy": "old"}


async def test_labels_come_from_our_copy_where_the_api_server_hangs() -> None:
    """The webhook that needs them has seconds; a request may hang for half a minute, and is then tried again."""

    class Hanging:
        async def find(self, *_: object) -> None:
            await asyncio.Event().wait()

    registry = Registry()
    registry.namespaces.put("shop", Namespace(metadata=ObjectMeta(name="shop", labels={"copy": "old"})))
    hanging: Any = Hanging()
    async with asyncio.timeout(5):
        assert await Namespaces(hanging, registry, patience=0.01).labels("shop") == {"copy": "old"}


def test_a_replica_is_ready_when_nothing_is_missing_and_not_while_it_ends() -> None:
    readiness = Readiness({"xds", "ingest"})
    readiness.done("xds")
    assert not readiness.ready
    readiness.done("ingest")
    assert readiness.ready
    readiness.ending = True
    assert not readiness.ready


async def test_webhooks_are_known_once_all_of_them_have_our_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness_module, "_BACK_OFF", 0.01)

    def configuration(*bundles: str) -> dict[str, Any]:
        return {"webhooks": [{"clientConfig": {"caBundle": bundle}} for bundle in bundles]}

    steps = [Unavailable("away"), configuration("", ""), configuration("x", ""), configuration("x", "x")]
    answers: dict[tuple[str, str], Any] = {(MUTATING_WEBHOOKS.plural, "weft-weft-system"): steps}
    api: Any = FakeApi(answers)
    await webhooks_known(api, Release())
    assert len(steps) == 1


def test_what_the_environment_lacks_is_found_in_a_group_of_faults() -> None:
    inner = ExceptionGroup("inner", [ValueError("other"), EnvironmentFault("port taken")])
    assert [str(fault) for fault in leafs(ExceptionGroup("outer", [inner]), EnvironmentFault)] == ["port taken"]
