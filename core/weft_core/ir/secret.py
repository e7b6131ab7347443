"""Secrets that travel over SDS: certificates with their keys, and the roots that peers are verified with."""

from dataclasses import dataclass, field

from weft_core.problems import ObjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsCertificate:
    """A certificate chain and its key, PEM. The key is kept out of every printed form."""

    name: str
    chain: bytes
    private_key: bytes = field(repr=False)
    ocsp_staple: bytes = b""
    origins: tuple[ObjectRef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedRoots:
    """Certificates of authorities, and perhaps a revocation list, PEM."""

    name: str
    certificates: bytes
    revoked: bytes = b""
    origins: tuple[ObjectRef, ...] = ()


Secret = TlsCertificate | TrustedRoots
