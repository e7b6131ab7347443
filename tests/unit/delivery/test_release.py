"""Who we are, and where bundles are needed."""

from structlog.testing import capture_logs

from weft_core.model.kubernetes import Namespace, ObjectMeta, Pod, PodStatus
from weft_injector.delivery.namespaces import bundled_namespaces
from weft_injector.delivery.release import find_release
from weft_kube.client import Api
from weft_kube.resource import CLUSTER_ROLES


async def test_a_release_knows_its_cluster_role(api: Api) -> None:
    made = await api.create(CLUSTER_ROLES, {"metadata": {"name": "weft-canary-mesh"}})
    release = await find_release(api, "weft-canary", "mesh")
    assert release.uid == made["metadata"]["uid"]
    assert release.cluster_name == "weft-canary-mesh"


async def test_a_control_plane_without_a_chart_works_and_says_what_that_means(api: Api) -> None:
    with capture_logs() as logs:
        release = await find_release(api, "weft", "mesh")
    assert release.owner_references == []
    assert [log["event"] for log in logs] == ["release_not_found"]


def test_bundles_are_needed_in_the_mesh_and_wherever_a_sidecar_runs() -> None:
    def namespace(name: str, *, leaving: str | None = None, **labels: str) -> Namespace:
        return Namespace(metadata=ObjectMeta(name=name, labels=labels, deletion_timestamp=leaving))

    def pod(place: str, phase: str = "Running", *, sidecar: bool = True) -> Pod:
        labels = {"security.istio.io/tlsMode": "istio"} if sidecar else {}
        return Pod(metadata=ObjectMeta(name="p", namespace=place, labels=labels), status=PodStatus(phase=phase))

    namespaces = [
        namespace("labelled", mesh="yes"),
        namespace("left"),
        namespace("plain"),
        namespace("finished"),
        namespace("going", leaving="2026-01-01T00:00:00Z", mesh="yes"),
    ]
    pods = [
        pod("left"),
        pod("plain", sidecar=False),
        pod("finished", "Succeeded"),
        pod("going"),
        pod("unknown"),
    ]
    needed = bundled_namespaces(namespaces, pods, of_the_mesh=lambda row: row.labels.get("mesh") == "yes")
    assert needed == {"labelled", "left"}
