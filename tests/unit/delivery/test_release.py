"""Who we are."""

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from weft_injector.delivery.names import Release
from weft_injector.delivery.release import find_release, refresh
from weft_kube.client import Api
from weft_kube.errors import Unavailable
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


async def test_a_release_whose_cluster_role_was_made_anew_belongs_to_the_new_one(
    api: Api, release: Release, install: Callable[[str, str], None]
) -> None:
    assert not await refresh(api, release)
    install(release.cluster_name, "new")
    assert await refresh(api, release)
    assert [owner["uid"] for owner in release.owner_references] == ["new"]


async def test_a_release_that_is_being_uninstalled_keeps_its_owner_and_makes_nothing(
    api: Api, release: Release
) -> None:
    """What were made now without an owner would stay behind."""
    uid = release.uid
    await api.delete(CLUSTER_ROLES, release.cluster_name)
    with pytest.raises(Unavailable, match="no ClusterRole now"):
        await refresh(api, release)
    assert release.uid == uid
    assert not await refresh(api, Release(name="no-chart"))
