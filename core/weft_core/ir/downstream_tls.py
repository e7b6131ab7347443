"""TLS as a listener offers it: certificates, whom it trusts, which names it takes. Sidecars and gateways alike."""

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TypeAlias

from weft_core.ir.string_match import StringMatch
from weft_core.ir.tls import CertificateFiles, MeshSecret, PushedSecret, RootsFile


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
    matcher: StringMatch


Certificate: TypeAlias = MeshSecret | PushedSecret | CertificateFiles
Trust: TypeAlias = MeshSecret | PushedSecret | RootsFile


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
