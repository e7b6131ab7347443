"""`weft translate`: the document, which proxy is meant, and how it ends."""

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
KEYS = ["clusters", "endpoints", "listeners", "routes", "virtual_hosts", "secrets"]
WEB = "web-0.shop"
GATEWAY = """\
apiVersion: v1
kind: Pod
metadata: {name: edge, namespace: shop, labels: {app: edge}}
spec: {containers: [{name: proxy}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {app: edge}
  servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}]
"""


def document(weft: Weft, *arguments: str | Path) -> dict[str, list[dict[str, Any]]]:
    ended = weft("translate", *arguments, "-o", "json")
    assert ended.code == 0, ended.stderr
    parsed: dict[str, list[dict[str, Any]]] = json.loads(ended.stdout)
    return parsed


def names(messages: list[dict[str, Any]]) -> list[str]:
    return [message["name"] for message in messages]


def test_the_document_has_a_list_under_each_key_in_this_order(weft: Weft, shop: Path) -> None:
    found = document(weft, "-f", shop, "--proxy", WEB)
    assert list(found) == KEYS
    assert "outbound|80||web.shop.svc.cluster.local" in names(found["clusters"])
    assert [load["cluster_name"] for load in found["endpoints"]] == ["outbound|80||web.shop.svc.cluster.local"]
    assert all(names(found[key]) == sorted(names(found[key])) for key in KEYS if key != "endpoints")


def test_yaml_and_json_have_equal_content(weft: Weft, shop: Path) -> None:
    form = weft("translate", "-f", shop, "--proxy", WEB, "-o", "yaml")
    assert form == weft("translate", "-f", shop, "--proxy", WEB)
    assert yaml.safe_load(form.stdout) == document(weft, "-f", shop, "--proxy", WEB)


def test_the_yaml_has_no_anchors(weft: Weft, shop: Path) -> None:
    text = weft("translate", "-f", shop, "--proxy", WEB).stdout
    assert not any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text))


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_two_processes_with_other_hash_seeds_print_the_same_bytes(shop: Path, output: str) -> None:
    def printed(seed: str) -> bytes:
        code = "from weft_cli.main import main; main()"
        command = [sys.executable, "-c", code, "translate", "-f", str(shop), "--proxy", WEB, "-o", output]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.run(command, env=environment, capture_output=True, check=True).stdout

    first = printed("1")
    assert first == printed("2")
    assert len(first) > 1000


def test_the_order_of_files_does_not_matter(weft: Weft, shop: Path) -> None:
    one, other = shop / "routes.yaml", shop / "shop.yaml"
    there = weft("translate", "-f", one, "-f", other, "--proxy", WEB)
    assert there.code == 0
    assert weft("translate", "-f", other, "-f", one, "--proxy", WEB) == there
    assert weft("translate", "-f", shop, "--proxy", WEB) == there


def test_standard_input_is_a_dash(weft: Weft, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = weft("translate", "-f", shop, "--proxy", WEB)
    monkeypatch.setattr(sys, "stdin", io.StringIO((shop / "routes.yaml").read_text()))
    assert weft("translate", "-f", "-", "-f", shop / "shop.yaml", "--proxy", WEB) == expected


@pytest.mark.parametrize("name", ["deploy/web.shop", "deployment/web.shop"])
def test_a_deployment_means_its_first_pod(weft: Weft, shop: Path, name: str) -> None:
    assert document(weft, "-f", shop, "--proxy", name) == document(weft, "-f", shop, "--proxy", WEB)


def test_the_namespace_may_be_left_out_for_default(weft: Weft, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c}]}\n")
    assert document(weft, "-f", path, "--proxy", "a") == document(weft, "-f", path, "--proxy", "a.default")


