"""What the injector writes on Envoy's command line is taken by Envoy, as the kubelet passes it on."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from weft_injector.patch.inject import Surroundings, inject_pod
from weft_injector.sds import WORKLOAD_SECRETS
from weft_injector.settings import ClusterFeatures, InjectionSettings

pytestmark = pytest.mark.envoy

_PROBED = {
    "name": "app",
    "ports": [{"name": "http", "containerPort": 8080}],
    "livenessProbe": {"httpGet": {"path": "/h?a=$(POD_IP)$$", "port": "http", "scheme": "HTTPS"}},
    "readinessProbe": {"grpc": {"port": 9000, "service": "shop.Cart"}},
    "startupProbe": {"tcpSocket": {"port": 8080}},
    "lifecycle": {"preStop": {"httpGet": {"path": "/bye", "port": 8080}}},
}
_GATEWAY = {"inject.istio.io/templates": "gateway"}


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A working directory with the documents that the kubelet projects."""
    folder = tmp_path / WORKLOAD_SECRETS.path
    folder.mkdir()
    for name, content in WORKLOAD_SECRETS.documents().items():
        (folder / name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize("ip", ["10.1.2.3", "fd00::1:2"])
@pytest.mark.parametrize("annotations", [{}, _GATEWAY, {"sidecar.istio.io/componentLogLevel": "http:debug"}])
@pytest.mark.parametrize("native", [True, False])
async def test_envoy_takes_the_arguments(
    envoy_binary: Path, certificates: Path, ip: str, annotations: dict[str, str], native: bool
) -> None:
    pod: dict[str, Any] = {
        "metadata": {"name": "web-0", "labels": {"app": "web"}, "annotations": annotations},
        "spec": {"containers": [_PROBED]},
    }
    found = inject_pod(
        pod,
        Surroundings(
            settings=InjectionSettings(),
            features=ClusterFeatures(native_sidecars=native),
            namespace="shop",
            namespace_labels={"weft.dev/injection": "enabled"},
        ),
    )
    assert found.pod is not None
    spec = found.pod["spec"]
    containers = (*spec["containers"], *spec.get("initContainers", ()))
    [proxy] = [container for container in containers if container["name"] == "istio-proxy"]
    variables = {"POD_NAME": "web-0", "POD_NAMESPACE": "shop", "POD_IP": ip}
    process = await asyncio.create_subprocess_exec(
        envoy_binary,
        *(_replaced(argument, variables) for argument in proxy["args"]),
        *("--mode", "validate"),
        cwd=certificates,
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert b"warning" not in said.lower(), said.decode()


def _replaced(argument: str, variables: dict[str, str]) -> str:
    """The kubelet's replacements, with what is doubled kept apart from what is a variable."""
    parts = argument.split("$$")
    for name, value in variables.items():
        parts = [part.replace(f"$({name})", value) for part in parts]
    return "$".join(parts)
