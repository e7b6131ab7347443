"""A plugged-in CA: chains that fit are used, everything else says what does not fit."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import verification

from weft_core.errors import CertificateFault
from weft_core.spiffe import SpiffeId
from weft_injector.ca.keys import SigningKey, certificates_pem, private_key_pem
from weft_injector.ca.plugged_in import PluggedInCertificates


@dataclass(frozen=True)
class Ca:
    """A CA made by somebody else."""

    key: SigningKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return certificates_pem((self.certificate,))


def make_ca(
    name: str,
    now: datetime,
    *,
    issuer: Ca | None = None,
    key: SigningKey | None = None,
    is_ca: bool = True,
    may_sign: bool = True,
    path_length: int | None = None,
    named_key: bool = True,
    lifetime: timedelta = timedelta(days=365),
) -> Ca:
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=path_length), critical=True)
        .add_extension(
            x509.KeyUsage(not may_sign, False, False, False, False, may_sign, may_sign, False, False), critical=True
        )
    )
    if named_key:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    if issuer:
        issuer_id = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        authority_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id)
        builder = builder.add_extension(authority_id, critical=False)
    return Ca(key, builder.sign(issuer.key if issuer else key, hashes.SHA256()))


@pytest.fixture
def root(now: datetime) -> Ca:
    return make_ca("root", now)


@pytest.fixture
def middle(now: datetime, root: Ca) -> Ca:
    return make_ca("middle", now, issuer=root)


@pytest.fixture
def signing(now: datetime, middle: Ca) -> Ca:
    return make_ca("signing", now, issuer=middle, path_length=0)


@pytest.fixture
def files(root: Ca, middle: Ca, signing: Ca) -> PluggedInCertificates:
    """The four files as Istio's tools write them: the chain holds all from the signing certificate to the root."""
    return PluggedInCertificates(
        ca_cert=signing.pem,
        ca_key=private_key_pem(signing.key),
        root_cert=root.pem,
        cert_chain=signing.pem + middle.pem + root.pem,
    )


def test_leafs_are_sent_with_the_way_to_the_root(
    files: PluggedInCertificates, root: Ca, middle: Ca, signing: Ca, reviews: SpiffeId, now: datetime
) -> None:
    authority = files.authority(trust_domain="cluster.local", now=now)
    leaf, *chain = x509.load_pem_x509_certificates(authority.issue(reviews, now=now).chain_pem)
    assert chain == [signing.certificate, middle.certificate], "without the root, which peers have already"
    verifier = verification.PolicyBuilder().store(verification.Store([root.certificate])).time(now)
    assert len(verifier.build_client_verifier().verify(leaf, chain).chain) == 4


def test_the_order_of_the_chain_does_not_matter(
    files: PluggedInCertificates, root: Ca, middle: Ca, signing: Ca, now: datetime
) -> None:
    shuffled = replace(files, cert_chain=root.pem + middle.pem)
    authority = shuffled.authority(trust_domain="cluster.local", now=now)
    assert authority.intermediates == (signing.certificate, middle.certificate)


def test_a_root_may_sign_by_itself(root: Ca, now: datetime) -> None:
    files = PluggedInCertificates(ca_cert=root.pem, ca_key=private_key_pem(root.key), root_cert=root.pem)
    assert files.authority(trust_domain="cluster.local", now=now).intermediates == ()


def test_an_rsa_ca_signs_ecdsa_leafs(reviews: SpiffeId, now: datetime) -> None:
    """Istio's own makefile makes RSA roots."""
    ca = make_ca("rsa", now, key=rsa.generate_private_key(65537, 2048))
    files = PluggedInCertificates(ca_cert=ca.pem, ca_key=private_key_pem(ca.key), root_cert=ca.pem)
    leaf = files.authority(trust_domain="cluster.local", now=now).issue(reviews, now=now)
    x509.load_pem_x509_certificate(leaf.chain_pem).verify_directly_issued_by(ca.certificate)


def test_a_ca_without_a_key_identifier_still_issues_leafs_that_name_its_key(reviews: SpiffeId, now: datetime) -> None:
    ca = make_ca("old", now, named_key=False)
    files = PluggedInCertificates(ca_cert=ca.pem, ca_key=private_key_pem(ca.key), root_cert=ca.pem)
    leaf = x509.load_pem_x509_certificate(
        files.authority(trust_domain="cluster.local", now=now).issue(reviews, now=now).chain_pem
    )
    issuer = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert issuer.key_identifier == x509.SubjectKeyIdentifier.from_public_key(ca.key.public_key()).digest


