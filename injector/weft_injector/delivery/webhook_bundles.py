"""The roots in the webhook configurations, as `caBundle`: by them the API server knows the control plane's webhooks.

The chart installs the configurations without it, and an upgrade may take it away again; so the leader watches both and
puts it back. Of other people's webhooks nothing is touched, nor of entries that name another service.
"""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog
from msgspec import Struct, field

from weft_core.errors import WeftError
from weft_core.model.kubernetes import KubernetesObject
from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.names import Release
from weft_injector.delivery.root_keeper import RootKeeper
from weft_injector.delivery.waiting import first_of
from weft_injector.delivery.watching import Copy
from weft_injector.renewer import Clock
from weft_kube.client import Api, PatchType
from weft_kube.listwatch import Reflector
from weft_kube.resource import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, Resource

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_BOTH: Final = (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS)


class ServiceReference(Struct, frozen=True):
    """The Service behind a webhook."""

    name: str = ""
    namespace: str = ""


class ClientConfig(Struct, frozen=True, kw_only=True):
    """How the API server reaches a webhook; `ca_bundle` is base64 of PEM."""

    service: ServiceReference | None = None
    ca_bundle: str = field(default="", name="caBundle")


class Webhook(Struct, frozen=True, kw_only=True):
    """One entry of a webhook configuration."""

    name: str = ""
    client_config: ClientConfig = field(default_factory=ClientConfig, name="clientConfig")


class WebhookConfiguration(KubernetesObject, frozen=True, kw_only=True):
    """A MutatingWebhookConfiguration or a ValidatingWebhookConfiguration."""

    webhooks: tuple[Webhook, ...] | None = None


def bundle_patch(webhooks: Sequence[Webhook], release: Release, ca_bundle: str) -> list[dict[str, Any]]:
    """A JSON patch (RFC 6902) that puts `ca_bundle` into our entries; empty where it is there.

    Entries are named by their place; a test of the name before each makes the patch fail where the places changed.
    """
    ours = ServiceReference(name=release.name, namespace=release.namespace)
    patch: list[dict[str, Any]] = []
    for index, webhook in enumerate(webhooks):
        if webhook.client_config.service == ours and webhook.client_config.ca_bundle != ca_bundle:
            patch += [
                {"op": "test", "path": f"/webhooks/{index}/name", "value": webhook.name},
                {"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": ca_bundle},
            ]
    return patch


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOptions:
    """Whose webhooks."""

    release: Release
    tick: timedelta = timedelta(minutes=5)
    retry: timedelta = timedelta(seconds=2)


class WebhookBundles:
    """Keeps `caBundle` in both configurations. `lead` runs where this replica leads."""

    def __init__(
        self, api: Api, root: RootKeeper, options: WebhookOptions, *, clock: Clock, metrics: CertificateMetrics
    ) -> None:
        self._api = api
        self._root = root
        self._options = options
        self._clock = clock
        self._metrics = metrics

    async def lead(self) -> None:
        """Keep them, for as long as this replica leads."""
        async with asyncio.TaskGroup() as tasks:
            for resource in _BOTH:
                tasks.create_task(self._keep(resource), name=f"keep caBundle of {resource.plural}")

    async def _keep(self, resource: Resource) -> None:
        look = asyncio.Event()
        copy: Copy[WebhookConfiguration] = Copy(told=look.set)
        name = self._options.release.cluster_name
        reflector = Reflector(self._api, resource, WebhookConfiguration, copy, fields=f"metadata.name={name}")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(reflector.run(), name=f"watch {resource.plural}")
            while True:
                await reflector.synced.wait()
                look.clear()
                authority = self._root.authority
                row = copy.rows.get(("", name))
                done = row is None or await self._put(resource, row, authority.bundle.pem)
                longest = self._options.tick if done else self._options.retry
                await first_of(look.wait(), self._root.changed(authority), self._clock.sleep(longest.total_seconds()))

    async def _put(self, resource: Resource, row: WebhookConfiguration, roots: bytes) -> bool:
        """Write what is missing; False where it is to be tried again."""
        patch = bundle_patch(row.webhooks or (), self._options.release, base64.b64encode(roots).decode())
        if not patch:
            return True
        try:
            await self._api.patch(resource, row.name, patch, how=PatchType.JSON)
        except WeftError as fault:
            self._metrics.failed.labels("caBundle").inc()
            _log.warning("webhook_bundle_not_written", kind=resource.kind, name=row.name, reason=str(fault))
            return False
        _log.info("webhook_bundle_written", kind=resource.kind, name=row.name, webhooks=len(patch) // 2)
        return True
