"""A CA plugged in from an organisation's own: the four PEM files of Istio's `cacerts` Secret.

`ca-cert.pem` and `ca-key.pem` sign the mesh's leafs; `cert-chain.pem` leads from there to `root-cert.pem`. A
chain that does not fit would only show as refused handshakes in every proxy of the mesh, so everything is
checked before anything is signed.
"""

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from weft_core.errors import CertificateFault
from weft_core.spiffe import check_trust_domain
from weft_injector.ca.authority import Authority
from weft_injector.ca.bundle import TrustBundle
from weft_injector.ca.keys import parse_certificates, parse_private_key, subject_text, usable_public_key

CA_CERT = "ca-cert.pem"
CA_KEY = "ca-key.pem"
ROOT_CERT = "root-cert.pem"
CERT_CHAIN = "cert-chain.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class PluggedInCertificates:
    """The contents of the four files. `cert_chain` may be empty where `ca_cert` is itself the root, or next to it."""

    ca_cert: bytes
    ca_key: bytes = field(repr=False)
    root_cert: bytes
    cert_chain: bytes = b""

    def authority(self, *, trust_domain: str, now: datetime) -> Authority:
        """The authority that these files make, once they are found to fit.

        Raises `CertificateFault`, naming the file and what is wrong with it, and `InvalidSpiffeIdError` for
        the trust domain.
        """
        check_trust_domain(trust_domain)
        signing = self._signing_certificate()
        key = parse_private_key(self.ca_key, CA_KEY)
        if key.public_key() != signing.public_key():
            raise CertificateFault(
                f"{CA_KEY} is not the key of {CA_CERT} ({subject_text(signing)}); they must be a pair"
            )
        bundle = TrustBundle.parse(self.root_cert, ROOT_CERT)
        path = _path_to_root(signing, parse_certificates(self.cert_chain, CERT_CHAIN), bundle)
        for certificates_below, certificate in enumerate(path):
            _check_may_sign(certificate, certificates_below=certificates_below, now=now)
        return Authority(
            trust_domain=trust_domain,
            key=key,
            certificate=signing,
            intermediates=tuple(certificate for certificate in path if certificate not in bundle.roots),
            bundle=bundle,
        )

    def _signing_certificate(self) -> x509.Certificate:
        """The first certificate of ca-cert.pem; issuers that follow it are in cert-chain.pem as well."""
        certificates = parse_certificates(self.ca_cert, CA_CERT)
        if not certificates:
            raise CertificateFault(f"{CA_CERT} holds no certificate; it must hold the one that signs the mesh's leafs")
        usable_public_key(certificates[0].public_key(), CA_CERT)
        return certificates[0]


def _path_to_root(
    signing: x509.Certificate, chain: tuple[x509.Certificate, ...], bundle: TrustBundle
) -> tuple[x509.Certificate, ...]:
    """The signing certificate and its issuers up to a root of the bundle, that root included.

    The order within cert-chain.pem does not matter, nor do the signing certificate and the root in it.
    """
    path = [signing]
    while path[-1] not in bundle.roots:
        candidates = (c for c in (*bundle.roots, *chain) if c not in path and _issued_by(path[-1], c))
        issuer = next(candidates, None)
        if issuer is None:
            raise CertificateFault(
                f"no certificate in {CERT_CHAIN} or {ROOT_CERT} has issued {subject_text(path[-1])} "
                f"(issuer: {path[-1].issuer.rfc4514_string()}); put the missing intermediates into {CERT_CHAIN}"
            )
        path.append(issuer)
    return tuple(path)


def _issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the names and the signature say so."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _check_may_sign(certificate: x509.Certificate, *, certificates_below: int, now: datetime) -> None:
    """Raise `CertificateFault` unless the certificate is a CA's, valid now, and may have so many CAs below it."""
    name = subject_text(certificate)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begins <= now < ends:
        fix = "replace it" if now >= ends else "wait until then, or correct the clock of one of the two machines"
        raise CertificateFault(
            f"the CA certificate {name} is valid from {begins:%Y-%m-%dT%H:%M:%SZ} to {ends:%Y-%m-%dT%H:%M:%SZ}, "
            f"not now; {fix}"
        )
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        constraints = None
    if constraints is None or not constraints.ca:
        raise CertificateFault(f"{name} is not a CA's certificate (basicConstraints CA:TRUE is missing)")
    if constraints.path_length is not None and constraints.path_length < certificates_below:
        raise CertificateFault(
            f"{name} allows {constraints.path_length} CAs below it (pathlen); there are {certificates_below}"
        )
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        raise CertificateFault(f"{name} may not sign certificates (keyUsage keyCertSign is missing)")
