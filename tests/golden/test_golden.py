"""Istio's YAML in, Envoy's configuration out: one folder a case, `AREA/CASE`, with files for people to read.

`input.yaml` describes the mesh; `case.yaml` names the proxy and the types that are worth showing, and its `local_ports`
make the proxy one of a shared machine. Beside them lies what the proxy is sent, a file a type. What every sidecar is
sent is in `sidecars/alone`; other cases leave out what is the same there, so that each shows what it is about.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from weft_cli.folder import FolderSource
from weft_cli.translate import find_proxy
from weft_core.ingest import replace_all
from weft_core.problems import Severity
from weft_core.proxy import LocalPorts
from weft_core.registry import Registry, Settings
from weft_core.view.problems import all_problems
from weft_xds.render import render

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/*/input.yaml"))
COMMON = HERE / "sidecars" / "alone"


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: "/".join(folder.relative_to(HERE).parts))
def test_golden(folder: Path, update_golden: bool, common: Mapping[str, Any]) -> None:
    case = read(folder / "case.yaml")
    document = translate(folder, case)
    for key in case["shows"]:
        wanted = as_yaml([made for made in document[key] if folder == COMMON or made not in common[key]])
        path = folder / f"{key}.yaml"
        if update_golden:
            path.write_text(wanted, encoding="utf-8")
        assert wanted == path.read_text(encoding="utf-8")
    assert {path.stem for path in folder.iterdir()} == {"input", "case", *case["shows"]}


@pytest.fixture(scope="session")
def common() -> Mapping[str, Any]:
    """What every sidecar is sent."""
    return translate(COMMON, read(COMMON / "case.yaml"))


def read(path: Path) -> Any:
    """The content of a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def translate(folder: Path, case: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document of a case. Its input must be without errors."""
    loaded = FolderSource([folder / "input.yaml"]).read()
    registry = Registry(Settings(derive_endpoints=True))
    replace_all(registry, loaded.objects, mesh=loaded.mesh)
    assert [p for p in (*loaded.problems, *all_problems(registry)) if p.severity is Severity.ERROR] == []
    proxy = find_proxy(registry, case["proxy"])
    if ports := case.get("local_ports"):
        maps: dict[str, Any] = {name: tuple(ports.pop(name).items()) for name in ("inbound", "application")}
        registry.local_ports.put((proxy.namespace, proxy.name), LocalPorts(**maps, **ports))
    return render(registry, proxy)


class Dumper(yaml.SafeDumper):
    """Writes lists indented and nothing by reference, as people write YAML."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def as_yaml(value: Any) -> str:
    """The text of a golden file."""
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
