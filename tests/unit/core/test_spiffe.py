"""SPIFFE ids: the specification's rules, each by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_core.spiffe import InvalidSpiffeIdError, SpiffeId

trust_domains = st.from_regex(r"[a-z0-9._-]{1,60}", fullmatch=True)
segments = st.from_regex(r"[A-Za-z0-9._-]{1,63}", fullmatch=True).filter(lambda s: s not in {".", ".."})


@given(trust_domain=trust_domains, namespace=segments, service_account=segments)
def test_every_id_reads_back_as_itself(trust_domain: str, namespace: str, service_account: str) -> None:
    identity = SpiffeId(trust_domain=trust_domain, namespace=namespace, service_account=service_account)
    assert SpiffeId.parse(str(identity)) == identity


@given(st.text())
def test_any_text_is_either_refused_or_reads_back_exactly(text: str) -> None:
    """Nothing is normalised: two texts never mean the same peer."""
    for uri in (text, f"spiffe://{text}", f"spiffe://td/ns/{text}", f"spiffe://td/ns/a/sa/{text}"):
        try:
            identity = SpiffeId.parse(uri)
        except InvalidSpiffeIdError:
            continue
        assert str(identity) == uri


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("", "does not begin"),
        ("https://td/ns/a/sa/b", "does not begin"),
        ("SPIFFE://td/ns/a/sa/b", "does not begin"),
        ("spiffe:///ns/a/sa/b", "trust domain"),
        ("spiffe://TD/ns/a/sa/b", "lower-case"),
        ("spiffe://td:8080/ns/a/sa/b", "trust domain"),
        ("spiffe://user@td/ns/a/sa/b", "trust domain"),
        ("spiffe://td", "not of the form"),
        ("spiffe://td/", "not of the form"),
        ("spiffe://td/ns/a", "not of the form"),
        ("spiffe://td/ns/a/sa/b/", "not of the form"),
        ("spiffe://td/ns/a/sa/b/c", "not of the form"),
        ("spiffe://td/sa/b/ns/a", "not of the form"),
        ("spiffe://td/ns//sa/b", "namespace"),
        ("spiffe://td/ns/a/sa/", "service account"),
        ("spiffe://td/ns/../sa/b", "relative"),
        ("spiffe://td/ns/a/sa/.", "relative"),
        ("spiffe://td/ns/a/sa/b?x=1", "service account"),
        ("spiffe://td/ns/a/sa/b#x", "service account"),
        ("spiffe://td/ns/a/sa/%62", "service account"),
        ("spiffe://td/ns/a/sa/b\n", "service account"),
        ("spiffe://td/ns/a/sa/bé", "service account"),
        (f"spiffe://{'t' * 256}/ns/a/sa/b", "255 bytes"),
        (f"spiffe://td/ns/a/sa/{'b' * 2048}", "2048"),
    ],
)
def test_what_the_specification_forbids_is_refused_by_name(uri: str, reason: str) -> None:
    with pytest.raises(InvalidSpiffeIdError, match=reason):
        SpiffeId.parse(uri)


def test_the_principal_is_what_authorization_policies_name() -> None:
    reviews = SpiffeId(trust_domain="cluster.local", namespace="bookshop", service_account="reviews")
    assert reviews.principal == "cluster.local/ns/bookshop/sa/reviews"
