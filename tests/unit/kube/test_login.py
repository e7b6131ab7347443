"""Logging in: from a kubeconfig, from the pod's own account, or not at all."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

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


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pod's service account, as the kubelet mounts it."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("first")
    (folder / "ca.crt").write_text(_a_root())
    monkeypatch.setattr(module, "_ACCOUNT", folder)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return folder


def test_a_kubeconfig_says_where_and_who(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(KUBECONFIG)
    found = login(file)
    assert found.server == "https://127.0.0.1:6443"
    assert found.authorization() == "Bearer sesame"
    assert found.tls is not None


def test_the_token_file_of_a_kubeconfig_is_read_anew(tmp_path: Path) -> None:
    """Whoever runs the control plane outside of its cluster has such a file, and somebody who keeps it fresh."""
    (tmp_path / "config").write_text(KUBECONFIG.replace("token: sesame", "tokenFile: secrets/token"))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/token").write_text("first\n")
    found = login(tmp_path / "config")
    assert found.authorization() == "Bearer first"
    (tmp_path / "secrets/token").write_text("second\n")
    assert found.authorization() == "Bearer second"


def test_a_kubeconfig_may_say_what_name_the_server_has_at_the_end_of_a_tunnel(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(KUBECONFIG.replace("cluster: {", "cluster: {tls-server-name: kubernetes, "))
    assert login(tmp_path / "config").server_name == "kubernetes"


@pytest.mark.parametrize("user", ["", "user: u", "user: stranger"])
def test_a_kubeconfig_without_token_has_none(tmp_path: Path, user: str) -> None:
    text = KUBECONFIG.replace("{token: sesame}", "{}").replace("user: u}", f"{user}}}")
    (tmp_path / "config").write_text(text)
    assert login(tmp_path / "config").authorization() == ""


def test_a_pod_uses_its_accounts_token_and_reads_it_anew(account: Path) -> None:
    found = login()
    assert found.server == "https://10.0.0.1:443"
    assert found.tls is not None
    assert found.tls.verify_mode is ssl.CERT_REQUIRED
    assert found.authorization() == "Bearer first"
    (account / "token").write_text("second\n")
    assert found.authorization() == "Bearer second"


def test_a_pod_of_an_ipv6_cluster_writes_the_address_in_brackets(
    account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00:10::1")
    assert login().server == "https://[fd00:10::1]:443"


def test_a_pod_that_is_not_told_the_server_says_so(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_PORT")
    with pytest.raises(EnvironmentFault, match="KUBERNETES_SERVICE_PORT"):
        login()


def test_a_pod_without_the_servers_root_trusts_nobody(account: Path) -> None:
    (account / "ca.crt").unlink()
    with pytest.raises(EnvironmentFault, match="no way into a Kubernetes cluster"):
        login()


def test_a_named_kubeconfig_beats_the_pods_account(account: Path, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(KUBECONFIG)
    assert login(file).authorization() == "Bearer sesame"


def test_no_way_in_is_explained(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="--kubeconfig"):
        login(tmp_path / "missing")


def _a_root() -> str:
    return Authority.self_made(trust_domain="cluster.local", now=datetime.now(UTC)).bundle.pem.decode()
