"""Issued certificates: their extensions, times and keys, as Envoy and the SPIFFE specification need them."""

import ipaddress
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from weft_core.errors import CertificateFault
from weft_core.spiffe import InvalidSpiffeIdError, SpiffeId
from weft_injector.ca.authority import Authority, workload_dns_name
from weft_injector.ca.leaf import Leaf
from weft_injector.ca.profile import CLOCK_SKEW


def certificate(leaf: Leaf) -> x509.Certificate:
    return x509.load_pem_x509_certificate(leaf.chain_pem)


def test_a_leaf_carries_what_envoy_and_spiffe_ask_for(authority: Authority, reviews: SpiffeId, now: datetime) -> None:
    dns = workload_dns_name("reviews-v1", "bookshop")
    leaf = certificate(authority.issue(reviews, now=now, dns_names=[dns]))
    extensions = leaf.extensions

    names = extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [str(reviews)]
    assert names.value.get_values_for_type(x509.DNSName) == ["reviews-v1.bookshop.workload"]
    assert names.critical, "the subject is empty (RFC 5280, 4.2.1.6)"
    assert len(leaf.subject.rdns) == 0

    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    assert not usage.value.crl_sign
    extended = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(extended) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False

    root = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issuer = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert issuer.key_identifier == root.digest
    own = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert own == x509.SubjectKeyIdentifier.from_public_key(leaf.public_key())
    leaf.verify_directly_issued_by(authority.certificate)


def test_a_leaf_passes_an_independent_verifier(authority: Authority, reviews: SpiffeId, now: datetime) -> None:
    """RFC 5280 path validation of the `cryptography` package, as a TLS server would do it of its client."""
    leaf = certificate(authority.issue(reviews, now=now))
    store = verification.Store(list(authority.bundle.roots))
    verifier = verification.PolicyBuilder().store(store).time(now).build_client_verifier()
    verified = verifier.verify(leaf, [])
    assert verified.subjects is not None
    assert verified.subjects[0].value == str(reviews)


def test_the_key_belongs_to_the_certificate_and_is_new_each_time(
    authority: Authority, reviews: SpiffeId, now: datetime
) -> None:
    leafs = [authority.issue(reviews, now=now) for _ in range(2)]
    for leaf in leafs:
        assert leaf.key_pem
        key = serialization.load_pem_private_key(leaf.key_pem, password=None)
        assert key.public_key() == certificate(leaf).public_key()
    assert leafs[0].key_pem != leafs[1].key_pem
    assert leafs[0].serial != leafs[1].serial


def test_a_workload_may_keep_its_own_key(authority: Authority, reviews: SpiffeId, now: datetime) -> None:
    public_key = ec.generate_private_key(ec.SECP384R1()).public_key()
    leaf = authority.issue(reviews, now=now, public_key=public_key)
    assert leaf.key_pem is None
    assert certificate(leaf).public_key() == public_key


@pytest.mark.parametrize(
    "key",
    [
        ed25519.Ed25519PrivateKey.generate().public_key(),
        ec.generate_private_key(ec.SECP256K1()).public_key(),
        rsa.generate_private_key(65537, 1024).public_key(),
    ],
    ids=["ed25519", "secp256k1", "rsa1024"],
)
def test_a_key_that_envoy_cannot_use_is_refused(
    authority: Authority, reviews: SpiffeId, now: datetime, key: ec.EllipticCurvePublicKey
) -> None:
    with pytest.raises(CertificateFault, match="use ECDSA"):
        authority.issue(reviews, now=now, public_key=key)


def test_a_life_of_seconds_is_at_least_as_long_as_asked_for(
    authority: Authority, reviews: SpiffeId, now: datetime
) -> None:
    """ASN.1 knows whole seconds: the end is rounded up, the beginning lies before `now` by the allowance for clocks."""
    issued = authority.issue(reviews, now=now, lifetime=timedelta(seconds=2))
    leaf = certificate(issued)
    assert issued.not_after == leaf.not_valid_after_utc
    assert timedelta(seconds=2) <= issued.life < timedelta(seconds=3)
    assert leaf.not_valid_before_utc == issued.not_before
    assert timedelta() <= now - CLOCK_SKEW - issued.not_before < timedelta(seconds=1)


def test_a_leaf_never_outlives_its_authority(reviews: SpiffeId, now: datetime) -> None:
    short = Authority.self_made(trust_domain="cluster.local", now=now, lifetime=timedelta(hours=1))
    assert short.issue(reviews, now=now).not_after == short.expires_at


def test_an_expired_authority_signs_nothing(authority: Authority, reviews: SpiffeId, now: datetime) -> None:
    with pytest.raises(CertificateFault, match=r"has expired at 2036-.*replace it"):
        authority.issue(reviews, now=now + timedelta(days=4000))


def test_another_trust_domain_is_refused(authority: Authority, now: datetime) -> None:
    foreign = SpiffeId(trust_domain="elsewhere", namespace="a", service_account="b")
    with pytest.raises(CertificateFault, match=r"trust domain, cluster\.local"):
        authority.issue(foreign, now=now)


def test_an_impossible_trust_domain_makes_no_root(now: datetime) -> None:
    with pytest.raises(InvalidSpiffeIdError, match="lower-case"):
        Authority.self_made(trust_domain="Cluster.Local", now=now)


def test_a_time_without_its_zone_is_refused(authority: Authority, reviews: SpiffeId) -> None:
    with pytest.raises(ValueError, match="time zone"):
        authority.issue(reviews, now=datetime(2026, 3, 1))


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_life_without_length_is_refused(authority: Authority, reviews: SpiffeId, now: datetime, seconds: int) -> None:
    with pytest.raises(ValueError, match="ends before it begins"):
        authority.issue(reviews, now=now, lifetime=timedelta(seconds=seconds))


def test_the_control_planes_certificate_names_hosts(authority: Authority, now: datetime) -> None:
    leaf = authority.issue_serving(now=now, dns_names=["weft.weft-system.svc"], ip_addresses=["127.0.0.1", "::1"])
    names = certificate(leaf).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["weft.weft-system.svc"]
    assert names.get_values_for_type(x509.IPAddress) == [*map(ipaddress.ip_address, ("127.0.0.1", "::1"))]
    assert leaf.identity is None


def test_a_serving_certificate_needs_a_name_to_match(authority: Authority, now: datetime) -> None:
    with pytest.raises(ValueError, match="DNS name"):
        authority.issue_serving(now=now, dns_names=[])


def test_no_key_shows_in_logs(authority: Authority, reviews: SpiffeId, now: datetime) -> None:
    leaf = authority.issue(reviews, now=now)
    assert "PRIVATE" not in repr(leaf)
    assert "key=" not in repr(authority)
