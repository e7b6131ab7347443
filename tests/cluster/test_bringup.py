"""What the other tests build on: the API server answers, goes and comes back; nothing stays behind."""

import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from bringup import Cluster, CommandFailed, ControlPlane, Node, Unavailable, cache, footprint, images
from bringup.node import take_turn


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


def test_a_control_plane_leaves_no_process_behind(start_control_plane: Callable[..., ControlPlane]) -> None:
    cluster = start_control_plane()
    assert len(_processes_of(cluster.state)) == 2  # etcd and the API server
    cluster.stop()
    assert _processes_of(cluster.state) == []


def _config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _traces(state: Path) -> set[str]:
    """All by which a node can be noticed from outside of its namespaces."""
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    routes = Path("/proc/net/route").read_text().splitlines() + Path("/proc/net/ipv6_route").read_text().splitlines()
    parameters = [Path("/proc/sys", name) for name in footprint.PARAMETERS]
    return {
        *_processes_of(state),
        *(line for line in mounts if str(state) in line or "kubelet" in line),
        *(line for line in routes if "weft-test" in line),
        *(file.name for file in Path("/sys/class/net").iterdir() if file.name.startswith("weft-test")),
        *(str(place) for place in Path("/sys/fs/cgroup").glob("**/weft-test")),
        *(folder for folder in footprint.FOLDERS if Path(folder).exists()),
        *(f"{file}={file.read_text()}" for file in parameters if file.exists()),
    }


def _processes_of(state: Path) -> list[str]:
    """Command lines of the processes that work in this folder."""
    lines = (_read(file) for file in Path("/proc").glob("[0-9]*/cmdline"))
    return [line for line in lines if str(state) in line]


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:  # it has ended meanwhile
        return ""


@pytest.mark.node
@pytest.mark.skipif("KUBECONFIG" in os.environ, reason="where a cluster is given none is started")
def test_a_node_puts_the_machine_back(tmp_path: Path) -> None:
    cluster = Node(tmp_path)
    with take_turn():  # another's node would leave traces too
        before = _traces(tmp_path)
    cluster.start()
    assert _traces(tmp_path) - before
    cluster.stop()
    assert _traces(tmp_path) == before


def test_a_pod_runs_and_a_service_leads_to_it(node: Cluster, namespace: str) -> None:
    node.apply(*_web("web"), namespace=namespace)
    node.kubectl("wait", "pod/web", "-n", namespace, "--for=condition=Ready", "--timeout=60s")
    page = f"import urllib.request as r; print(r.urlopen('http://server.{namespace}.svc.cluster.local/').status)"
    assert node.exec("web", "python3", "-c", page, namespace=namespace).strip() == "200"
    assert "GET / HTTP/1.1" in node.logs("web", namespace=namespace)


def test_the_machine_reaches_services_of_the_node(node: Cluster, namespace: str) -> None:
    if not isinstance(node, Node):
        pytest.skip("a given cluster may be anywhere")
    node.apply(*_web("web"), namespace=namespace)
    node.kubectl("wait", "pod/web", "-n", namespace, "--for=condition=Ready", "--timeout=60s")
    for address in node.get("service", "server", namespace=namespace)["spec"]["clusterIPs"]:
        with socket.create_connection((address, 80), timeout=10):
            pass


def test_pods_outlive_an_outage_of_the_api_server(node: Cluster, namespace: str) -> None:
    node.apply(*_web("web"), namespace=namespace)
    node.kubectl("wait", "pod/web", "-n", namespace, "--for=condition=Ready", "--timeout=60s")
    node.stop_api_server()
    node.start_api_server()
    (pod,) = node.pods("app=web", namespace)
    assert [status["restartCount"] for status in pod["status"]["containerStatuses"]] == [0]
    assert node.exec("web", "true", namespace=namespace) == ""


def test_a_missing_part_is_said_and_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with pytest.raises(Unavailable, match="has no etcd and no kube-apiserver"):
        ControlPlane(tmp_path)


def test_what_was_interrupted_is_made_anew(tmp_path: Path) -> None:
    def interrupted(draft: Path) -> None:
        draft.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.made(tmp_path / "thing", interrupted)

    def completed(draft: Path) -> None:
        draft.write_text("whole")

    assert cache.made(tmp_path / "thing", completed).read_text() == "whole"
    assert cache.made(tmp_path / "thing", interrupted).read_text() == "whole"


def _web(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A Pod that serves its root folder, and a Service `server` of every family that the cluster has."""
    container = {
        "name": "web",
        "image": images.BOOKSHOP,
        "command": ["python3", "-u", "-m", "http.server", "8000", "--bind", "::"],
        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "server"},
        "spec": {
            "selector": {"app": name},
            "ipFamilyPolicy": "PreferDualStack",
            "ports": [{"port": 80, "targetPort": 8000}],
        },
    }
    return pod, service
