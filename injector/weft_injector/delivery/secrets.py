"""Credentials in Secrets, for clusters without pod certificates: one Secret for each workload and service account.

The injection webhook calls `WorkloadSecrets.ensure` before it lets a pod in, so that the Secret is there when the
kubelet looks for it. `secret_keeper` renews what lies there; the kubelet brings a changed Secret into its pods within
60 to 90 s.
"""

import asyncio
import base64
import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from cryptography.hazmat.primitives import hashes

from weft_core.errors import CertificateFault
from weft_core.spiffe import SpiffeId
from weft_injector.ca.authority import LEAF_LIFETIME, Authority, workload_dns_name
from weft_injector.ca.leaf import Leaf
from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.names import (
    CREDENTIALS_KEY,
    EXPIRES_AT_ANNOTATION,
    IDENTITY_ANNOTATION,
    ISSUED_AT_ANNOTATION,
    ISSUER_ANNOTATION,
    SECRET_TYPE,
    SERVICE_ACCOUNT_ANNOTATION,
    USED_AT_ANNOTATION,
    WORKLOAD_ANNOTATION,
    Release,
    secret_name,
)
from weft_injector.delivery.release import refresh
from weft_injector.delivery.single_flight import SingleFlight
from weft_injector.delivery.times import instant, timestamp
from weft_injector.renewal import RenewalPolicy
from weft_injector.renewer import Clock
from weft_kube.client import Api
from weft_kube.errors import Conflict, NotFound
from weft_kube.resource import SECRETS

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

TOUCH: Final = timedelta(minutes=30)
"""How stale the time of last use may be; well below the time after which what is unused is deleted."""
_FRESH: Final = 10.0
"""Seconds for which a Secret that was just seen to be good counts as such: a Deployment's pods come all at once."""
_REMEMBERED: Final = 10_000
_ATTEMPTS: Final = 4
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9._]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Whose credentials a Secret holds."""

    namespace: str
    service_account: str
    workload: str

    @property
    def name(self) -> str:
        """The Secret's name."""
        return secret_name(self.workload, self.service_account)

    def identity(self, trust_domain: str) -> SpiffeId:
        """The SPIFFE id. Raises InvalidSpiffeIdError."""
        return SpiffeId(trust_domain=trust_domain, namespace=self.namespace, service_account=self.service_account)

    @classmethod
    def of(cls, namespace: str, annotations: Mapping[str, str]) -> "Credentials | None":
        """What a Secret of ours says about itself, None where it says no names that Kubernetes knows.

        Whoever may write Secrets in a namespace can say whatever they like, so that nothing is taken on trust.
        """
        workload = annotations.get(WORKLOAD_ANNOTATION, "")
        account = annotations.get(SERVICE_ACCOUNT_ANNOTATION, "")
        if not (_NAME.fullmatch(workload) and _NAME.fullmatch(account)):
            return None
        return cls(namespace=namespace, service_account=account, workload=workload)


def issuer_of(authority: Authority) -> str:
    """A short hash of the signing certificate, for the Secrets that it signed."""
    return authority.certificate.fingerprint(hashes.SHA256()).hex()[:32]


def renewal_time(
    credentials: Credentials, annotations: Mapping[str, str], authority: Authority, policy: RenewalPolicy
) -> datetime | None:
    """When a Secret's credentials are to be renewed; None: at once.

    At once where another authority signs by now, where the identity changed (another trust domain), and where the
    annotations say no times. The jitter hangs on the name, so that each replica finds the same time.
    """
    issued_at = instant(annotations.get(ISSUED_AT_ANNOTATION, ""))
    expires_at = instant(annotations.get(EXPIRES_AT_ANNOTATION, ""))
    if issued_at is None or expires_at is None:
        return None
    if annotations.get(ISSUER_ANNOTATION) != issuer_of(authority):
        return None
    if annotations.get(IDENTITY_ANNOTATION) != str(credentials.identity(authority.trust_domain)):
        return None
    digest = hashlib.sha256(f"{credentials.namespace}/{credentials.name}".encode()).digest()
    return policy.due(issued_at, expires_at, digest[0] / 256)


def credentials_secret(
    credentials: Credentials, leaf: Leaf, authority: Authority, release: Release, *, used_at: datetime
) -> dict[str, Any]:
    """The Secret that pods mount."""
    annotations = {
        WORKLOAD_ANNOTATION: credentials.workload,
        SERVICE_ACCOUNT_ANNOTATION: credentials.service_account,
        IDENTITY_ANNOTATION: str(leaf.identity),
        ISSUED_AT_ANNOTATION: timestamp(leaf.issued_at),
        EXPIRES_AT_ANNOTATION: timestamp(leaf.not_after),
        ISSUER_ANNOTATION: issuer_of(authority),
        USED_AT_ANNOTATION: timestamp(used_at),
    }
    content = (leaf.key_pem or b"") + leaf.chain_pem
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": release.metadata(credentials.name, annotations=annotations),
        "type": SECRET_TYPE,
        "data": {CREDENTIALS_KEY: base64.b64encode(content).decode()},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretOptions:
    """Whose Secrets, and how long their credentials live."""

    release: Release
    lifetime: Callable[[], timedelta] = field(default=lambda: LEAF_LIFETIME)
    policy: RenewalPolicy = field(default_factory=RenewalPolicy)


