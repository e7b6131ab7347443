"""`weft analyze`: what it prints and how it ends."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Weft = Callable[..., Any]
KEYS = ["code", "severity", "kind", "namespace", "name", "file", "line", "path", "message", "fix"]
REPOSITORY = Path(__file__).parents[3]
FEATURES = sorted((REPOSITORY / "examples/features").glob("*.yaml"))


def test_a_finding_has_all_keys_in_this_order(weft: Weft, broken: Path) -> None:
    ended = weft("analyze", "-f", broken, "-o", "json")
    assert ended.code == 79
    [finding] = json.loads(ended.stdout)
    assert list(finding) == KEYS
    assert finding == {
        "code": "IST0106",
        "severity": "error",
        "kind": "VirtualService",
        "namespace": "shop",
        "name": "broken",
        "file": str(broken),
        "line": 6,
        "path": "spec.timeout",
        "message": "unknown field `timeout`",
        "fix": "move it to spec.http[].timeout, beside `route`",
    }


def test_yaml_holds_what_json_holds(weft: Weft, broken: Path) -> None:
    as_json, as_yaml = (weft("analyze", "-f", broken, "-o", form) for form in ("json", "yaml"))
    assert yaml.safe_load(as_yaml.stdout) == json.loads(as_json.stdout)
    assert as_json.code == as_yaml.code == 79


def test_nothing_found_ends_with_0(weft: Weft, shop: Path) -> None:
    assert weft("analyze", "-f", shop, "-o", "json") == (0, "[]\n", "")
    assert weft("analyze", "-f", shop) == (0, "No problems found.\n", "")


def test_a_note_alone_ends_with_0_and_a_warning_with_79(weft: Weft, shop: Path) -> None:
    (shop / "scaling.yaml").write_text(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: a}\n"
    )
    noted = weft("analyze", "-f", shop, "-o", "json")
    assert (noted.code, [f["severity"] for f in json.loads(noted.stdout)]) == (0, ["info"])
    services = shop / "shop.yaml"
    services.write_text(services.read_text().replace("name: http, port", "name: web, port"))
    routes = shop / "routes.yaml"
    routes.write_text(routes.read_text().replace("  - timeout", "  - fault: {abort: {httpStatus: 500}}\n    timeout"))
    warned = weft("analyze", "-f", shop, "-o", "json")
    assert (warned.code, "warning" in {f["severity"] for f in json.loads(warned.stdout)}) == (79, True)


def test_two_processes_with_other_hash_seeds_print_the_same_bytes(shop: Path, broken: Path) -> None:
    routes = shop / "routes.yaml"
    routes.write_text(routes.read_text().replace("{host: web}", "{host: web, subset: a}\n    mirror: {host: b}"))

    def printed(seed: str) -> bytes:
        code = "from weft_cli.main import main; main()"
        command = [sys.executable, "-c", code, "analyze", "-f", str(shop), "-f", str(broken), "-o", "json"]
        ended = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=False)
        assert ended.returncode == 79
        return ended.stdout

    first = printed("1")
    assert first == printed("2")
    assert len(json.loads(first)) > 2


def test_the_order_of_files_does_not_matter(weft: Weft, shop: Path, broken: Path) -> None:
    given = [part for path in (*shop.iterdir(), broken) for part in ("-f", path)]
    turned = [part for path in (broken, *reversed([*shop.iterdir()])) for part in ("-f", path)]
    assert weft("analyze", *given, "-o", "json") == weft("analyze", *turned, "-o", "json")


def test_standard_input_is_a_dash(weft: Weft, broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(broken.read_text()))
    [finding] = json.loads(weft("analyze", "-f", "-", "-o", "json").stdout)
    assert (finding["file"], finding["line"], finding["path"]) == ("<stdin>", 6, "spec.timeout")


def test_a_missing_file_ends_with_1_and_one_line(weft: Weft) -> None:
    assert weft("analyze", "-f", "/nowhere.yaml") == (1, "", "weft: /nowhere.yaml: no such file or folder\n")


@pytest.mark.parametrize("arguments", [(), ("-f", "a.yaml", "-o", "toml"), ("a.yaml",)])
def test_a_wrong_command_line_ends_with_2(weft: Weft, arguments: tuple[str, ...]) -> None:
    ended = weft("analyze", *arguments)
    assert (ended.code, ended.stdout) == (2, "")


@pytest.mark.parametrize(
    "path",
    sorted(path for path in (REPOSITORY / "examples").rglob("*.yaml")),
    ids=lambda path: str(path.relative_to(REPOSITORY / "examples")),
)
def test_each_example_can_be_analyzed_alone(weft: Weft, path: Path) -> None:
    """Alone most of them refer to what is elsewhere: there are findings, no schema is broken, and nothing raises."""
    ended = weft("analyze", "-f", path, "-o", "json")
    assert ended.code in (0, 79)
    assert "IST0106" not in {finding["code"] for finding in json.loads(ended.stdout)}


@pytest.mark.parametrize(
    "path", [None, REPOSITORY / "examples/canary.yaml", *FEATURES], ids=lambda path: path.name if path else "alone"
)
def test_the_sample_with_each_feature_has_nothing_to_complain_of(weft: Weft, path: Path | None) -> None:
    more = ("-f", path) if path else ()
    ended = weft("analyze", "-f", REPOSITORY / "examples/bookshop", *more, "-o", "json")
    assert [f for f in json.loads(ended.stdout) if f["severity"] != "info"] == []


WORKLOAD = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations:
        traffic.sidecar.istio.io/excludeOutboundPorts: "80,http"
    spec:
      containers: [{name: web, image: web}]
"""


def test_what_injection_would_refuse_is_found_before_the_pod_is_made(weft: Weft, tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text(WORKLOAD)
    ended = weft("analyze", "-f", file, "-o", "json")
    found = [
        (each["severity"], each["line"], each["path"].rpartition(".annotations")[2])
        for each in json.loads(ended.stdout)
    ]
    assert found == [("error", 10, "[traffic.sidecar.istio.io/excludeOutboundPorts]")]
    assert ended.code == 79


def test_pods_that_get_no_sidecar_may_say_what_they_like(weft: Weft, tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    namespace = "kind: Namespace\napiVersion: v1\nmetadata: {name: shop, labels: {weft.dev/injection: disabled}}\n---\n"
    file.write_text(namespace + WORKLOAD)
    assert weft("analyze", "-f", file, "-o", "json") == (0, "[]\n", "")


def test_a_pod_on_its_nodes_network_is_no_finding(weft: Weft, tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text(WORKLOAD + "      hostNetwork: true\n")
    assert weft("analyze", "-f", file, "-o", "json") == (0, "[]\n", "")
