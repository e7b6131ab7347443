"""The mesh-wide settings from their ConfigMap: applied, refused, gone."""

import pytest
from prometheus_client import CollectorRegistry

from weft_core.model.kubernetes import ConfigMap, ObjectMeta
from weft_core.problems import Problem
from weft_core.registry import MESH, Registry
from weft_operator.ingest.metrics import IngestMetrics
from weft_operator.ingest.settings import SettingsSink

KEY = ("weft-system", "weft")


class Settings:
    def __init__(self) -> None:
        self.db = Registry()
        self.changes = 0
        self.injections: list[str | None] = []
        self.problems: list[tuple[Problem, ...]] = []
        self.sink = SettingsSink(
            self.db,
            KEY,
            changed=self._changed,
            injection=self.injections.append,
            tell=self.problems.append,
            metrics=IngestMetrics(CollectorRegistry()),
        )

    def _changed(self) -> None:
        self.changes += 1

    def put(self, name: str = "weft", **data: str) -> None:
        self.sink.put(ConfigMap(metadata=ObjectMeta(namespace="weft-system", name=name), data=data))

    @property
    def trust_domain(self) -> str | None:
        config = self.db.mesh_config.peek(MESH)
        return config.trust_domain if config else None


@pytest.fixture
def settings() -> Settings:
    return Settings()


def test_applies_each_key_where_it_belongs(settings: Settings) -> None:
    settings.put(mesh="trustDomain: a.example", injection="image: weft")
    assert settings.trust_domain == "a.example"
    assert settings.injections == ["image: weft"]
    assert settings.problems == [()]
    assert settings.changes == 1


def test_what_did_not_change_is_not_applied_again(settings: Settings) -> None:
    settings.put(mesh="trustDomain: a.example", injection="image: weft")
    settings.put(mesh="trustDomain: a.example", injection="image: other")
    assert settings.changes == 1
    assert settings.injections == ["image: weft", "image: other"]


def test_a_mistake_leaves_the_last_good_settings_and_is_told_with_its_path(settings: Settings) -> None:
    settings.put(mesh="trustDomain: a.example")
    settings.put(mesh="trustDomain: [1]")
    assert settings.trust_domain == "a.example"
    (problem,) = settings.problems[-1]
    assert str(problem.object) == "ConfigMap weft-system/weft"
    assert problem.path == "data.mesh.trustDomain"
    settings.put(mesh="trustDomain: b.example")
    assert settings.trust_domain == "b.example"
    assert settings.problems[-1] == ()


def test_without_the_config_map_all_settings_have_their_defaults(settings: Settings) -> None:
    settings.sink.retain(set())
    assert settings.trust_domain is None
    settings.put(mesh="trustDomain: a.example", injection="image: weft")
    settings.sink.remove(KEY)
    assert settings.trust_domain == "cluster.local"
    assert settings.injections == ["image: weft", None]


def test_other_config_maps_do_not_count(settings: Settings) -> None:
    settings.put("other", mesh="trustDomain: a.example")
    settings.sink.remove(("weft-system", "other"))
    assert settings.trust_domain is None
    assert settings.changes == 0