class WorkloadSecrets:
    """Makes and renews the Secrets. On every replica; safe when several do the same at once."""

    def __init__(
        self,
        api: Api,
        options: SecretOptions,
        *,
        authority: Callable[[], Authority],
        clock: Clock,
        metrics: CertificateMetrics,
    ) -> None:
        self._api = api
        self.options = options
        self._authority = authority
        self._clock = clock
        self._metrics = metrics
        self._flights: SingleFlight[Credentials] = SingleFlight()
        self._good_until: dict[Credentials, float] = {}

    async def ensure(self, namespace: str, service_account: str, workload: str, *, dry_run: bool = False) -> str:
        """See to it that the workload's Secret is there, with credentials that need no renewal; give its name.

        One write where it is new, one read where it is there, none where it was seen a moment ago. With `dry_run`
        nothing is touched. Raises ApiError, CertificateFault, InvalidSpiffeIdError.
        """
        credentials = Credentials(namespace=namespace, service_account=service_account, workload=workload)
        if dry_run or self._good_until.get(credentials, 0.0) > time.monotonic():
            return credentials.name
        await self._flights.run(credentials, lambda: self._ensure(credentials))
        return credentials.name

    async def renew(self, credentials: Credentials) -> None:
        """Renew where that is due; as `ensure`, but no sign of use."""
        await self._converge(credentials, used=False)

    async def restore(self, credentials: Credentials) -> None:
        """Make the Secret again that somebody deleted."""
        await self._converge(credentials, used=True)

    async def _ensure(self, credentials: Credentials) -> None:
        await self._converge(credentials, used=True)
        if len(self._good_until) >= _REMEMBERED:
            self._good_until.clear()
        self._good_until[credentials] = time.monotonic() + _FRESH

    async def _converge(self, credentials: Credentials, *, used: bool) -> None:
        """Read and write until what is there is good. Who loses a race reads what the winner wrote."""
        for attempt in range(1, _ATTEMPTS + 1):
            found = await self._api.find(SECRETS, credentials.name, credentials.namespace)
            if found is None and not used:
                return
            try:
                await self._write(credentials, found, used=used)
            except Conflict:
                if attempt == _ATTEMPTS:
                    raise
            except NotFound:  # deleted meanwhile; a create says so of the namespace
                if attempt == _ATTEMPTS or found is None:
                    raise
            else:
                return

    async def _write(self, credentials: Credentials, found: dict[str, Any] | None, *, used: bool) -> None:
        authority, release, now = self._authority(), self.options.release, self._clock.now()
        notes: Mapping[str, str] = {}
        if found is not None:
            _refuse_strangers(found)
            notes = found["metadata"].get("annotations") or {}
            due = renewal_time(credentials, notes, authority, self.options.policy)
            if due is not None and now < due and found.get("data", {}).get(CREDENTIALS_KEY):
                await self._touch(credentials, found, now, used=used)
                return
        else:
            await refresh(self._api, release)
        leaf = await asyncio.to_thread(self._issue, credentials, authority, now)
        used_at = now if used else instant(notes.get(USED_AT_ANNOTATION, "")) or now
        body = credentials_secret(credentials, leaf, authority, release, used_at=used_at)
        if found is None:
            await self._api.create(SECRETS, body, credentials.namespace)
        else:
            meta = found["metadata"]
            body["metadata"]["resourceVersion"] = meta["resourceVersion"]
            body["metadata"]["ownerReferences"] = release.joined(meta.get("ownerReferences") or ())
            await self._api.replace(SECRETS, credentials.name, body, credentials.namespace)
        self._metrics.answered("secrets")
        _log.info(
            "certificate_issued" if found is None else "certificate_renewed",
            namespace=credentials.namespace,
            secret=credentials.name,
            workload=credentials.workload,
            identity=str(leaf.identity),
            serial=f"{leaf.serial:x}",
            expires=leaf.not_after.isoformat(),
        )

    def _issue(self, credentials: Credentials, authority: Authority, now: datetime) -> Leaf:
        self._metrics.asked()
        return authority.issue(
            credentials.identity(authority.trust_domain),
            now=now,
            lifetime=self.options.lifetime(),
            dns_names=(workload_dns_name(credentials.workload, credentials.namespace),),
        )

    async def _touch(self, credentials: Credentials, found: dict[str, Any], now: datetime, *, used: bool) -> None:
        """Note the use, and this release among the owners, where either is missing."""
        meta = found["metadata"]
        owners = meta.get("ownerReferences") or []
        change: dict[str, Any] = {}
        used_at = instant((meta.get("annotations") or {}).get(USED_AT_ANNOTATION, ""))
        if used and (used_at is None or now - used_at > TOUCH):
            change["annotations"] = {USED_AT_ANNOTATION: timestamp(now)}
        if used and (joined := self.options.release.joined(owners)) != owners:
            change["ownerReferences"] = joined
        if change:
            patch = {"metadata": {**change, "resourceVersion": meta["resourceVersion"]}}
            await self._api.patch(SECRETS, credentials.name, patch, credentials.namespace)


def _refuse_strangers(secret: Mapping[str, Any]) -> None:
    """Never write over what somebody else keeps under this name."""
    if secret.get("type") != SECRET_TYPE:
        meta = secret["metadata"]
        raise CertificateFault(
            f"Secret {meta.get('namespace', '')}/{meta['name']} is of type {secret.get('type')}, so it is not Weft's; "
            "rename or delete it, its name is needed for a workload's certificate"
        )
