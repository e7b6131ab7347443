"""Bad input as it is seen in the wild, through `weft analyze -o json`: code, line, path and fix, one case each."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

Weft = Callable[..., Any]


class Found(NamedTuple):
    """What must be told of a mistake."""

    code: str
    severity: str
    line: int
    path: str
    fix: str


def refused(line: int, path: str, fix: str) -> Found:
    return Found("IST0106", "error", line, path, fix)


VIRTUAL_SERVICE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web]
"""
POLICY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web}
spec:
"""
UNREADABLE = Found(
    "WEFT0020", "error", 1, "", "correct what else is reported about this AuthorizationPolicy, or delete it"
)
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
---
"""
ROUTE = """\
  - route:
    - destination: {host: web}
"""
CASES: dict[str, tuple[str, tuple[Found, ...]]] = {
    "malformed YAML": (
        "kind: Service\nspec: {ports: [{port: 80}]\n",
        (Found("WEFT0001", "error", 3, "", "close the brackets, and separate entries with commas"),),
    ),
    "unknown kind": (
        "apiVersion: networking.istio.io/v1\nkind: VirtualServce\nmetadata: {name: web}\n",
        (Found("WEFT0002", "error", 2, "kind", "write kind: VirtualService"),),
    ),
    "unknown field": (
        VIRTUAL_SERVICE + "  http:\n" + ROUTE + "    retires: {attempts: 1}\n",
        (refused(9, "spec.http[0].retires", "write `retries`"),),
    ),
    "wrong types": (
        VIRTUAL_SERVICE.replace("[web]", "web")
        + "  http:\n  - timeout: 5\n    route: [{destination: {host: web}, weight: x}]\n",
        (
            refused(5, "spec.hosts", "write [web]"),
            refused(7, "spec.http[0].timeout", 'write "5s" for seconds, or with ms, m or h'),
            refused(8, "spec.http[0].route[0].weight", "write a number, without quotes"),
        ),
    ),
    "timeout beside http": (
        VIRTUAL_SERVICE + "  timeout: 1s\n  http:\n" + ROUTE,
        (refused(6, "spec.timeout", "move it to spec.http[].timeout, beside `route`"),),
    ),
    "timeout in a destination": (
        VIRTUAL_SERVICE + "  http:\n" + ROUTE + "      timeout: 1s\n",
        (refused(9, "spec.http[0].route[0].timeout", "move it to spec.http[0].timeout, beside `route`"),),
    ),
    "http as a map": (
        VIRTUAL_SERVICE + "  http:\n    route:\n    - destination: {host: web}\n    timeout: 1s\n",
        (refused(6, "spec.http", "begin each entry with a hyphen: `- route: …`"),),
    ),
    "dangling host and subset": (
        SERVICE
        + VIRTUAL_SERVICE
        + "  http:\n  - route:\n    - destination: {host: web, subset: v9}\n    mirror: {host: nobody}\n",
        (
            Found(
                "IST0101",
                "error",
                13,
                "spec.http[0].route[0].destination.subset",
                "add a DestinationRule for web.default.svc.cluster.local with the subset v9",
            ),
            Found(
                "IST0101",
                "error",
                14,
                "spec.http[0].mirror.host",
                "correct the name, or add a Service or a ServiceEntry with the host nobody.default.svc.cluster.local",
            ),
        ),
    ),
    "duplicate hosts": (
        VIRTUAL_SERVICE.replace("[web]", "[web, web]") + "  http:\n" + ROUTE,
        (refused(5, "spec.hosts[1]", "remove one"),),
    ),
    "weights that sum to nothing": (
        VIRTUAL_SERVICE + "  http:\n" + ROUTE + "    - destination: {host: other}\n",
        (refused(7, "spec.http[0].route", "give each destination a weight, for example 90 and 10"),),
    ),
    "a negative weight": (
        VIRTUAL_SERVICE + "  http:\n" + ROUTE + "      weight: -5\n",
        (refused(9, "spec.http[0].route[0].weight", "write 0 or more"),),
    ),
    "a header without matcher": (
        VIRTUAL_SERVICE
        + "  http:\n  - match:\n    - headers:\n        end-user: jason\n    route: [{destination: {host: web}}]\n",
        (
            refused(
                9,
                "spec.http[0].match[0].headers.end-user",
                "write `end-user: {exact: jason}` (or prefix, regex)",
            ),
        ),
    ),
    "names of sources and operations": (
        POLICY
        + "  rules:\n  - from:\n    - source_ns: [shop]\n      operation: {methods: [GET]}\n"
        + "      path: /a\n    action: DENY\n",
        (
            UNREADABLE,
            refused(7, "spec.rules[0].from[0].source_ns", "write spec.rules[0].from[0].source.namespaces"),
            refused(8, "spec.rules[0].from[0].operation", "move it to spec.rules[0].to[].operation"),
            refused(9, "spec.rules[0].from[0].path", "move it to spec.rules[0].to[].operation.paths"),
            refused(10, "spec.rules[0].action", "move it to spec.action"),
        ),
    ),
    "an unknown field of a policy": (
        POLICY + "  frobnicate: true\n",
        (
            UNREADABLE,
            refused(
                5,
                "spec.frobnicate",
                "remove it; known here are selector, targetRef, targetRefs, rules, action, provider",
            ),
        ),
    ),
    "consecutiveErrors": (
        SERVICE
        + "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: web}\n"
        + "spec:\n  host: web\n  trafficPolicy:\n    outlierDetection:\n      consecutiveErrors: 3\n",
        (
            Found(
                "IST0002",
                "warning",
                13,
                "spec.trafficPolicy.outlierDetection.consecutiveErrors",
                "write consecutive5xxErrors: 3",
            ),
        ),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_mistake_names_file_line_path_and_fix(weft: Weft, tmp_path: Path, case: str) -> None:
    text, expected = CASES[case]
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    ended = weft("analyze", "-f", path, "-o", "json")
    findings = json.loads(ended.stdout)
    assert ended.code == 79
    assert {f["file"] for f in findings} == {str(path)}
    assert all(f["message"] for f in findings)
    assert tuple(Found(*(f[key] for key in Found._fields)) for f in findings) == expected


def test_the_rest_of_the_input_keeps_working(weft: Weft, tmp_path: Path, shop: Path) -> None:
    """All the mistakes of above, each in its file, change nothing about what a proxy of another namespace gets."""
    expected = weft("translate", "-f", shop, "--proxy", "web-0.shop").stdout
    rejected = [text for text, found in CASES.values() if found[0].code in ("IST0106", "WEFT0001", "WEFT0002")]
    for number, text in enumerate(rejected):
        (tmp_path / f"{number}.yaml").write_text(text)
    ended = weft(
        "translate",
        "-f",
        shop,
        *(a for n in range(len(rejected)) for a in ("-f", tmp_path / f"{n}.yaml")),
        "--proxy",
        "web-0.shop",
    )
    assert (ended.code, ended.stdout) == (79, expected)
