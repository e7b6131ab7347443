"""Finding out which release we are: the ClusterRole that owns all that is made at run time.

It may be replaced under a running control plane (`kubectl replace --force`, a deployment tool that deletes what it
cannot change). The garbage collector then deletes what the old one owned: roots, trust bundles, Secrets. What is made
again must name the new one, or it would be deleted again at once, for ever.
"""

import structlog

from weft_injector.delivery.names import Release
from weft_kube.client import Api
from weft_kube.errors import Forbidden, NotFound, Unavailable
from weft_kube.resource import CLUSTER_ROLES

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


async def find_release(api: Api, name: str, namespace: str) -> Release:
    """The release of this name in this namespace. Raises ApiError where the API server gives no answer.

    A control plane that was not installed by the chart has no ClusterRole. It works all the same, and what it makes
    stays behind when it ends.
    """
    release = Release(name=name, namespace=namespace)
    try:
        role = await api.get(CLUSTER_ROLES, release.cluster_name)
    except (NotFound, Forbidden) as fault:
        _log.warning(
            "release_not_found",
            reason=str(fault),
            effect="what the control plane makes has no owner, and stays when it is uninstalled",
        )
        return release
    return Release(name=name, namespace=namespace, uid=role["metadata"]["uid"])


async def refresh(api: Api, release: Release) -> bool:
    """Take over the uid of the ClusterRole as it is now; True where that is another one than before.

    Asked before anything is made that it is to own, and from time to time. Raises Unavailable while the release has
    none any more: either it is being uninstalled, and nothing is to be made that would stay behind, or it is about to
    get another one. Who never had one needs none.
    """
    try:
        uid = str((await api.get(CLUSTER_ROLES, release.cluster_name))["metadata"]["uid"])
    except (NotFound, Forbidden) as fault:
        if release.uid:
            raise Unavailable(f"the release has no ClusterRole now that could own anything: {fault}") from fault
        return False
    if uid == release.uid:
        return False
    _log.warning("release_replaced", cluster_role=release.cluster_name, before=release.uid, uid=uid)
    release.uid = uid
    return True
