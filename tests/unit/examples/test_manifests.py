"""The examples' YAML: valid for the models, consistent in itself, and each feature file ready to be copied in."""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from weft_core.model.base import Model
from weft_core.model.kinds import BY_API

EXAMPLES = Path(__file__).parents[3] / "examples"
BOOKSHOP = sorted(EXAMPLES.glob("bookshop/**/*.yaml"))
FEATURES = sorted(EXAMPLES.glob("features/*.yaml"))
EVERY_FILE = pytest.mark.parametrize("path", BOOKSHOP + FEATURES, ids=lambda path: path.stem)
EVERY_FEATURE = pytest.mark.parametrize("path", FEATURES, ids=lambda path: path.stem)

NAMED_IN_THE_MISSION = {
    "request-timeout",
    "traffic-by-weight",
    "traffic-by-version",
    "traffic-by-header",
    "traffic-by-source",
    "locality-distribute",
    "locality-failover",
    "authorization-deny",
    "connection-limits",
    "outlier-detection",
    "fault-delay",
    "fault-abort",
}


@cache
def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def objects(*paths: Path) -> list[dict[str, Any]]:
    return [document for path in paths for document in documents(path)]


def of_kind(kind: str, *paths: Path) -> Iterator[dict[str, Any]]:
    return (document for document in objects(*paths) if document["kind"] == kind)


def destinations(value: Any) -> Iterator[tuple[str, str | None]]:
    """All (host, subset) that a VirtualService names, wherever they stand."""
    if isinstance(value, list):
        for item in value:
            yield from destinations(item)
    elif isinstance(value, dict):
        if "host" in value:
            yield value["host"], value.get("subset")
        for item in value.values():
            yield from destinations(item)


@EVERY_FILE
def test_every_mesh_object_is_valid(path: Path) -> None:
    for document in objects(path):
        model = BY_API[document["apiVersion"], document["kind"]].model
        if issubclass(model, Model):
            assert document["apiVersion"].endswith(".istio.io/v1")
            assert not list(model.model_validate(document["spec"]).mistakes())


@EVERY_FEATURE
def test_a_feature_can_be_copied_in_beside_the_sample(path: Path) -> None:
    names = Counter((document["kind"], document["metadata"]["name"]) for document in objects(*BOOKSHOP, path))
    assert names.most_common(1)[0][1] == 1, f"{names.most_common(1)} would be there twice"
    assert path.name not in {other.name for other in BOOKSHOP}


@EVERY_FEATURE
def test_a_feature_routes_only_to_hosts_and_subsets_that_exist(path: Path) -> None:
    hosts = {document["metadata"]["name"] for document in of_kind("Service", *BOOKSHOP)}
    subsets = {
        (rule["spec"]["host"], subset["name"])
        for rule in of_kind("DestinationRule", *BOOKSHOP, path)
        for subset in rule["spec"].get("subsets", ())
    }
    for rule in of_kind("VirtualService", *BOOKSHOP, path):
        for host, subset in destinations(rule["spec"]):
            assert host in hosts
            assert subset is None or (host, subset) in subsets


@EVERY_FEATURE
def test_a_feature_says_in_words_and_with_a_curl_line_what_to_see(path: Path) -> None:
    comment = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any(line.startswith("# See:") for line in comment)
    assert any("curl " in line and "localhost:8080/" in line for line in comment)


def test_everything_in_the_mission_has_its_file_and_the_index_lists_all() -> None:
    index = (EXAMPLES / "README.md").read_text()
    assert {path.stem for path in FEATURES} >= NAMED_IN_THE_MISSION
    assert all(f"[{path.name}](features/{path.name})" in index for path in FEATURES)


@EVERY_FILE
def test_every_pod_has_its_own_account_and_says_how_it_runs_here(path: Path) -> None:
    accounts = {document["metadata"]["name"] for document in of_kind("ServiceAccount", *BOOKSHOP, path)}
    services = [document["spec"] for document in of_kind("Service", *BOOKSHOP)]
    for deployment in of_kind("Deployment", path):
        template = deployment["spec"]["template"]
        labels, annotations = template["metadata"]["labels"], template["metadata"]["annotations"]
        assert template["spec"]["serviceAccountName"] in accounts
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
        assert any(service["selector"].items() <= labels.items() for service in services)
        container = template["spec"]["containers"][0]
        if annotations.get("inject.istio.io/templates") != "gateway":
            assert annotations["weft.dev/local-command"] == f"python services {container['args'][0]}"
            assert {"name": "VERSION", "value": labels["version"]} in container["env"]


def test_selectors_of_deployments_do_not_overlap() -> None:
    for path in FEATURES:
        deployments = list(of_kind("Deployment", *BOOKSHOP, path))
        for one in deployments:
            owned = [
                other["metadata"]["name"]
                for other in deployments
                if one["spec"]["selector"]["matchLabels"].items()
                <= other["spec"]["template"]["metadata"]["labels"].items()
            ]
            assert owned == [one["metadata"]["name"]]


def test_the_canary_stands_beside_the_shop_and_routes_to_subsets_of_its_own() -> None:
    """Rules of one host add up: it replaces no rule of the shop's, and needs none, to work in any other shop too."""
    path = EXAMPLES / "canary.yaml"
    test_a_feature_can_be_copied_in_beside_the_sample(path)
    (rule,) = of_kind("DestinationRule", path)
    (routes,) = of_kind("VirtualService", path)
    named = {("reviews", subset["name"]) for subset in rule["spec"]["subsets"]}
    assert set(destinations(routes["spec"])) == named


def test_rules_are_applied_after_the_services_that_they_name() -> None:
    """`kubectl apply -f FOLDER` goes by file name."""
    kinds = [document["kind"] for document in objects(*BOOKSHOP) if document["kind"] != "Namespace"]
    rules = {"DestinationRule", "Gateway", "VirtualService"}
    assert [kind in rules for kind in kinds] == sorted(kind in rules for kind in kinds)


@pytest.mark.parametrize(
    "template",
    [pytest.param(each["spec"]["template"], id=each["metadata"]["name"]) for each in of_kind("Deployment", *BOOKSHOP)],
)
def test_pods_ask_for_no_rights_that_the_restricted_standard_refuses(template: dict[str, Any]) -> None:
    """Pod Security Standards, level "restricted". What injection fills in for `image: auto` is its own affair."""
    pod = template["spec"]["securityContext"]
    assert pod == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    for container in template["spec"]["containers"]:
        if container["image"] != "auto":
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["resources"].keys() == {"requests", "limits"}
