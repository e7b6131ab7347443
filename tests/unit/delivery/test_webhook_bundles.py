"""caBundle: put into our webhooks, put back when it is taken away, and into nobody else's."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from weft_injector.ca.authority import Authority
from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.names import Release
from weft_injector.delivery.root_keeper import RootKeeper
from weft_injector.delivery.root_secret import root_secret
from weft_injector.delivery.webhook_bundles import (
    ClientConfig,
    ServiceReference,
    Webhook,
    WebhookBundles,
    WebhookOptions,
    bundle_patch,
)
from weft_injector.renewer import Clock
from weft_kube.client import Api
from weft_kube.errors import Conflict
from weft_kube.resource import MUTATING_WEBHOOKS, SECRETS, VALIDATING_WEBHOOKS, Resource

Background = Callable[[Awaitable[object]], "asyncio.Future[object]"]
Turn = Callable[[timedelta], Awaitable[None]]
Before = Callable[[Callable[[str, str], Awaitable[None]]], None]
NAME = "weft-weft-system"
OURS = ServiceReference(name="weft", namespace="weft-system")


@pytest.fixture
def bundles(api: Api, root: RootKeeper, release: Release, clock: Clock, metrics: CertificateMetrics) -> WebhookBundles:
    """The leader's."""
    return WebhookBundles(api, root, WebhookOptions(release=release), clock=clock, metrics=metrics)


async def install(api: Api, name: str = NAME) -> None:
    """What the chart installs, and a webhook that somebody added."""
    for resource in (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS):
        entries = [
            {"name": "a.weft.dev", "clientConfig": {"service": {"name": "weft", "namespace": "weft-system"}}},
            {"name": "b.example.com", "clientConfig": {"url": "https://example.com", "caBundle": "eA=="}},
            {"name": "c.weft.dev", "clientConfig": {"service": {"name": "weft", "namespace": "weft-system"}}},
        ]
        await api.create(resource, {"metadata": {"name": name}, "webhooks": entries})


async def shown(api: Api, resource: Resource = MUTATING_WEBHOOKS, name: str = NAME) -> list[str]:
    """The caBundle of each entry."""
    await asyncio.sleep(0.05)
    found: dict[str, Any] = await api.get(resource, name)
    return [entry["clientConfig"].get("caBundle", "") for entry in found["webhooks"]]


def encoded(root: RootKeeper) -> str:
    return base64.b64encode(root.authority.bundle.pem).decode()


def test_a_patch_names_the_entries_it_means(release: Release) -> None:
    entries = [
        Webhook(name="a", client_config=ClientConfig(service=OURS, ca_bundle="new")),
        Webhook(name="b", client_config=ClientConfig(service=ServiceReference(name="weft", namespace="other"))),
        Webhook(name="c", client_config=ClientConfig(service=OURS, ca_bundle="old")),
    ]
    assert bundle_patch(entries, release, "new") == [
        {"op": "test", "path": "/webhooks/2/name", "value": "c"},
        {"op": "add", "path": "/webhooks/2/clientConfig/caBundle", "value": "new"},
    ]


async def test_our_entries_of_both_configurations_get_the_roots_and_others_keep_theirs(
    api: Api, root: RootKeeper, bundles: WebhookBundles, background: Background
) -> None:
    await install(api)
    await install(api, "somebody-elses")
    background(bundles.lead())
    for resource in (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS):
        assert await shown(api, resource) == [encoded(root), "eA==", encoded(root)]
        assert await shown(api, resource, "somebody-elses") == ["", "eA==", ""]


async def test_what_an_upgrade_takes_away_is_put_back(
    api: Api, root: RootKeeper, bundles: WebhookBundles, background: Background
) -> None:
    background(bundles.lead())
    await asyncio.sleep(0.05)
    await install(api)
    assert encoded(root) in await shown(api)
    body = await api.get(MUTATING_WEBHOOKS, NAME)
    body["webhooks"] = [
        {"name": "d.weft.dev", "clientConfig": {"service": {"name": "weft", "namespace": "weft-system"}}}
    ]
    await api.replace(MUTATING_WEBHOOKS, NAME, body)
    assert await shown(api) == [encoded(root)]


async def test_both_roots_are_in_it_while_one_is_replaced(
    api: Api, root: RootKeeper, release: Release, bundles: WebhookBundles, now: datetime, background: Background
) -> None:
    await install(api)
    for work in (root.run(), bundles.lead()):
        background(work)
    await asyncio.sleep(0.05)
    other = Authority.self_made(trust_domain="cluster.local", now=now)
    await api.create(SECRETS, root_secret(other, release, "cacerts"), "weft-system")
    assert base64.b64decode((await shown(api))[0]).count(b"BEGIN") == 2


async def test_what_cannot_be_written_is_tried_again(
    api: Api, root: RootKeeper, bundles: WebhookBundles, background: Background, before: Before, turn: Turn
) -> None:
    await install(api)
    failures = 2

    async def refuse(method: str, _path: str) -> None:
        nonlocal failures
        if method == "PATCH" and failures:
            failures -= 1
            raise Conflict("somebody was faster", status=409)

    before(refuse)
    background(bundles.lead())
    assert encoded(root) not in await shown(api)
    await turn(timedelta(seconds=5))
    assert encoded(root) in await shown(api)
