"""The control plane's own certificate: for the xDS server, and for the webhooks that the API server calls.

It is signed by the mesh's root for the Service's names, lives in memory only, and each replica has its own. It is
replaced at half of its life and whenever the root is, without a restart and without a refused connection.
"""

import asyncio
import os
import ssl
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import structlog

from weft_core.errors import CertificateFault
from weft_core.names import DEFAULT_DOMAIN
from weft_injector.ca.authority import Authority
from weft_injector.ca.leaf import Leaf
from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.root_keeper import RootKeeper
from weft_injector.delivery.waiting import first_of
from weft_injector.renewal import RenewalPolicy
from weft_injector.renewer import LONGEST_NAP, Clock

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingOptions:
    """The Service by which clients reach the control plane."""

    service: str
    namespace: str
    cluster_domain: str = DEFAULT_DOMAIN
    policy: RenewalPolicy = field(default_factory=RenewalPolicy)

    @property
    def dns_names(self) -> tuple[str, ...]:
        """Under which the Service is known; the API server asks for the first, proxies for the one they are given."""
        host = f"{self.service}.{self.namespace}"
        return f"{host}.svc", f"{host}.svc.{self.cluster_domain}", host


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingMaterial:
    """PEM: certificate chain and key of the server, and the roots that clients' certificates must lead to."""

    certificate_chain: bytes
    private_key: bytes = field(repr=False)
    client_roots: bytes


class ServingCertificate:
    """Keeps the certificate fresh. `issue` gives the first one, `run` follows with the next.

    `use` is called with each new one, for instance to rotate the xDS server's; what it raises is reported and tried
    again, while the old certificate serves.
    """

    def __init__(
        self,
        root: RootKeeper,
        options: ServingOptions,
        *,
        clock: Clock,
        metrics: CertificateMetrics,
        use: Sequence[Callable[[ServingMaterial], None]] = (),
    ) -> None:
        self._root = root
        self._options = options
        self._clock = clock
        self._metrics = metrics
        self._use = list(use)
        self._leaf: Leaf | None = None
        self._issuer: Authority | None = None

    def used_by(self, use: Callable[[ServingMaterial], None]) -> None:
        """Give each further certificate to `use` as well."""
        self._use.append(use)

    async def issue(self) -> ServingMaterial:
        """A new certificate, which counts as the one in force. Raises CertificateFault."""
        authority, options = self._root.authority, self._options
        leaf = await asyncio.to_thread(
            authority.issue_serving,
            now=self._clock.now(),
            dns_names=options.dns_names,
            lifetime=options.policy.lifetime,
        )
        self._leaf, self._issuer = leaf, authority
        self._metrics.answered("serving")
        _log.info("serving_certificate_issued", names=options.dns_names, expires=leaf.not_after.isoformat())
        return ServingMaterial(
            certificate_chain=leaf.chain_pem, private_key=leaf.key_pem or b"", client_roots=authority.bundle.pem
        )

    async def run(self) -> None:
        """Replace the certificate in time, for ever."""
        failures = 0
        while True:
            if not failures:
                await self._wait()
            try:
                material = await self.issue()
                for use in self._use:
                    use(material)
            except Exception as fault:  # a server may refuse it for any reason; the old one serves meanwhile
                failures += 1
                left = self._leaf.not_after - self._clock.now() if self._leaf else timedelta()
                wait = self._options.policy.retry_after(failures, left=left)
                self._metrics.failed.labels("serving").inc()
                _log.error("serving_certificate_not_replaced", reason=str(fault) or type(fault).__name__)
                await self._clock.sleep(wait.total_seconds())
            else:
                failures = 0

    async def _wait(self) -> None:
        """Until half of the life is over by the wall clock, or the root has changed."""
        authority = self._root.authority
        while self._leaf is not None and self._issuer is authority:
            left = self._options.policy.due_at(self._leaf, 0.5) - self._clock.now()
            if left <= timedelta():
                return
            nap = min(left, LONGEST_NAP).total_seconds()
            await first_of(self._root.changed(authority), self._clock.sleep(nap))
            authority = self._root.authority


def webhook_context(material: ServingMaterial) -> ssl.SSLContext:
    """A server's TLS context for aiohttp; `reload` puts later certificates into the same."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    reload(context, material)
    return context


def reload(context: ssl.SSLContext, material: ServingMaterial) -> None:
    """Use this certificate in handshakes from now on; connections that stand are not disturbed.

    `ssl` reads certificates from files only. On Linux that is a file in memory: the control plane's file system may be
    read-only, and the key is no one's business. Raises CertificateFault.
    """
    content = material.private_key + material.certificate_chain
    try:
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("serving", os.MFD_CLOEXEC)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        else:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "serving.pem")
                path.touch(mode=0o600)
                path.write_bytes(content)
                context.load_cert_chain(path)
    except (OSError, ssl.SSLError) as error:
        raise CertificateFault(f"the webhooks' certificate cannot be used: {error}") from error
