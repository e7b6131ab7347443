"""Trust bundles while a root is being replaced."""

from datetime import datetime, timedelta

import pytest

from weft_core.errors import CertificateFault
from weft_injector.ca.authority import Authority
from weft_injector.ca.bundle import TrustBundle


def test_a_root_is_replaced_in_three_steps(authority: Authority, now: datetime) -> None:
    successor = Authority.self_made(trust_domain="cluster.local", now=now)
    both = authority.bundle.joined(successor.bundle)
    assert both.roots == (authority.certificate, successor.certificate)
    assert both.without(authority.certificate) == successor.bundle


def test_a_root_is_in_a_bundle_once(authority: Authority) -> None:
    assert authority.bundle.joined(authority.bundle) == authority.bundle


def test_a_bundle_reads_back_as_itself(authority: Authority, now: datetime) -> None:
    both = authority.bundle.joined(Authority.self_made(trust_domain="cluster.local", now=now).bundle)
    assert TrustBundle.parse(both.pem, "root.pem") == both


def test_an_expired_root_leaves(authority: Authority, now: datetime) -> None:
    short = Authority.self_made(trust_domain="cluster.local", now=now, lifetime=timedelta(days=1))
    both = short.bundle.joined(authority.bundle)
    assert both.valid_at(now) == both
    assert both.valid_at(now + timedelta(days=2)) == authority.bundle


def test_the_last_root_cannot_leave(authority: Authority, now: datetime) -> None:
    """An empty bundle is a mesh in which nobody believes anybody."""
    with pytest.raises(CertificateFault, match="at least one root"):
        authority.bundle.without(authority.certificate)
    with pytest.raises(CertificateFault, match="at least one root"):
        authority.bundle.valid_at(now + timedelta(days=4000))


def test_a_file_without_certificates_is_refused() -> None:
    with pytest.raises(CertificateFault, match=r"root.pem: holds no certificate"):
        TrustBundle.parse(b"", "root.pem")
