"""When renewals are due and how failures are spaced, for any life from seconds to days."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_core.spiffe import SpiffeId
from weft_injector.ca.authority import Authority
from weft_injector.renewal import RenewalPolicy

lives = st.timedeltas(min_value=timedelta(seconds=2), max_value=timedelta(days=30))


@given(lifetime=lives, chance=st.floats(0, 1))
def test_a_leaf_is_renewed_at_half_of_its_life_or_a_little_earlier(lifetime: timedelta, chance: float) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    authority = Authority.self_made(trust_domain="td", now=now)
    leaf = authority.issue(SpiffeId(trust_domain="td", namespace="a", service_account="b"), now=now, lifetime=lifetime)
    share = (RenewalPolicy(lifetime=lifetime).due_at(leaf, chance) - leaf.issued_at) / leaf.life
    assert 0.449 < share < 0.501


@given(lifetime=lives)
def test_a_failing_renewal_is_tried_several_times_before_the_expiry(lifetime: timedelta) -> None:
    policy = RenewalPolicy()
    left, tries = lifetime / 2, 0
    while left > timedelta(milliseconds=100):
        tries += 1
        left -= policy.retry_after(tries, left=left)
    assert tries >= 5


def test_waits_double_up_to_the_longest() -> None:
    policy = RenewalPolicy()
    waits = [policy.retry_after(failures, left=timedelta(days=1)).total_seconds() for failures in (1, 2, 3, 9, 10, 999)]
    assert waits == [1, 2, 4, 256, 300, 300]


def test_after_the_expiry_it_is_tried_every_second() -> None:
    assert RenewalPolicy().retry_after(20, left=timedelta(seconds=-5)) == timedelta(seconds=1)


@pytest.mark.parametrize("wrong", [{"at": 0.0}, {"at": 1.0}, {"jitter": 1.0}, {"jitter": -0.1}])
def test_an_impossible_policy_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        RenewalPolicy(**wrong)  # type: ignore[arg-type]


def test_a_life_without_length_is_refused() -> None:
    with pytest.raises(ValueError, match="ends before it begins"):
        RenewalPolicy(lifetime=timedelta())
