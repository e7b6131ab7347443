"""The X.509 form of the mesh's certificates: the extensions of each kind (RFC 5280, SPIFFE X.509-SVID)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from weft_injector.ca.keys import PublicKey, SigningKey

CLOCK_SKEW = timedelta(minutes=2)
"""How far a peer's clock may lag before a fresh certificate looks not yet valid to it; Istio's figure."""

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """The two times of a certificate, in whole seconds as ASN.1 knows them."""

    not_before: datetime
    not_after: datetime

    @classmethod
    def starting(cls, now: datetime, lifetime: timedelta) -> "Validity":
        """From a little before `now` until `lifetime` after it, rounded up to a whole second."""
        if now.tzinfo is None:
            raise ValueError("`now` must know its time zone")
        if lifetime <= timedelta():
            raise ValueError(f"a lifetime of {lifetime} ends before it begins")
        end = now + lifetime
        rounded = end.replace(microsecond=0) + (_SECOND if end.microsecond else timedelta())
        return cls(not_before=(now - CLOCK_SKEW).replace(microsecond=0), not_after=rounded)

    def ending_by(self, latest: datetime) -> "Validity":
        """Cut off at `latest`: a certificate that outlives its issuer is believed by nobody."""
        return Validity(not_before=self.not_before, not_after=min(self.not_after, latest))


def root_certificate(*, key: SigningKey, trust_domain: str, validity: Validity) -> x509.Certificate:
    """A self-signed root.

    Its URI SAN is the trust domain, as the X.509-SVID specification wants of a signing certificate.
    """
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, trust_domain[:64])])
    public_key = key.public_key()
    builder = _builder(name, name, public_key, validity)
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")]),
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def leaf_certificate(
    *,
    issuer: x509.Certificate,
    issuer_key: SigningKey,
    public_key: PublicKey,
    names: Sequence[x509.GeneralName],
    validity: Validity,
) -> x509.Certificate:
    """A leaf for both ends of mTLS. The subject is empty, so its alternative names are critical (RFC 5280, 4.2.1.6).

    Envoy's SPIFFE validator refuses leafs without KeyUsage, and leafs that may sign certificates.
    """
    builder = _builder(x509.Name([]), issuer.subject, public_key, validity)
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_authority_key_identifier(issuer), critical=False)
    )
    return builder.sign(issuer_key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: PublicKey, validity: Validity
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """The issuer's own SKI where it has one (RFC 5280, 4.2.1.1): a plugged-in CA may have counted it another way."""
    try:
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        issuer_key = issuer.public_key()
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key)  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
