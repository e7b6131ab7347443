"""When a replica of the control plane is ready: not before it can do everything that it is asked for."""

import asyncio
from dataclasses import dataclass, field

import structlog

from weft_injector.delivery.names import Release
from weft_kube.client import Api
from weft_kube.errors import ApiError
from weft_kube.resource import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, Resource

_PAUSE = 0.2
_BACK_OFF = 2.0
"""Seconds without another question after one that the API server did not answer."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Readiness:
    """What is still missing, by name; ready once nothing is, and no longer once the end has begun."""

    missing: set[str] = field(default_factory=set)
    ending: bool = False

    def done(self, part: str) -> None:
        """A part is there."""
        if part in self.missing:
            self.missing.discard(part)
            _log.info("part_ready", part=part, missing=sorted(self.missing))

    @property
    def ready(self) -> bool:
        """Whether requests may come."""
        return not self.missing and not self.ending


async def webhooks_known(api: Api, release: Release) -> None:
    """Wait until the API server knows our webhooks' roots, which the leader tells it.

    Until then it would refuse every pod of a mesh namespace, so an installation is not complete before.
    """
    for resource in (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS):
        while not await _known(api, resource, release):  # noqa: ASYNC110 - the API server sends no event to wait for
            await asyncio.sleep(_PAUSE)


async def _known(api: Api, resource: Resource, release: Release) -> bool:
    try:
        found = await api.find(resource, release.cluster_name)
    except ApiError as fault:
        _log.warning("webhooks_unread", reason=str(fault))
        await asyncio.sleep(_BACK_OFF)
        return False
    webhooks = found.get("webhooks") or () if found else ()
    return all(webhook["clientConfig"].get("caBundle") for webhook in webhooks)
