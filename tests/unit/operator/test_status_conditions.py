"""What an object's status says: Accepted, ResolvedRefs and Programmed."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from weft_core.problems import Code, ObjectRef, Problem, Severity
from weft_core.progress import Progress
from weft_operator.ingest.report import Observed
from weft_operator.status.conditions import LIMIT, Condition, conditions, validation_messages

REF = ObjectRef(kind="VirtualService", namespace="shop", name="reviews")
FIRST, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"


def observed(generation: int = 3, *, rejected: bool = False, in_force: bool = True) -> Observed:
    return Observed(
        kind="VirtualService",
        namespace="shop",
        name="reviews",
        uid="1",
        generation=generation,
        rejected=rejected,
        in_force=in_force,
    )


def problem(code: str, severity: Severity = Severity.ERROR, message: str = "is wrong") -> Problem:
    return Problem(code=code, severity=severity, object=REF, path="spec.http[0]", message=message, fix="mend it")


def decide(
    of: Observed | None = None,
    *problems: Problem,
    progress: Progress | None = None,
    previous: Mapping[str, Condition] | None = None,
    now: str = FIRST,
) -> dict[str, Condition]:
    found = conditions(of or observed(), problems, progress, previous or {}, now=now)
    assert [each.type for each in found] == ["Accepted", "ResolvedRefs", "Programmed"]
    return {each.type: each for each in found}


def test_what_is_well_is_true() -> None:
    found = decide(progress=Progress(acknowledged=18, total=18))
    assert {each.status for each in found.values()} == {"True"}
    assert found["Programmed"].message == "18 of 18 proxies have acknowledged generation 3"
    assert {each.observed_generation for each in found.values()} == {3}


def test_a_refused_version_says_where_and_how_to_mend_it() -> None:
    found = decide(observed(rejected=True), problem(Code.SCHEMA_VALIDATION_ERROR))
    accepted = found["Accepted"]
    assert (accepted.status, accepted.reason) == ("False", "Invalid")
    expected = "IST0106 spec.http[0]: is wrong (mend it); the last valid version stays in force"
    assert accepted.message == expected
    assert (found["Programmed"].status, found["Programmed"].reason) == ("False", "Invalid")


def test_a_refused_first_version_claims_no_other_to_be_in_force() -> None:
    found = decide(observed(rejected=True, in_force=False), problem(Code.SCHEMA_VALIDATION_ERROR))
    assert "stays in force" not in found["Accepted"].message


def test_the_first_findings_are_spelt_out_and_the_rest_is_counted() -> None:
    problems = [problem(Code.SCHEMA_VALIDATION_ERROR, message=f"wrong {n}") for n in range(5)]
    message = decide(observed(rejected=True), *problems)["Accepted"].message
    assert "wrong 2" in message
    assert "wrong 3" not in message
    assert "and 2 more" in message


def test_an_object_out_of_force_is_not_accepted() -> None:
    found = decide(observed(), problem(Code.CONFLICTING_GATEWAYS))
    assert (found["Accepted"].status, found["Accepted"].reason) == ("False", "NotInForce")
    assert found["ResolvedRefs"].holds


def test_warnings_are_told_of_what_is_accepted() -> None:
    found = decide(observed(), problem(Code.SCHEMA_WARNING, Severity.WARNING))
    assert found["Accepted"].holds
    assert "IST0133" in found["Accepted"].message


@pytest.mark.parametrize(
    "code", [Code.REFERENCED_RESOURCE_NOT_FOUND, Code.UNKNOWN_DESTINATION_RULE_HOST, Code.EGRESS_HOST_MATCHES_NOTHING]
)
@pytest.mark.parametrize("severity", [Severity.ERROR, Severity.WARNING])
def test_a_name_that_leads_nowhere_is_an_unresolved_reference(code: str, severity: Severity) -> None:
    found = decide(observed(), problem(code, severity))
    assert (found["ResolvedRefs"].status, found["ResolvedRefs"].reason) == ("False", "NotFound")
    assert found["Accepted"].holds


def test_proxies_that_have_yet_to_answer_are_counted() -> None:
    found = decide(progress=Progress(acknowledged=17, total=18))["Programmed"]
    assert (found.status, found.reason) == ("False", "Pending")
    assert found.message == "17 of 18 proxies have acknowledged generation 3"


def test_replicas_that_say_nothing_are_named() -> None:
    progress = Progress(acknowledged=18, total=18, silent=("replica 10.0.0.2:15014 does not answer",))
    found = decide(progress=progress)["Programmed"]
    assert found.reason == "Pending"
    assert "10.0.0.2" in found.message


def test_envoys_own_words_are_shown() -> None:
    progress = Progress(acknowledged=0, total=2, rejected=(("80/reviews", "bad regex"),))
    found = decide(progress=progress)["Programmed"]
    assert (found.status, found.reason) == ("False", "Rejected")
    assert found.message == "Envoy refuses 80/reviews: bad regex"


def test_an_object_that_no_proxy_needs_is_programmed() -> None:
    found = decide(progress=Progress())["Programmed"]
    assert (found.status, found.reason) == ("True", "NoProxies")


def test_once_programmed_a_generation_stays_so() -> None:
    """Proxies come and go; a status that counted them would never be done."""
    before = decide(progress=Progress(acknowledged=18, total=18))
    for progress in (Progress(acknowledged=19, total=20), Progress(), None):
        assert decide(progress=progress, previous=before, now=LATER) == before


def test_a_refusal_takes_even_that_back() -> None:
    before = decide(progress=Progress(acknowledged=18, total=18))
    found = decide(progress=Progress(total=18, rejected=(("a", "b"),)), previous=before, now=LATER)["Programmed"]
    assert (found.reason, found.last_transition_time) == ("Rejected", LATER)
    again = decide(progress=Progress(acknowledged=18, total=18), previous={"Programmed": found}, now=LATER)
    assert again["Programmed"].holds


def test_the_first_proxies_are_mentioned_once_they_have_it() -> None:
    before = decide(progress=Progress())
    assert decide(progress=Progress(acknowledged=1, total=2), previous=before) == before
    found = decide(progress=Progress(acknowledged=2, total=2), previous=before)["Programmed"]
    assert (found.reason, found.holds) == ("Acknowledged", True)


def test_a_new_generation_begins_anew() -> None:
    before = decide(progress=Progress(acknowledged=18, total=18))
    found = decide(observed(4), progress=Progress(acknowledged=1, total=18), previous=before, now=LATER)
    assert found["Programmed"].reason == "Pending"
    assert found["Programmed"].last_transition_time == LATER
    assert found["Accepted"].observed_generation == 4
    assert found["Accepted"].last_transition_time == FIRST
    assert decide(observed(4), previous=before, now=LATER)["Programmed"].reason == "Pending"


def test_the_time_of_transition_moves_with_the_status_alone() -> None:
    before = decide(progress=Progress(acknowledged=1, total=18))
    found = decide(progress=Progress(acknowledged=2, total=18), previous=before, now=LATER)["Programmed"]
    assert found.message != before["Programmed"].message
    assert found.last_transition_time == FIRST


def test_conditions_read_back_as_written() -> None:
    found = decide(progress=Progress(acknowledged=18, total=18))["Programmed"]
    assert Condition.parse(found.json()) == found
    assert Condition.parse({"observedGeneration": "3"}) == Condition(type="", status="", reason="")


def test_endless_messages_are_cut() -> None:
    found = decide(progress=Progress(total=1, rejected=(("a", "x" * 100_000),)))["Programmed"]
    assert len(found.message) == LIMIT


def test_findings_are_listed_for_programs() -> None:
    found = validation_messages([problem(Code.REFERENCED_RESOURCE_NOT_FOUND), problem(Code.REJECTED_BY_ENVOY)])
    assert found == [
        {
            "type": {"code": "IST0101", "name": "ReferencedResourceNotFound"},
            "level": "ERROR",
            "path": "spec.http[0]",
            "message": "is wrong",
            "fix": "mend it",
        }
    ]
    assert len(validation_messages([replace(problem("IST0106"), message=str(n)) for n in range(50)])) == 20
