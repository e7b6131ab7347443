"""Conditions: from what is known of an object to what its status says. Pure; times come in, RFC 3339 in UTC.

Three conditions of Kubernetes' common shape (metav1.Condition), each True where all is well, so that
`kubectl wait --for=condition=Programmed` means what it says:

- Accepted: the newest version is well-formed and in force.
- ResolvedRefs: all that it names exists.
- Programmed: the proxies that need it have taken it. Once True for a generation it stays so, however many proxies come
  and go: a proxy that comes later is given this generation, or a newer one, before it is ready. Only a refusal by
  Envoy takes it back.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from weft_core.problems import Code, Problem, Severity
from weft_core.progress import Progress
from weft_operator.ingest.report import Observed

ACCEPTED: Final = "Accepted"
RESOLVED_REFS: Final = "ResolvedRefs"
PROGRAMMED: Final = "Programmed"
TYPES: Final = (ACCEPTED, RESOLVED_REFS, PROGRAMMED)

REFERENCES: Final = frozenset(
    {
        Code.REFERENCED_RESOURCE_NOT_FOUND,
        Code.VIRTUAL_SERVICE_HOST_NOT_FOUND_IN_GATEWAY,
        Code.UNKNOWN_DESTINATION_RULE_HOST,
        Code.EGRESS_HOST_MATCHES_NOTHING,
    }
)
"""The findings that a name leads nowhere."""

NO_PROXIES: Final = "NoProxies"
REJECTED: Final = "Rejected"
INVALID: Final = "Invalid"
"""Reasons."""

SHOWN: Final = 3
"""How many findings a condition's message spells out."""
MESSAGES: Final = 20
"""How many findings `validationMessages` holds."""
LIMIT: Final = 4096
"""Characters of a message; the API allows 32768."""

_NAMES: Final[Mapping[str, str]] = {
    value: "".join(word.capitalize() for word in name.split("_"))
    for name, value in vars(Code).items()
    if name.isupper() and isinstance(value, str)
}
"""Code → the finding's name: `ReferencedResourceNotFound`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition. `status` is the text True, False or Unknown, `reason` one word."""

    type: str
    status: str
    reason: str
    message: str = ""
    observed_generation: int = 0
    last_transition_time: str = ""

    @property
    def holds(self) -> bool:
        """Whether it is True."""
        return self.status == "True"

    def json(self) -> dict[str, Any]:
        """As the API has it."""
        return {
            "type": self.type,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "observedGeneration": self.observed_generation,
            "lastTransitionTime": self.last_transition_time,
        }

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> "Condition":
        """Read the API's form; fields that are missing, or of another type, are empty."""
        generation = value.get("observedGeneration")
        return cls(
            type=str(value.get("type", "")),
            status=str(value.get("status", "")),
            reason=str(value.get("reason", "")),
            message=str(value.get("message", "")),
            observed_generation=generation if isinstance(generation, int) else 0,
            last_transition_time=str(value.get("lastTransitionTime", "")),
        )


def conditions(
    observed: Observed,
    problems: Sequence[Problem],
    progress: Progress | None,
    previous: Mapping[str, Condition],
    *,
    now: str,
) -> tuple[Condition, ...]:
    """What an object's status is to say.

    `problems` are all findings about it, worst first: those of reading it and those that depend on other objects.
    `progress` is None where it is not known yet; `previous` are its conditions as they are, by type.
    """
    wanted = (
        _accepted(observed, problems),
        _resolved(observed, problems),
        _programmed(observed, progress, previous.get(PROGRAMMED)),
    )
    return tuple(_timed(each, previous.get(each.type), now) for each in wanted)


