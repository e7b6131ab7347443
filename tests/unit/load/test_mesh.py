"""The mesh configuration from files and ConfigMaps."""

import pytest

from weft_core.load.mesh import is_mesh_config_map, load_mesh_config, mesh_config_of
from weft_core.model.kubernetes import ConfigMap, ObjectMeta
from weft_core.model.mesh_config import MeshConfig
from weft_core.problems import Code, Severity, Source

SOURCE = Source(file="mesh.yaml", line=4)


def config_map(text: str, name: str = "istio", namespace: str = "istio-system") -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace=namespace), data={"mesh": text})


def test_the_key_mesh_of_a_config_map() -> None:
    loaded = mesh_config_of(config_map("trustDomain: a\n"), SOURCE)
    assert loaded.problems == ()
    assert loaded.config == MeshConfig(trust_domain="a")


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "{}"])
def test_nothing_means_the_defaults(text: str) -> None:
    assert load_mesh_config(text).config == MeshConfig()


def test_an_error_in_a_file_has_its_line() -> None:
    loaded = load_mesh_config("trustDomain: a\nconnectTimeout: 10\n", "mesh.yaml")
    [problem] = loaded.problems
    assert loaded.config is None
    assert (problem.path, problem.source) == ("connectTimeout", Source(file="mesh.yaml", line=2))


def test_an_error_in_a_config_map_has_its_path_and_object() -> None:
    [problem] = mesh_config_of(config_map("pathNormalization: {normalization: some}\n"), SOURCE).problems
    assert problem.path == "data.mesh.pathNormalization.normalization"
    assert str(problem.object) == "ConfigMap istio-system/istio"
    assert problem.source == SOURCE


def test_an_unsupported_setting_is_a_warning_and_the_rest_is_in_force() -> None:
    loaded = load_mesh_config("{trustDomain: a, enablePrometheusMerge: true}")
    assert loaded.config is not None
    assert loaded.config.trust_domain == "a"
    assert [(p.code, p.severity) for p in loaded.problems] == [(Code.UNSUPPORTED_FIELD, Severity.WARNING)]


@pytest.mark.parametrize("text", ["a: [", "a: 1\n---\nb: 2\n", "just text", "- a"])
def test_other_texts_are_refused(text: str) -> None:
    loaded = mesh_config_of(config_map(text), SOURCE)
    assert loaded.config is None
    assert {p.severity for p in loaded.problems} == {Severity.ERROR}


@pytest.mark.parametrize(
    ("name", "namespace", "expected"),
    [
        ("weft", "weft-system", True),
        ("istio", "istio-system", True),
        ("weft", "istio-system", False),
        ("istio", "a", False),
    ],
)
def test_which_config_map_it_is(name: str, namespace: str, expected: bool) -> None:
    assert is_mesh_config_map(config_map("", name, namespace), "weft-system") is expected