def test_a_leaf_does_not_outlive_an_intermediate(root: Ca, reviews: SpiffeId, now: datetime) -> None:
    short = make_ca("short", now, issuer=root, lifetime=timedelta(hours=1))
    files = PluggedInCertificates(ca_cert=short.pem, ca_key=private_key_pem(short.key), root_cert=root.pem)
    leaf = files.authority(trust_domain="cluster.local", now=now).issue(reviews, now=now)
    assert leaf.not_after == short.certificate.not_valid_after_utc


def test_all_roots_of_the_file_are_trusted(files: PluggedInCertificates, root: Ca, now: datetime) -> None:
    other = make_ca("other", now)
    authority = replace(files, root_cert=other.pem + root.pem).authority(trust_domain="cluster.local", now=now)
    assert authority.bundle.roots == (other.certificate, root.certificate)


def test_a_missing_intermediate_is_named(files: PluggedInCertificates, now: datetime) -> None:
    with pytest.raises(CertificateFault, match=r"issued CN=signing \(issuer: CN=middle\).*cert-chain.pem"):
        replace(files, cert_chain=b"").authority(trust_domain="cluster.local", now=now)


def test_a_root_of_another_chain_is_named(files: PluggedInCertificates, now: datetime) -> None:
    """The same name is not the same root: the signature decides."""
    impostor = make_ca("root", now)
    chain = files.cert_chain[: files.cert_chain.rindex(b"-----BEGIN")]
    with pytest.raises(CertificateFault, match="issued CN=middle"):
        replace(files, root_cert=impostor.pem, cert_chain=chain).authority(trust_domain="cluster.local", now=now)


def test_a_key_of_another_certificate_is_named(files: PluggedInCertificates, root: Ca, now: datetime) -> None:
    with pytest.raises(CertificateFault, match=r"ca-key.pem is not the key of ca-cert.pem \(CN=signing\)"):
        replace(files, ca_key=private_key_pem(root.key)).authority(trust_domain="cluster.local", now=now)


@pytest.mark.parametrize("field", ["ca_cert", "ca_key", "root_cert", "cert_chain"])
def test_garbage_names_its_file(files: PluggedInCertificates, now: datetime, field: str) -> None:
    with pytest.raises(CertificateFault, match=rf"^{field.replace('_', '-')}\.pem: not a"):
        replace(files, **{field: b"garbage"}).authority(trust_domain="cluster.local", now=now)


@pytest.mark.parametrize("field", ["ca_cert", "root_cert"])
def test_an_empty_file_says_what_belongs_there(files: PluggedInCertificates, now: datetime, field: str) -> None:
    with pytest.raises(CertificateFault, match=rf"{field.replace('_', '-')}\.pem.* holds no certificate"):
        replace(files, **{field: b"\n"}).authority(trust_domain="cluster.local", now=now)


def test_an_encrypted_key_says_so(files: PluggedInCertificates, signing: Ca, now: datetime) -> None:
    encrypted = signing.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    with pytest.raises(CertificateFault, match=r"ca-key.pem: the key is encrypted"):
        replace(files, ca_key=encrypted).authority(trust_domain="cluster.local", now=now)


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        ({"is_ca": False}, "is not a CA's certificate"),
        ({"may_sign": False}, "may not sign certificates"),
        ({"lifetime": timedelta(hours=-1)}, "not now; replace it"),
    ],
)
def test_a_signing_certificate_that_may_not_sign_is_refused(
    root: Ca, now: datetime, flaw: dict[str, bool], reason: str
) -> None:
    ca = make_ca("flawed", now, issuer=root, **flaw)  # type: ignore[arg-type]
    files = PluggedInCertificates(ca_cert=ca.pem, ca_key=private_key_pem(ca.key), root_cert=root.pem)
    with pytest.raises(CertificateFault, match=reason):
        files.authority(trust_domain="cluster.local", now=now)


def test_a_path_that_is_too_long_is_refused(now: datetime) -> None:
    root = make_ca("root", now, path_length=0)
    below = make_ca("below", now, issuer=root)
    files = PluggedInCertificates(ca_cert=below.pem, ca_key=private_key_pem(below.key), root_cert=root.pem)
    with pytest.raises(CertificateFault, match=r"CN=root allows 0 CAs below it \(pathlen\); there are 1"):
        files.authority(trust_domain="cluster.local", now=now)


def test_no_key_shows_in_tracebacks(files: PluggedInCertificates) -> None:
    assert "PRIVATE" not in repr(files)
