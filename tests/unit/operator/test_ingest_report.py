"""Observations: one per object, told when they come, change and go."""

from weft_core.problems import ObjectRef
from weft_operator.ingest.report import Observations, Observed

REF = ObjectRef(kind="VirtualService", namespace="shop", name="reviews")


def observed(generation: int = 1, uid: str = "u") -> Observed:
    return Observed(kind=REF.kind, namespace=REF.namespace, name=REF.name, uid=uid, generation=generation)


def test_tells_what_came_changed_and_went_and_nothing_else() -> None:
    observations = Observations()
    told: list[ObjectRef] = []
    observations.subscribe(told.append)
    observations.put(observed())
    observations.put(observed())
    assert told == [REF]
    observations.put(observed(generation=2))
    observations.remove(REF)
    observations.remove(REF)
    assert told == [REF, REF, REF]
    assert observations.get(REF) is None
    assert len(observations) == 0


def test_ends_a_subscription() -> None:
    observations = Observations()
    told: list[ObjectRef] = []
    end = observations.subscribe(told.append)
    end()
    end()
    observations.put(observed())
    assert told == []


def test_items_may_change_while_they_are_walked() -> None:
    observations = Observations()
    observations.put(observed())
    for ref, found in observations.items():
        assert found.ref == ref
        observations.remove(ref)
    assert not list(observations.items())
