"""The findings by object, and how little it costs to look again."""

from collections.abc import Callable

import pytest

from weft_core.problems import Code, ObjectRef, Problem, Severity
from weft_core.registry import Registry
from weft_operator.ingest.report import Observed
from weft_operator.status import findings
from weft_operator.status.findings import View, about, changed

DANGLING = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec: {hosts: [web], http: [{route: [{destination: {host: nowhere}}]}]}
"""
REF = ObjectRef(kind="VirtualService", namespace="shop", name="web")


@pytest.fixture
def db(registry: Callable[..., Registry], shop: str) -> Registry:
    """A shop with a rule that leads nowhere."""
    return registry(shop, DANGLING)


async def test_findings_are_grouped_and_change_with_what_they_are_about(db: Registry) -> None:
    commits: list[None] = []
    view = View(db, lambda: commits.append(None))
    await view.prepare()
    db.runs = {}
    before = view()
    assert [problem.code for problem in before[REF]] == [Code.REFERENCED_RESOURCE_NOT_FOUND]
    assert set(db.runs) == {"all_problems"}, "all has been looked at before"
    assert view() is before
    db.virtual_services.put(("shop", "web"), None)
    after = view()
    assert REF not in after
    assert changed(before, after) == {REF}
    assert changed(after, after) == set()
    assert commits


def test_a_fault_of_the_program_leaves_the_findings_as_they_were(db: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    view = View(db, lambda: None)
    before = view()

    def broken(_db: Registry) -> tuple[Problem, ...]:
        raise ValueError("a fault")

    monkeypatch.setattr(findings, "all_problems", broken)
    assert view() == before
    assert view() == before


def test_findings_about_the_version_in_force_say_nothing_of_a_refused_one() -> None:
    own = Problem(code=Code.SCHEMA_VALIDATION_ERROR, severity=Severity.ERROR, object=REF, message="own")
    viewed = Problem(code=Code.REFERENCED_RESOURCE_NOT_FOUND, severity=Severity.WARNING, object=REF, message="viewed")

    def observed(*, rejected: bool, in_force: bool = True) -> Observed:
        return Observed(
            kind=REF.kind,
            namespace=REF.namespace,
            name=REF.name,
            uid="1",
            generation=1,
            problems=(own,),
            rejected=rejected,
            in_force=in_force,
        )

    assert about(observed(rejected=True), {REF: (viewed,)}) == (own,)
    assert about(observed(rejected=False), {REF: (viewed,)}) == (own, viewed)
    assert about(observed(rejected=True, in_force=False), {REF: (viewed,)}) == (own, viewed), "what follows from that"
