"""TLS that a gateway ends: whose certificate it shows, and what it asks of clients."""

from dataclasses import replace

from weft_core.ir.downstream_tls import AltName, AltNameKind, ClientCertificate, DownstreamTls, TlsVersion, Trust
from weft_core.ir.string_match import MatchKind, StringMatch
from weft_core.ir.tls import CertificateFiles, MeshSecret, PushedSecret, RootsFile
from weft_core.model.server_tls import ServerTLSMode, ServerTLSSettings, TLSProtocol
from weft_core.names import ROOT_SECRET
from weft_core.registry import Registry
from weft_core.view.gateway_secrets import CERTIFICATE_PREFIX, ROOTS_SUFFIX
from weft_core.view.mesh_tls import mesh_tls

_VERSIONS = {
    TLSProtocol.TLSV1_0: TlsVersion.TLS1_0,
    TLSProtocol.TLSV1_1: TlsVersion.TLS1_1,
    TLSProtocol.TLSV1_2: TlsVersion.TLS1_2,
    TLSProtocol.TLSV1_3: TlsVersion.TLS1_3,
}
_CLIENTS = {
    ServerTLSMode.MUTUAL: ClientCertificate.REQUIRED,
    ServerTLSMode.OPTIONAL_MUTUAL: ClientCertificate.OPTIONAL,
}


def server_tls(db: Registry, settings: ServerTLSSettings, alpn: tuple[str, ...]) -> DownstreamTls:
    """One server's side of TLS. At least version 1.2, unless an older one is asked for by name."""
    if settings.mode is ServerTLSMode.ISTIO_MUTUAL:
        return _peers(mesh_tls(db, alpn), settings)
    asked = _CLIENTS.get(settings.mode, ClientCertificate.NOT_ASKED)
    return DownstreamTls(
        certificates=_certificates(settings),
        client_certificate=asked,
        trust=_trust(settings) if asked is not ClientCertificate.NOT_ASKED else None,
        alt_names=tuple(_alt_name(name) for name in settings.subject_alt_names),
        certificate_hashes=settings.verify_certificate_hash,
        spki_hashes=settings.verify_certificate_spki,
        alpn=alpn,
        min_version=_VERSIONS.get(settings.min_protocol_version, TlsVersion.TLS1_2),
        max_version=_VERSIONS.get(settings.max_protocol_version, TlsVersion.AUTO),
        cipher_suites=settings.usable_cipher_suites,
        ecdh_curves=settings.ecdh_curves,
    )


def _peers(peers: DownstreamTls, settings: ServerTLSSettings) -> DownstreamTls:
    """The mesh's own TLS, narrowed by what the server says: names in place of every peer of the trust domain."""
    return replace(
        peers,
        trust=MeshSecret(name=ROOT_SECRET, revoked=settings.ca_crl),
        alt_names=tuple(_alt_name(name) for name in settings.subject_alt_names) or peers.alt_names,
        certificate_hashes=settings.verify_certificate_hash,
        spki_hashes=settings.verify_certificate_spki,
        min_version=_VERSIONS.get(settings.min_protocol_version, peers.min_version),
        max_version=_VERSIONS.get(settings.max_protocol_version, peers.max_version),
        cipher_suites=settings.usable_cipher_suites or peers.cipher_suites,
        ecdh_curves=settings.ecdh_curves,
    )


def credential_names(settings: ServerTLSSettings) -> tuple[str, ...]:
    """The Secrets that hold the server's certificates: one, or an RSA and an ECDSA one."""
    return settings.credential_names or ((settings.credential_name,) if settings.credential_name else ())


def pushed_secrets(settings: ServerTLSSettings) -> tuple[str, ...]:
    """The SDS names of all Secrets that a server needs."""
    names = [f"{CERTIFICATE_PREFIX}{name}" for name in credential_names(settings)]
    trust = _trust(settings) if settings.mode in _CLIENTS else None
    if isinstance(trust, PushedSecret):
        names.append(trust.name)
    return tuple(names)


def _certificates(settings: ServerTLSSettings) -> tuple[PushedSecret | CertificateFiles, ...]:
    if names := credential_names(settings):
        return tuple(PushedSecret(name=f"{CERTIFICATE_PREFIX}{name}") for name in names)
    if settings.tls_certificates:
        return tuple(
            CertificateFiles(certificate=one.server_certificate, private_key=one.private_key)
            for one in settings.tls_certificates
        )
    return (CertificateFiles(certificate=settings.server_certificate, private_key=settings.private_key),)


def _trust(settings: ServerTLSSettings) -> Trust:
    """With whose roots clients are verified: a Secret of their own, those beside the certificate, or a file's."""
    name = settings.ca_cert_credential_name or next(iter(credential_names(settings)), "")
    if name and not settings.ca_certificates:
        return PushedSecret(name=f"{CERTIFICATE_PREFIX}{name}{ROOTS_SUFFIX}", revoked=settings.ca_crl)
    files = (settings.ca_certificates, *(one.ca_certificates for one in settings.tls_certificates))
    return RootsFile(path=next((path for path in files if path), ""), revoked=settings.ca_crl)


def _alt_name(name: str) -> AltName:
    kind = AltNameKind.URI if "://" in name else AltNameKind.DNS
    return AltName(kind, StringMatch(MatchKind.EXACT, name))
