"""The next step of a reflector, after everything that may become of a list or a watch."""

import pytest

from weft_kube.errors import ApiError, Forbidden, Gone, NotFound, Unavailable
from weft_kube.steps import List, Steps, Watch


@pytest.fixture
def steps() -> Steps:
    """Without jitter: the longest delays."""
    return Steps(jitter=lambda: 1.0)


def test_lists_and_then_watches_from_the_lists_version(steps: Steps) -> None:
    first = steps.next
    assert first == List()
    steps.listed("7")
    assert steps.next == Watch(version="7")


def test_a_watch_that_ended_goes_on_from_the_last_event_or_bookmark(steps: Steps) -> None:
    steps.listed("7")
    steps.advanced("9")
    steps.ended(300)
    assert steps.next == Watch(version="9")


def test_a_dropped_watch_goes_on_almost_at_once(steps: Steps) -> None:
    steps.listed("7")
    steps.failed(Unavailable("reset by peer"), 40)
    assert steps.next == Watch(version="7", delay=0.1)


def test_gone_lists_anew_at_once_and_the_second_time_only_after_a_while(steps: Steps) -> None:
    steps.listed("7")
    steps.failed(Gone("expired"))
    assert steps.next.delay == 0
    steps.listed("8")
    steps.failed(Gone("expired"))
    assert steps.next == List(delay=0.1)


def test_a_server_that_does_not_answer_is_tried_every_second(steps: Steps) -> None:
    steps.listed("7")
    for _ in range(30):
        steps.failed(Unavailable("refused"))
    assert steps.next == Watch(version="7", delay=1.0)


@pytest.mark.parametrize("error", [Forbidden("no", status=403), NotFound("no", status=404), ApiError("?", status=418)])
def test_what_the_server_refuses_is_asked_for_every_ten_seconds(steps: Steps, error: ApiError) -> None:
    for _ in range(30):
        steps.failed(error)
    assert steps.next == List(delay=10.0)


def test_a_server_that_is_overloaded_is_spared_as_long_as_it_asks(steps: Steps) -> None:
    steps.failed(Unavailable("busy", status=429, retry_after=5))
    assert steps.next == List(delay=5)
    steps.failed(Unavailable("busy", status=429, retry_after=3600))
    assert steps.next == List(delay=60)


def test_a_watch_that_the_server_fails_again_and_again_gives_way_to_a_list(steps: Steps) -> None:
    steps.listed("7")
    for _ in range(3):
        steps.failed(Unavailable("etcd", status=500))
        assert isinstance(steps.next, Watch)
    steps.failed(Unavailable("etcd", status=500))
    assert isinstance(steps.next, List)


def test_watches_that_end_at_once_do_not_spin(steps: Steps) -> None:
    steps.listed("7")
    delays = []
    for _ in range(10):
        steps.ended(0.01)
        delays.append(steps.next.delay)
    assert delays[0] == 0.1
    assert delays[-1] == 10
    steps.ended(300)
    assert steps.next.delay == 0


def test_progress_forgets_earlier_failures(steps: Steps) -> None:
    steps.listed("7")
    for _ in range(10):
        steps.failed(Unavailable("refused"))
    steps.advanced("8")
    steps.failed(Unavailable("refused"))
    assert steps.next.delay == 0.1


def test_delays_are_jittered_by_half() -> None:
    assert Steps(jitter=lambda: 0.0).next.delay == 0
    steps = Steps(jitter=lambda: 0.0)
    steps.failed(Unavailable("refused"))
    assert steps.next.delay == 0.05
