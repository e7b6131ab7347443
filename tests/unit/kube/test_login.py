"""Logging in: from a kubeconfig, from the pod's own account, or not at all."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from kubernetes.config import incluster_config

from weft_core.errors import EnvironmentFault
from weft_injector.ca.authority import Authority
from weft_kube import login as module
from weft_kube.login import login

KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:6443/", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {token: sesame}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""


def test_a_kubeconfig_says_where_and_who(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(KUBECONFIG)
    found = login(file)
    assert found.server == "https://127.0.0.1:6443"
    assert found.authorization() == "Bearer sesame"
    assert found.tls is not None


def test_a_pod_uses_its_accounts_token_and_reads_it_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token, roots = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first")
    roots.write_text(_a_root())
    monkeypatch.setattr(module, "_TOKEN", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(roots))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    found = login()
    assert found.server == "https://10.0.0.1:443"
    assert found.authorization().lower() == "bearer first"


def test_no_way_in_is_explained(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="--kubeconfig"):
        login(tmp_path / "missing")


def _a_root() -> str:
    return Authority.self_made(trust_domain="cluster.local", now=datetime.now(UTC)).bundle.pem.decode()