@pytest.mark.parametrize(
    ("of", "to"),
    [
        ("labels: {app: edge}}", "labels: {app: edge}, annotations: {inject.istio.io/templates: gateway}}"),
        ("{name: proxy}", '{name: proxy, args: [proxy, router, "--domain", x]}'),
    ],
    ids=["annotation", "arguments"],
)
def test_a_gateway_is_known_by_its_template_or_its_arguments(weft: Weft, tmp_path: Path, of: str, to: str) -> None:
    path = tmp_path / "edge.yaml"
    path.write_text(GATEWAY.replace(of, to, 1))
    listeners = names(document(weft, "-f", path, "--proxy", "edge.shop")["listeners"])
    assert "0.0.0.0_8080" in listeners
    assert not {"virtualInbound", "virtualOutbound"} & set(listeners)


def test_any_other_pod_has_a_sidecar(weft: Weft, tmp_path: Path) -> None:
    path = tmp_path / "edge.yaml"
    path.write_text(GATEWAY)
    listeners = names(document(weft, "-f", path, "--proxy", "edge.shop")["listeners"])
    assert {"virtualInbound", "virtualOutbound"} <= set(listeners)


def test_mesh_settings_come_from_a_file(weft: Weft, shop: Path, tmp_path: Path) -> None:
    settings = tmp_path / "mesh.yaml"
    settings.write_text("connectTimeout: 3s\n")
    clusters = document(weft, "-f", shop, "--proxy", WEB, "--mesh-config", settings)["clusters"]
    [cluster] = [c for c in clusters if c["name"] == "outbound|80||web.shop.svc.cluster.local"]
    assert cluster["connect_timeout"] == "3s"


def test_a_rejected_object_ends_with_79_and_the_rest_is_printed(weft: Weft, shop: Path, broken: Path) -> None:
    expected = weft("translate", "-f", shop, "--proxy", WEB)
    ended = weft("translate", "-f", shop, "-f", broken, "--proxy", WEB)
    assert ended.code == 79
    assert ended.stdout == expected.stdout
    assert ended.stderr == (
        f"{broken}:6: error IST0106 VirtualService shop/broken spec.timeout: unknown field `timeout`"
        " → move it to spec.http[].timeout, beside `route`\n"
    )


def test_what_is_wrong_between_objects_is_told_and_ends_with_0(weft: Weft, shop: Path) -> None:
    routes = shop / "routes.yaml"
    routes.write_text(routes.read_text().replace("destination: {host: web}", "destination: {host: web, subset: v9}"))
    ended = weft("translate", "-f", shop, "--proxy", WEB)
    assert ended.code == 0
    assert "IST0101" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--proxy", "nobody.shop"), "weft: --proxy nobody.shop: no such pod; there are web-0.shop\n"),
        (("--proxy", "deploy/nobody"), "weft: --proxy deploy/nobody: no such pod; there are web-0.shop\n"),
        (("--proxy", WEB, "-o", "toml"), "weft: -o toml: the document is printed as yaml or json\n"),
        (("--proxy", WEB, "-f", "/nowhere"), "weft: /nowhere: no such file or folder\n"),
        (("--proxy", WEB, "--mesh-config", "/nowhere"), "weft: /nowhere: no such file or folder\n"),
    ],
)
def test_what_is_not_there_ends_with_1_and_one_line(
    weft: Weft, shop: Path, arguments: tuple[str, ...], told: str
) -> None:
    assert weft("translate", "-f", shop, *arguments) == (1, "", told)


def test_without_any_pod_it_says_so(weft: Weft, broken: Path) -> None:
    ended = weft("translate", "-f", broken, "--proxy", "a")
    assert ended.code == 1
    assert ended.stderr.endswith("no such pod; the files describe no Pod and no Deployment\n")


@pytest.mark.parametrize("arguments", [("--proxy", WEB), ("-f", "a.yaml"), ("-f", "a.yaml", "--frob", "1")])
def test_a_wrong_command_line_ends_with_2(weft: Weft, arguments: tuple[str, ...]) -> None:
    ended = weft("translate", *arguments)
    assert (ended.code, ended.stdout) == (2, "")
