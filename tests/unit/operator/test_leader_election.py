"""The rules of the election: nobody leads beside another, and clocks need not agree."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_operator.leader.election import Election, Record, Step, Timing

TIMING = Timing()
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def lead(election: Election, seen: Record | None, now: float) -> Record:
    """Take the Lease as the API server would let one."""
    assert election.observe(seen, now) is Step.TAKE
    written = election.claim(NOON)
    election.won(written, now, now)
    return written


def test_who_finds_no_lease_takes_it() -> None:
    election = Election("a", TIMING)
    assert not election.leading(0.0)
    record = lead(election, None, 0.0)
    assert election.leading(0.0)
    assert (record.holder, record.seconds, record.transitions) == ("a", 15.0, 0)


def test_a_leader_that_cannot_renew_gives_up_before_others_may_take_over() -> None:
    leader, other = Election("a", TIMING), Election("b", TIMING)
    record = lead(leader, None, 0.0)
    assert other.observe(record, 0.0) is Step.WAIT
    assert leader.leading(9.9)
    assert not leader.leading(10.0)
    assert other.observe(record, 14.9) is Step.WAIT
    assert other.observe(record, 15.0) is Step.TAKE


def test_what_counts_is_when_a_change_was_seen_not_what_clock_wrote_it() -> None:
    """A holder whose clock is an hour off is waited for like any other."""
    election = Election("b", TIMING)
    old = Record(holder="a", seconds=15.0, renewed="2020-01-01T00:00:00.000000Z", version="1")
    assert election.observe(old, 100.0) is Step.WAIT
    renewed = Record(holder="a", seconds=15.0, renewed="2020-01-01T00:00:02.000000Z", version="2")
    assert election.observe(renewed, 110.0) is Step.WAIT
    assert election.observe(renewed, 120.0) is Step.WAIT
    assert election.observe(renewed, 125.0) is Step.TAKE


def test_the_holders_own_duration_counts() -> None:
    election = Election("b", TIMING)
    long = Record(holder="a", seconds=60.0, version="1")
    assert election.observe(long, 0.0) is Step.WAIT
    assert election.observe(long, 59.0) is Step.WAIT
    assert election.observe(long, 60.0) is Step.TAKE


def test_a_lease_that_was_given_back_is_free_at_once() -> None:
    leader, other = Election("a", TIMING), Election("b", TIMING)
    lead(leader, None, 0.0)
    given_back = leader.resignation(NOON)
    assert given_back.holder == ""
    record = lead(other, given_back, 1.0)
    assert record.transitions == 1


def test_a_renewal_keeps_the_time_of_acquisition() -> None:
    election = Election("a", TIMING)
    first = lead(election, None, 0.0)
    assert election.observe(first, 2.0) is Step.TAKE
    second = election.claim(NOON.replace(minute=1))
    assert (second.acquired, second.transitions) == (first.acquired, 0)
    assert second.renewed != first.renewed


def test_a_leader_that_sees_another_leads_no_longer() -> None:
    election = Election("a", TIMING)
    lead(election, None, 0.0)
    assert election.observe(Record(holder="b", seconds=15.0, version="9"), 1.0) is Step.WAIT
    assert not election.leading(1.0)


def test_a_slow_answer_shortens_the_leadership() -> None:
    """Others have seen the write when it happened, not when its answer came."""
    election = Election("a", TIMING)
    election.observe(None, 0.0)
    election.won(election.claim(NOON), 8.0, 0.0)
    assert election.leading(9.0)
    assert not election.leading(10.0)
    assert election.remaining(4.0) == 6.0


@pytest.mark.parametrize("timing", [(10.0, 10.0, 2.0), (15.0, 2.0, 2.0), (15.0, 10.0, 0.0)])
def test_times_that_let_two_lead_are_refused(timing: tuple[float, float, float]) -> None:
    lease, renew, retry = timing
    with pytest.raises(ValueError, match="longer"):
        Timing(lease=lease, renew=renew, retry=retry)


def test_leases_are_read_as_others_write_them() -> None:
    found = Record.parse({"metadata": {"resourceVersion": "7"}, "spec": None})
    assert found == Record(version="7")
    record = Record(holder="a", seconds=15.0, acquired="x", renewed="y", transitions=3, version="7")
    assert Record.parse({"metadata": {"resourceVersion": "7"}, "spec": record.spec()}) == record


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.1, 6.0), st.booleans(), st.floats(0.0, 5.0)), max_size=60)
)
def test_two_never_lead_at_once(steps: list[tuple[str, float, bool, float]]) -> None:
    """Whatever the order and the delays of tries: each try reads, and writes if nobody has written since."""
    elections = {name: Election(name, TIMING) for name in "abc"}
    stored: Record | None = None
    version, now = 0, 0.0
    for name, pause, lost, delay in steps:
        now += pause
        election = elections[name]
        if election.observe(stored, now) is Step.TAKE:
            claim = election.claim(NOON)
            version += 1
            stored = Record(holder=claim.holder, seconds=claim.seconds, renewed=str(version), version=str(version))
            if not lost:  # else the write happened, and its answer never came
                election.won(stored, now + delay, now)
        assert sum(each.leading(now) for each in elections.values()) <= 1
