"""Who we are."""

from structlog.testing import capture_logs

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
