"""What the other tests build on: the API server answers, goes and comes back; nothing stays behind."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from bringup import Cluster, CommandFailed, ControlPlane


def test_the_api_server_stores_what_it_is_given(api_server: Cluster, namespace: str) -> None:
    api_server.apply(_config_map("settings", color="blue"), namespace=namespace)
    assert api_server.get("configmap", "settings", namespace=namespace)["data"] == {"color": "blue"}


def test_pod_certificates_are_served(api_server: Cluster) -> None:
    assert "podcertificaterequests" in api_server.kubectl("api-resources", "--api-group=certificates.k8s.io")


def test_role_based_access_is_enforced(api_server: Cluster, namespace: str) -> None:
    with pytest.raises(CommandFailed, match="Forbidden"):
        api_server.kubectl("get", "pods", f"--as=system:serviceaccount:{namespace}:default")


def test_dependents_go_with_their_owner(api_server: Cluster, namespace: str) -> None:
    api_server.apply(_config_map("owner"), namespace=namespace)
    uid = api_server.get("configmap", "owner", namespace=namespace)["metadata"]["uid"]
    dependent = _config_map("dependent")
    dependent["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]
    api_server.apply(dependent, namespace=namespace)
    api_server.kubectl("delete", "configmap", "owner", "-n", namespace)
    api_server.kubectl("wait", "--for=delete", "configmap/dependent", "-n", namespace, "--timeout=30s")


def test_an_outage_keeps_the_data(
    api_server: Cluster, namespace: str, outage: Callable[[], AbstractContextManager[None]]
) -> None:
    api_server.apply(_config_map("kept"), namespace=namespace)
    with outage(), pytest.raises(CommandFailed, match="refused"):
        api_server.get("configmap", "kept", namespace=namespace)
    assert api_server.get("configmap", "kept", namespace=namespace)["metadata"]["name"] == "kept"


def test_a_control_plane_leaves_no_process_behind(tmp_path: Path) -> None:
    cluster = ControlPlane(tmp_path)
    cluster.start()
    assert len(_processes_of(tmp_path)) == 2
    cluster.stop()
    assert _processes_of(tmp_path) == []


def _config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _processes_of(state: Path) -> list[str]:
    """Command lines of the processes that work in this folder."""
    lines = (_read(file) for file in Path("/proc").glob("[0-9]*/cmdline"))
    return [line for line in lines if str(state) in line]


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:  # it has ended meanwhile
        return ""
