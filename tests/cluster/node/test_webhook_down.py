"""While no control plane answers: other namespaces notice nothing, and a mesh namespace's pods wait for it."""

from collections.abc import Iterator

import pytest
from bringup import Cluster, CommandFailed
from shop import Shop, eventually

POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: {0}}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{{name: sleep, image: "localhost/weft-bookshop:1.0", command: [sleep, infinity]}}]
"""


@pytest.fixture
def without_control_plane(running: Shop, system: Shop) -> Iterator[None]:
    """The control plane scaled to nothing, and back afterwards."""
    system.kubectl("scale", "deployment/weft", "--replicas=0")
    system.kubectl("wait", "pod", "--all", "--for=delete", "--timeout=90s")
    yield
    system.kubectl("scale", "deployment/weft", "--replicas=2")
    system.ready()


@pytest.mark.usefixtures("without_control_plane")
def test_other_namespaces_start_pods_as_ever_and_mesh_namespaces_refuse_them(running: Shop, node: Cluster) -> None:
    node.kubectl("apply", "-n", "default", "-f", "-", input=POD.format("outside"))
    node.kubectl("wait", "-n", "default", "pod/outside", "--for=condition=Ready", "--timeout=60s")
    node.kubectl("delete", "-n", "default", "pod/outside")
    with pytest.raises(CommandFailed, match="failed calling webhook"):
        running.apply(POD.format("inside"))
    assert running.page().status == 200  # what runs goes on


def test_a_refused_pod_is_made_once_the_control_plane_is_back(running: Shop) -> None:
    running.apply(POD.format("inside"))
    running.kubectl("wait", "pod/inside", "--for=condition=Ready", "--timeout=60s")
    running.kubectl("delete", "pod/inside")
    eventually(lambda: _gone(running))


def _gone(shop: Shop) -> None:
    assert "inside" not in shop.kubectl("get", "pods", "-o", "name")