def validation_messages(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """The findings one by one, for programs: `status.validationMessages`."""
    shown = [problem for problem in problems if problem.code != Code.REJECTED_BY_ENVOY]
    return [_validation_message(problem) for problem in shown[:MESSAGES]]


def _accepted(observed: Observed, problems: Sequence[Problem]) -> Condition:
    errors = [p for p in problems if p.severity is Severity.ERROR and p.code not in REFERENCES]
    errors = [p for p in errors if p.code != Code.REJECTED_BY_ENVOY]
    if observed.rejected:
        stays = "; the last valid version stays in force" if observed.in_force else ""
        return _condition(observed, ACCEPTED, "False", INVALID, f"{_told(errors or problems)}{stays}")
    if errors:
        return _condition(observed, ACCEPTED, "False", "NotInForce", _told(errors))
    warnings = [p for p in problems if p.severity is Severity.WARNING and p.code not in REFERENCES]
    return _condition(observed, ACCEPTED, "True", ACCEPTED, _told(warnings) or "in force")


def _resolved(observed: Observed, problems: Sequence[Problem]) -> Condition:
    dangling = [p for p in problems if p.code in REFERENCES and p.severity is not Severity.INFO]
    if dangling:
        return _condition(observed, RESOLVED_REFS, "False", "NotFound", _told(dangling))
    return _condition(observed, RESOLVED_REFS, "True", RESOLVED_REFS, "all that it names exists")


def _programmed(observed: Observed, progress: Progress | None, previous: Condition | None) -> Condition:
    if observed.rejected:
        return _condition(observed, PROGRAMMED, "False", INVALID, "this generation is refused: see Accepted")
    before = previous if previous is not None and previous.observed_generation == observed.generation else None
    if progress is None:
        return before or _condition(observed, PROGRAMMED, "False", "Pending", "on its way to the proxies")
    if progress.rejected:
        refusals = "; ".join(f"Envoy refuses {resource}: {words}" for resource, words in progress.rejected[:SHOWN])
        return _condition(observed, PROGRAMMED, "False", REJECTED, refusals)
    counted = bool(progress.total and progress.complete)
    if before is not None and before.holds and not (counted and before.reason == NO_PROXIES):
        return before
    message = f"{_count(progress)} acknowledged generation {observed.generation}"
    if counted:
        return _condition(observed, PROGRAMMED, "True", "Acknowledged", message)
    if progress.complete:
        return _condition(observed, PROGRAMMED, "True", NO_PROXIES, "no connected proxy needs it")
    waiting = "".join(f"; {replica}" for replica in progress.silent[:SHOWN])
    return _condition(observed, PROGRAMMED, "False", "Pending", f"{message}{waiting}")


def _count(progress: Progress) -> str:
    proxies = "proxy has" if progress.total == 1 else "proxies have"
    return f"{progress.acknowledged} of {progress.total} {proxies}"


def _condition(observed: Observed, kind: str, status: str, reason: str, message: str) -> Condition:
    text = message if len(message) <= LIMIT else f"{message[: LIMIT - 1]}…"
    return Condition(type=kind, status=status, reason=reason, message=text, observed_generation=observed.generation)


def _timed(wanted: Condition, previous: Condition | None, now: str) -> Condition:
    """The time of transition moves with `status` alone."""
    same = previous is not None and previous.status == wanted.status and previous.last_transition_time
    return replace(wanted, last_transition_time=same or now)


def _told(problems: Sequence[Problem]) -> str:
    parts = [_line(problem) for problem in problems[:SHOWN]]
    if len(problems) > SHOWN:
        parts.append(f"and {len(problems) - SHOWN} more")
    return "; ".join(parts)


def _line(problem: Problem) -> str:
    where = f"{problem.path}: " if problem.path else ""
    fix = f" ({problem.fix})" if problem.fix else ""
    return f"{problem.code} {where}{problem.message}{fix}"


def _validation_message(problem: Problem) -> dict[str, Any]:
    found = {
        "type": {"code": problem.code, "name": _NAMES.get(problem.code, problem.code)},
        "level": problem.severity.value.upper(),
        "path": problem.path,
        "message": problem.message,
        "fix": problem.fix,
    }
    return {key: value for key, value in found.items() if value}
