"""What refuses an object, what only warns, and what is let through unseen."""

from collections.abc import Callable

import pytest

from weft_core.model.meta import Config
from weft_kube.admission import AdmissionRequest, Verdict
from weft_operator.admission.judgement import judge

Make = Callable[..., AdmissionRequest]

GOOD = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: shop}
spec: {hosts: [web], http: [{route: [{destination: {host: web}}]}]}
"""
BAD = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: shop}
spec: {hosts: [web], http: [{timeout: 5, retires: {attempts: 1}, route: [{destination: {host: web}}]}]}
"""
ALLOWED = Verdict(allowed=True)


def test_a_good_object_is_admitted_and_handed_on(request_for: Make) -> None:
    judgement = judge(request_for(GOOD))
    assert judgement.verdict == ALLOWED
    assert isinstance(judgement.object, Config)
    assert str(judgement.object.meta.ref) == "VirtualService shop/a"


def test_every_mistake_is_told_with_path_and_fix(request_for: Make) -> None:
    verdict = judge(request_for(BAD)).verdict
    assert not verdict.allowed
    assert verdict.message.splitlines() == [
        "2 mistakes",
        "spec.http[0].retires: unknown field `retires` → write `retries` (IST0106)",
        'spec.http[0].timeout: 5 is a number without a unit → write "5s" for seconds, or with ms, m or h (IST0106)',
    ]


def test_a_single_mistake_is_one_line(request_for: Make) -> None:
    verdict = judge(request_for(BAD.replace("retires: {attempts: 1}, ", ""))).verdict
    assert verdict.message.startswith("spec.http[0].timeout: 5 is a number")
    assert "\n" not in verdict.message


def test_a_long_list_of_mistakes_ends_somewhere(request_for: Make) -> None:
    hosts = ", ".join(f"'h {index}'" for index in range(60))
    lines = judge(request_for(GOOD.replace("[web]", f"[{hosts}]"))).verdict.message.splitlines()
    assert (lines[0], len(lines), lines[-1]) == ("60 mistakes", 52, "and 10 more")


def test_a_field_without_value_is_refused(request_for: Make) -> None:
    """The schema lets it through on purpose: read as absent, it would widen the rule."""
    verdict = judge(request_for(GOOD.replace("{route:", "{match: , route:"))).verdict
    assert verdict.message == "spec.http[0].match: the field has no value → write a value, or remove it (IST0106)"


def test_what_is_only_suspicious_is_a_warning(request_for: Make) -> None:
    fault = GOOD.replace("{route:", "{fault: {abort: {httpStatus: 503}}, route:")
    judgement = judge(request_for(fault))
    assert judgement.object is not None
    assert judgement.verdict == Verdict(
        allowed=True,
        warnings=(
            "spec.http[0].fault.abort: the abort has no percentage, so it never happens "
            "→ add percentage: {value: 100} (WEFT0009)",
        ),
    )


@pytest.mark.parametrize("fields", [{"operation": "DELETE"}, {"operation": "CONNECT"}, {"sub_resource": "status"}])
def test_deletions_and_subresources_are_let_through(request_for: Make, fields: dict[str, str]) -> None:
    judgement = judge(request_for(BAD, **fields))
    assert (judgement.verdict, judgement.object) == (ALLOWED, None)


def test_a_deletion_has_no_object(request_for: Make) -> None:
    assert judge(request_for(BAD, operation="DELETE", object=None)).verdict.allowed


def test_a_bad_object_may_lose_its_finalizers(request_for: Make) -> None:
    leaving = BAD.replace("name: a,", "name: a, deletionTimestamp: '2026-01-01T00:00:00Z',")
    assert judge(request_for(leaving, BAD.replace("name: a,", "name: a, finalizers: [x],"))).verdict == ALLOWED


def test_metadata_and_status_of_a_bad_object_may_change_with_a_warning(request_for: Make) -> None:
    verdict = judge(request_for(BAD + "status: {observedGeneration: 1}\n", BAD)).verdict
    assert verdict.allowed
    assert verdict.warnings[0] == "the object has mistakes, and is not in force as it is written"
    assert len(verdict.warnings) == 3


def test_a_bad_object_is_stored_in_another_version_and_stays_as_it_is(request_for: Make) -> None:
    assert judge(request_for(BAD, BAD.replace("istio.io/v1", "istio.io/v1beta1"))).verdict.allowed


def test_the_spec_of_a_bad_object_may_only_become_a_good_one(request_for: Make) -> None:
    assert not judge(request_for(BAD, GOOD)).verdict.allowed
    assert not judge(request_for(BAD, BAD.replace("timeout: 5", "timeout: 6"))).verdict.allowed
    assert judge(request_for(GOOD, BAD)).verdict == ALLOWED


def test_the_namespace_of_the_request_counts_where_the_object_names_none(request_for: Make) -> None:
    judgement = judge(request_for(GOOD.replace(", namespace: shop", "")))
    assert judgement.object is not None
    assert judgement.object.meta.namespace == "shop"


def test_a_name_that_the_server_has_yet_to_make_is_no_mistake(request_for: Make) -> None:
    assert judge(request_for(GOOD.replace("name: a", "generateName: a-"))).object is not None


def test_istios_kinds_without_effect_are_admitted_with_a_warning(request_for: Make) -> None:
    text = "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: a}\nspec: {x: 1}\n"
    verdict = judge(request_for(text)).verdict
    assert verdict.allowed
    assert verdict.warnings == (
        "kind: Weft does not support EnvoyFilter yet; the object has no effect "
        "→ remove it, or do not rely on it (WEFT0002)",
    )


def test_objects_of_others_are_none_of_its_business(request_for: Make) -> None:
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: nonsense}\n"
    assert judge(request_for(text)).verdict == ALLOWED


def test_an_object_that_is_not_what_the_request_says_is_refused(request_for: Make) -> None:
    verdict = judge(request_for(GOOD, kind="Gateway")).verdict
    assert verdict.message == (
        "the request is about networking.istio.io/v1 Gateway, and the object is networking.istio.io/v1 VirtualService"
    )
    assert judge(request_for(GOOD, object=None)).verdict.message == "the request has no object"
