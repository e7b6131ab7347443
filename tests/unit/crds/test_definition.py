"""The definitions as the chart carries them: versions, names, columns, and that the files are current."""

from pathlib import Path

import pytest
import yaml

from weft_core.model.kinds import BY_API, MESH_KINDS, UNSUPPORTED_MESH_KINDS, Kind
from weft_operator.crds import definition, definitions
from weft_operator.crds.__main__ import main

FILES = Path(__file__).parents[3] / "charts/weft/files/crds"

mesh_kinds = pytest.mark.parametrize("kind", MESH_KINDS, ids=lambda kind: kind.kind)


def test_the_files_in_the_chart_are_what_the_models_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(FILES), "--check"]) == 0, capsys.readouterr().err


def test_what_is_missing_old_or_of_no_kind_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    (tmp_path / "networking.istio.io_gateways.yaml").write_text("kind: Other\n")
    (tmp_path / "networking.istio.io_sidecars.yaml").unlink()
    (tmp_path / "networking.istio.io_envoyfilters.yaml").write_text("kind: Other\n")
    assert main([str(tmp_path), "--check"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{tmp_path}/networking.istio.io_sidecars.yaml is missing",
        f"{tmp_path}/networking.istio.io_gateways.yaml is not what the models say: run `make crds`",
        f"{tmp_path}/networking.istio.io_envoyfilters.yaml belongs to no kind",
    ]


def test_kinds_without_effect_have_no_definition() -> None:
    """An object that is stored and does nothing would be worse than one that is refused."""
    kinds = {document["spec"]["names"]["kind"] for document in definitions().values()}
    assert kinds == {kind.kind for kind in MESH_KINDS}
    assert not kinds & UNSUPPORTED_MESH_KINDS.keys()


@mesh_kinds
def test_every_version_that_is_read_is_served_and_the_preferred_one_stored(kind: Kind) -> None:
    spec = definition(kind)["spec"]
    served = [f"{kind.group}/{version['name']}" for version in spec["versions"] if version["served"]]
    assert served == [api for (api, name) in BY_API if name == kind.kind and BY_API[api, name] is kind]
    assert [version["name"] for version in spec["versions"] if version["storage"]] == [kind.versions[0]]
    assert spec["conversion"] == {"strategy": "None"}
    assert all(version["subresources"] == {"status": {}} for version in spec["versions"])


@mesh_kinds
def test_names_are_those_of_the_kind_and_no_two_kinds_share_one(kind: Kind) -> None:
    document = definition(kind)
    names = document["spec"]["names"]
    assert document["metadata"]["name"] == f"{kind.plural}.{kind.group}"
    assert names["categories"] == ["istio-io", "weft", kind.group.replace(".", "-")]
    others = {n for k in MESH_KINDS if k is not kind for n in (k.plural, k.kind.lower(), *k.short_names)}
    assert not others & {names["plural"], names["singular"], *names.get("shortNames", ())}


@mesh_kinds
def test_the_columns_end_with_state_and_age(kind: Kind) -> None:
    for version in definition(kind)["spec"]["versions"]:
        names = [column["name"] for column in version["additionalPrinterColumns"]]
        assert names[-3:] == ["Accepted", "Programmed", "Age"]
        assert len(names) > 3


def test_columns_lead_to_fields_that_exist() -> None:
    for document in definitions().values():
        for version in document["spec"]["versions"]:
            for column in version["additionalPrinterColumns"]:
                node = version["schema"]["openAPIV3Schema"]
                path = column["jsonPath"].partition("[")[0].removeprefix(".").split(".")
                for step in path if path[0] != "metadata" else ():
                    node = node["properties"][step]


def test_files_are_plain_yaml_without_aliases() -> None:
    for name, document in definitions().items():
        text = (FILES / name).read_text(encoding="utf-8")
        assert yaml.safe_load(text) == document
        assert "&id" not in text
