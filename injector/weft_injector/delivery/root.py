"""Loading the root from the API server, and making it where there is none."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from weft_injector.ca.authority import Authority
from weft_injector.delivery.names import PLUGGED_IN_ROOT, PREVIOUS_ROOT, REPLACED_BY_ANNOTATION, SELF_MADE_ROOT, Release
from weft_injector.delivery.root_secret import Previous, parse_previous, parse_root, previous_secret, root_secret
from weft_kube.client import Api
from weft_kube.errors import AlreadyExists, Conflict
from weft_kube.resource import SECRETS

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The root's Secret, read: `name` says whose root it is."""

    authority: Authority
    name: str
    resource_version: str = ""

    @property
    def self_made(self) -> bool:
        """Whether the mesh made its root itself, and may renew it."""
        return self.name == SELF_MADE_ROOT


async def load_or_create_root(
    api: Api, release: Release, *, trust_domain: str, now: datetime, lost: Authority | None = None
) -> Source:
    """The plugged-in root; without one the self-made root, made here where there is none yet.

    Several replicas may make one at once: the API server lets one create the Secret, and the others read it. `lost` is
    a self-made root that was in force and whose Secret somebody deleted: it is put back, for a new one would not be
    believed by any running proxy. Raises CertificateFault for a Secret that does not hold a usable root: what was
    plugged in is never replaced by something self-made behind its owner's back.
    """
    plugged_in = await api.find(SECRETS, PLUGGED_IN_ROOT, release.namespace)
    if plugged_in is not None:
        return await _source(plugged_in, trust_domain=trust_domain, now=now)
    found = await api.find(SECRETS, SELF_MADE_ROOT, release.namespace)
    if found is None:
        authority = lost or Authority.self_made(trust_domain=trust_domain, now=now)
        try:
            found = await api.create(SECRETS, root_secret(authority, release, SELF_MADE_ROOT), release.namespace)
            _log.info("root_created", secret=SELF_MADE_ROOT, expires=authority.expires_at.isoformat())
        except AlreadyExists:
            found = await api.get(SECRETS, SELF_MADE_ROOT, release.namespace)
    found = await shared(api, release, found)
    return await _source(found, trust_domain=trust_domain, now=now)


async def renew_self_made_root(api: Api, release: Release, source: Source, *, now: datetime) -> None:
    """Put a new root into the Secret; all replicas then see it change, and replace it step by step (`rollout`).

    Somebody who was faster wins, also where that is a person.
    """
    authority = Authority.self_made(trust_domain=source.authority.trust_domain, now=now)
    body = root_secret(authority, release, SELF_MADE_ROOT)
    found = await api.get(SECRETS, SELF_MADE_ROOT, release.namespace)
    body["metadata"]["ownerReferences"] = release.joined(found["metadata"].get("ownerReferences") or ())
    body["metadata"]["resourceVersion"] = source.resource_version
    try:
        await api.replace(SECRETS, SELF_MADE_ROOT, body, release.namespace)
    except Conflict:
        _log.info("root_renewal_overtaken", secret=SELF_MADE_ROOT)
    else:
        _log.info("root_renewed", secret=SELF_MADE_ROOT, expires=authority.expires_at.isoformat())


async def load_previous(api: Api, release: Release, *, trust_domain: str, now: datetime) -> Previous | None:
    """What signed before. None where no root is being replaced. Raises CertificateFault."""
    found = await api.find(SECRETS, PREVIOUS_ROOT, release.namespace)
    if found is None:
        return None
    return await asyncio.to_thread(parse_previous, found, trust_domain=trust_domain, now=now)


async def keep_previous(api: Api, release: Release, previous: Previous) -> None:
    """Write what signed before; where another replica has done so for the same new roots, its version counts."""
    body = previous_secret(previous, release)
    try:
        await api.create(SECRETS, body, release.namespace)
    except AlreadyExists:
        found = await api.find(SECRETS, PREVIOUS_ROOT, release.namespace)
        if found is None or _replaced_by(found) == previous.replaced_by:
            return
        body["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
        try:
            await api.replace(SECRETS, PREVIOUS_ROOT, body, release.namespace)
        except Conflict:
            return
    _log.info("root_replacement_began", joined_at=previous.joined_at.isoformat(), replaced_by=previous.replaced_by)


async def forget_previous(api: Api, release: Release) -> None:
    """The end of a replacement."""
    await api.delete(SECRETS, PREVIOUS_ROOT, release.namespace)


async def shared(api: Api, release: Release, secret: dict[str, Any]) -> dict[str, Any]:
    """The Secret, with this release among its owners."""
    meta = secret["metadata"]
    owners = release.joined(meta.get("ownerReferences") or ())
    if owners == (meta.get("ownerReferences") or []):
        return secret
    patch = {"metadata": {"ownerReferences": owners, "resourceVersion": meta["resourceVersion"]}}
    try:
        return await api.patch(SECRETS, meta["name"], patch, release.namespace)
    except Conflict:
        _log.debug("owner_not_added", secret=meta["name"])
        return await api.get(SECRETS, meta["name"], release.namespace)


def _replaced_by(secret: dict[str, Any]) -> str:
    notes: dict[str, str] = secret["metadata"].get("annotations") or {}
    return notes.get(REPLACED_BY_ANNOTATION, "")


async def _source(secret: dict[str, Any], *, trust_domain: str, now: datetime) -> Source:
    """In a thread: to check a large RSA key takes a good part of a second."""
    meta = secret["metadata"]
    return Source(
        authority=await asyncio.to_thread(parse_root, secret, trust_domain=trust_domain, now=now),
        name=meta["name"],
        resource_version=meta["resourceVersion"],
    )
