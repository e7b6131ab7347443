"""The `weft` command in this process, and a small mesh in files."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from weft_cli.main import main

SHOP = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, sidecar.istio.io/inject: "true"}}
    spec: {containers: [{name: web}]}
"""
ROUTES = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http:
  - timeout: 2s
    route:
    - destination: {host: web}
"""
BROKEN = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: broken, namespace: shop}
spec:
  hosts: [web]
  timeout: 1s
  http:
  - route:
    - destination: {host: web}
"""


class Outcome(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    stdout: str
    stderr: str


Weft = Callable[..., Outcome]


@pytest.fixture
def weft(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Weft:
    """Runs `weft` with these arguments."""

    def run(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["weft", *map(str, arguments)])
        code: int | str | None = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        assert isinstance(code, int)
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with a service, its Deployment and a route, in two files."""
    folder = tmp_path / "mesh"
    folder.mkdir()
    (folder / "routes.yaml").write_text(ROUTES)
    (folder / "shop.yaml").write_text(SHOP)
    return folder


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A file with one object that the schema refuses."""
    path = tmp_path / "broken.yaml"
    path.write_text(BROKEN)
    return path
