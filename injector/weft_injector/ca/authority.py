"""The certificate authority: signs the leafs of workloads and of the control plane itself.

An authority is a key with the certificates that prove it: a root made for this mesh, or an intermediate
plugged in from an organisation's own CA (see `plugged_in`). It holds no clock and does no I/O. Making a key
and signing with P-256 takes about 0.2 ms, an RSA authority a few milliseconds; callers on an event loop hand
it to a thread.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from cryptography import x509

from weft_core.errors import CertificateFault
from weft_core.spiffe import SpiffeId, check_trust_domain
from weft_injector.ca.bundle import TrustBundle
from weft_injector.ca.keys import (
    PublicKey,
    SigningKey,
    certificates_pem,
    new_key,
    private_key_pem,
    usable_public_key,
)
from weft_injector.ca.leaf import Leaf
from weft_injector.ca.profile import Validity, leaf_certificate, root_certificate

ROOT_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A signing key, its certificate, the way from there to a root, and the roots."""

    trust_domain: str
    key: SigningKey = field(repr=False)
    certificate: x509.Certificate
    """What leafs name as their issuer."""
    intermediates: tuple[x509.Certificate, ...] = ()
    """Sent behind each leaf, nearest first; empty where the signing certificate is itself a root."""
    bundle: TrustBundle

    @classmethod
    def self_made(cls, *, trust_domain: str, now: datetime, lifetime: timedelta = ROOT_LIFETIME) -> Self:
        """A new root for a mesh that has none. Raises `InvalidSpiffeIdError` for an impossible trust domain."""
        check_trust_domain(trust_domain)
        key = new_key()
        root = root_certificate(key=key, trust_domain=trust_domain, validity=Validity.starting(now, lifetime))
        return cls(trust_domain=trust_domain, key=key, certificate=root, bundle=TrustBundle.of([root]))

    def issue(
        self,
        identity: SpiffeId,
        *,
        now: datetime,
        lifetime: timedelta = LEAF_LIFETIME,
        dns_names: Sequence[str] = (),
        public_key: PublicKey | None = None,
    ) -> Leaf:
        """A workload's leaf, with a new key unless the workload kept its own and sent `public_key`.

        `dns_names` are attested along with the identity; see `workload_dns_name`. The leaf ends with the
        authority's own certificate at the latest. Raises `CertificateFault` for another trust domain, an
        unusable key, an expired authority.
        """
        if identity.trust_domain != self.trust_domain:
            raise CertificateFault(f"{identity} is not of this authority's trust domain, {self.trust_domain}")
        names = [x509.UniformResourceIdentifier(str(identity)), *map(x509.DNSName, dns_names)]
        return self._sign(names, identity=identity, now=now, lifetime=lifetime, public_key=public_key)

    def issue_serving(
        self,
        *,
        now: datetime,
        dns_names: Sequence[str],
        ip_addresses: Sequence[str] = (),
        lifetime: timedelta = LEAF_LIFETIME,
    ) -> Leaf:
        """The control plane's own leaf. Proxies match `dns_names`; addresses serve clients that know no name."""
        if not dns_names:
            raise ValueError("proxies check the control plane's DNS name, so its certificate needs one")
        addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in ip_addresses]
        names = [*map(x509.DNSName, dns_names), *addresses]
        return self._sign(names, identity=None, now=now, lifetime=lifetime, public_key=None)

    def _sign(
        self,
        names: Sequence[x509.GeneralName],
        *,
        identity: SpiffeId | None,
        now: datetime,
        lifetime: timedelta,
        public_key: PublicKey | None,
    ) -> Leaf:
        asked_for = Validity.starting(now, lifetime)
        expiry = self.expires_at
        if now >= expiry:
            raise CertificateFault(
                f"the authority of {self.trust_domain} has expired at {expiry:%Y-%m-%dT%H:%M:%SZ}; replace it"
            )
        key = new_key() if public_key is None else None
        validity = asked_for.ending_by(expiry)
        certificate = leaf_certificate(
            issuer=self.certificate,
            issuer_key=self.key,
            public_key=key.public_key() if key else usable_public_key(public_key, str(identity or names[0].value)),
            names=names,
            validity=validity,
        )
        return Leaf(
            identity=identity,
            chain_pem=certificates_pem((certificate, *self.intermediates)),
            key_pem=private_key_pem(key) if key else None,
            serial=certificate.serial_number,
            issued_at=now,
            not_before=validity.not_before,
            not_after=validity.not_after,
        )

    @property
    def expires_at(self) -> datetime:
        """When the first certificate on the way to the root expires: nothing signed outlives it."""
        return min(c.not_valid_after_utc for c in (self.certificate, *self.intermediates))


def workload_dns_name(workload: str, namespace: str) -> str:
    """The DNS SAN `WORKLOAD.NAMESPACE.workload`.

    A service account may be shared by several workloads; this name tells them apart, so that a peer's metrics
    can name the source workload from its certificate and not from what its requests claim.
    """
    return f"{workload}.{namespace}.workload"
