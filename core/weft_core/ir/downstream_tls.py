"""TLS as a listener offers it: certificates, whom it trusts, which names it takes. Sidecars and gateways use the same form."""

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TypeAlias

from weft_core.ir.rbac import TextMatcher


class TlsVersion(IntEnum):
    """Versions of the protocol, by Envoy's numbers; AUTO leaves the choice to Envoy."""

    AUTO = 0
    TLS1_0 = 1
    TLS1_1 = 2
    TLS1_2 = 3
    TLS1_3 = 4


class ClientCertificate(Enum):
    """What is asked of the client."""

    NOT_ASKED = "not asked"
    OPTIONAL = "optional"
    """May be left out; one that is presented must verify."""
    REQUIRED = "required"


class AltNameKind(Enum):
    """Kinds of subject alternative names."""

    URI = "uri"
    DNS = "dns"


@dataclass(frozen=True, slots=True)
class AltName:
    """A subject alternative name that is accepted in the client's certificate."""

    kind: AltNameKind
    matcher: TextMatcher


@dataclass(frozen=True, slots=True)
class SecretName:
    """A secret that comes over SDS.

    The mesh's own (`names.SECRET_FILES`) are read from the proxy's files, all others are asked for over ADS.
    """

    name: str


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Certificate chain and key in files of the proxy's own file system."""

    chain: str
    key: str


@dataclass(frozen=True, slots=True)
class TrustedCaFile:
    """Roots in a file of the proxy's own file system."""

    path: str


Certificate: TypeAlias = SecretName | CertificateFiles
Trust: TypeAlias = SecretName | TrustedCaFile


@dataclass(frozen=True, slots=True, kw_only=True)
class DownstreamTls:
    """One listener's (or filter chain's) side of TLS.

    `trust` and `alt_names` say whom the listener believes; they count only where client certificates are asked for.
    """

    certificates: tuple[Certificate, ...]
    client_certificate: ClientCertificate = ClientCertificate.NOT_ASKED
    trust: Trust | None = None
    alt_names: tuple[AltName, ...] = ()
    certificate_hashes: tuple[str, ...] = ()
    """SHA-256 of accepted client certificates, hexadecimal."""
    spki_hashes: tuple[str, ...] = ()
    """SHA-256 of the public keys of accepted client certificates, base64."""
    alpn: tuple[str, ...] = ()
    min_version: TlsVersion = TlsVersion.TLS1_2
    max_version: TlsVersion = TlsVersion.AUTO
    cipher_suites: tuple[str, ...] = ()
    ecdh_curves: tuple[str, ...] = ()
