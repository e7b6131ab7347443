"""Finding out which release we are: the ClusterRole that owns all that is made at run time."""

import structlog

from weft_injector.delivery.names import Release
from weft_kube.client import Api
from weft_kube.errors import Forbidden, NotFound
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
