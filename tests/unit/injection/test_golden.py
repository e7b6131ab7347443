"""Whole pods, before and after. `--update-golden` (of tests/golden) writes them anew; read the diff."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from weft_injector.patch.inject import Surroundings, inject_pod
from weft_injector.settings import ClusterFeatures, InjectionSettings

CASES = sorted(path.parent for path in (Path(__file__).parent / "golden").glob("*/pod.yaml"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_pod_becomes_what_the_golden_file_says(case: Path, pytestconfig: pytest.Config) -> None:
    given = yaml.safe_load((case / "pod.yaml").read_text())
    injection = inject_pod(
        given["pod"],
        Surroundings(
            settings=InjectionSettings.model_validate(given["settings"]),
            features=ClusterFeatures(**given["features"]),
            namespace="shop",
            namespace_labels={"weft.dev/injection": "enabled"},
        ),
    )
    found = _readable(injection.pod)
    golden = case / "injected.yaml"
    if pytestconfig.getoption("--update-golden", default=False):
        golden.write_text(yaml.dump(found, Dumper=_Dumper, sort_keys=False, width=120))
    assert found == yaml.safe_load(golden.read_text())


def _readable(pod: Any) -> Any:
    """The pod with the proxy's bootstrap as a document, without what is the same for all."""
    document = json.loads(json.dumps(pod))
    spec = document["spec"]
    for container in (*spec["containers"], *spec.get("initContainers", ())):
        if container["name"] == "istio-proxy":
            at = container["args"].index("--config-yaml") + 1
            bootstrap = json.loads(container["args"][at])
            resources = bootstrap["static_resources"]
            container["args"][at] = {
                "node": bootstrap["node"],
                **{kind: [item for item in resources[kind] if "probe" in item["name"]] for kind in resources},
            }
    return document


class _Dumper(yaml.SafeDumper):
    """Without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True
