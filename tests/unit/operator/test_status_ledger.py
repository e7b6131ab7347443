"""Which statuses are written, when, and in which order."""

from weft_operator.ingest.report import Observed
from weft_operator.rate import Bucket
from weft_operator.status.conditions import Condition
from weft_operator.status.ledger import SPACING, Ledger, Status


def observed(name: str = "a", *, generation: int = 1, uid: str = "1") -> Observed:
    return Observed(kind="Gateway", namespace="shop", name=name, uid=uid, generation=generation)


def status(message: str = "", *, holds: str = "False", generation: int = 1, uid: str = "1") -> Status:
    found = Condition(type="Programmed", status=holds, reason="Any", message=message, observed_generation=generation)
    return Status(uid=uid, conditions={"Programmed": found})


def test_nothing_is_written_that_is_there_already() -> None:
    ledger = Ledger()
    ledger.learn(observed().ref, status("same"))
    assert ledger.due([(observed(), status("same"))], 0.0) == ([], [])


def test_a_namesakes_status_is_none() -> None:
    ledger = Ledger()
    ledger.learn(observed().ref, status("same"))
    due, _ = ledger.due([(observed(uid="2"), status("same", uid="2"))], 0.0)
    assert len(due) == 1


def test_words_alone_wait_and_are_not_forgotten() -> None:
    ledger = Ledger()
    ledger.learn(observed().ref, status("1 of 9"), written=10.0)
    wanted = [(observed(), status("2 of 9"))]
    assert ledger.due(wanted, 10.1) == ([], [observed().ref])
    assert ledger.due(wanted, 10.0 + SPACING) == (wanted, [])


def test_what_became_something_else_does_not_wait() -> None:
    ledger = Ledger()
    ledger.learn(observed().ref, status("8 of 9"), written=10.0)
    wanted = [(observed(), status("9 of 9", holds="True"))]
    assert ledger.due(wanted, 10.1) == (wanted, [])


def test_generations_of_which_nothing_is_said_go_first() -> None:
    ledger = Ledger()
    ledger.learn(observed("old").ref, status("before"))
    ledger.learn(observed("edited").ref, status("before"))
    old = (observed("old"), status("after"))
    edited = (observed("edited", generation=2), status(generation=2))
    new = (observed("new"), status())
    assert ledger.due([old, edited, new], 0.0) == ([edited, new, old], [])


def test_the_generation_that_all_have_taken_is_known() -> None:
    assert status(holds="True", generation=4).programmed_generation == 4
    assert status(generation=4).programmed_generation == 0
    ledger = Ledger()
    ledger.learn(observed().ref, status(holds="True"))
    ledger.forget(observed().ref)
    assert ledger.known(observed()).programmed_generation == 0


def test_a_bucket_lets_a_burst_through_and_then_a_rate() -> None:
    bucket = Bucket(rate=2.0, burst=3)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait(0.0) == 0.5
    assert bucket.take(0.5)
    assert not bucket.take(0.6)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
