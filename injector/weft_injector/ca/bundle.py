"""Trust bundles: the roots whose leafs a proxy believes.

A root is replaced in three steps, each of which must have reached every proxy before the next: the new root
joins the bundle, then leafs are signed by it, then the old root leaves. So a bundle holds one root in quiet
times and two meanwhile.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from cryptography import x509

from weft_core.errors import CertificateFault
from weft_injector.ca.keys import certificates_pem, parse_certificates


@dataclass(frozen=True, slots=True)
class TrustBundle:
    """Roots in the order they were added, each once. Never empty: an empty bundle would make Envoy trust nobody."""

    roots: tuple[x509.Certificate, ...]

    def __post_init__(self) -> None:
        if not self.roots:
            raise CertificateFault("a trust bundle needs at least one root certificate")

    @classmethod
    def of(cls, roots: Iterable[x509.Certificate]) -> Self:
        """The bundle of these roots, duplicates dropped."""
        return cls(tuple(dict.fromkeys(roots)))

    @classmethod
    def parse(cls, pem: bytes, origin: str) -> Self:
        """Read a bundle. Raises `CertificateFault` naming `origin`."""
        roots = parse_certificates(pem, origin)
        if not roots:
            raise CertificateFault(f"{origin}: holds no certificate; it must hold the mesh's root certificates")
        return cls.of(roots)

    def joined(self, other: Self) -> Self:
        """Both bundles' roots, this one's first: the first step of replacing a root."""
        return type(self).of(self.roots + other.roots)

    def without(self, root: x509.Certificate) -> Self:
        """The bundle after `root` has left: the last step. Raises `CertificateFault` if none would remain."""
        return type(self).of(kept for kept in self.roots if kept != root)

    def valid_at(self, now: datetime) -> Self:
        """The roots that have not expired at `now`. Raises `CertificateFault` if none has remained."""
        return type(self).of(root for root in self.roots if now <= root.not_valid_after_utc)

    @property
    def pem(self) -> bytes:
        """The file that `trusted_ca` names. The same bundle is always the same bytes."""
        return certificates_pem(self.roots)
