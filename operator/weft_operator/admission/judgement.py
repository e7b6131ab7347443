"""What a change of one object is worth by itself: a pure function of the API server's request."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from weft_core.model.decode import decode
from weft_core.model.kinds import BY_API
from weft_core.model.meta import Config
from weft_core.model.mistake import describe, one_line
from weft_core.problems import Problem, Severity, by_severity
from weft_kube.admission import AdmissionRequest, Verdict

_WRITES: Final = frozenset({"CREATE", "UPDATE"})
_NOT_JUDGED: Final = frozenset({"apiVersion", "metadata", "status"})
"""What may change in an object that is wrong: finalizers, owners, labels, and what the control plane itself says."""
_SHOWN: Final = 50
"""Mistakes that a refusal lists at most; a generated object of a megabyte may have any number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdict as far as the object alone decides it. `object` is what remains to be seen beside other objects."""

    verdict: Verdict
    object: Config[Any] | None = None


_LET_THROUGH: Final = Judgement(verdict=Verdict(allowed=True))


def judge(request: AdmissionRequest) -> Judgement:
    """Judge a request. Deletions, subresources and kinds of others are let through. Raises nothing."""
    if request.operation not in _WRITES or request.sub_resource:
        return _LET_THROUGH
    kind = BY_API.get((request.api_version, request.kind))
    if kind is not None and not kind.is_mesh:
        return _LET_THROUGH
    if request.object is None:
        return Judgement(verdict=Verdict(allowed=False, message="the request has no object"))
    if strange := _another_kind(request, request.object):
        return Judgement(verdict=Verdict(allowed=False, message=strange))
    decoded = decode(request.object, default_namespace=request.namespace)
    if kind is None:
        # Istio's kinds without effect here: the author is told, but they are not Weft's to refuse.
        return Judgement(verdict=Verdict(allowed=True, warnings=warnings(decoded.problems)))
    errors = [problem for problem in decoded.problems if problem.severity is Severity.ERROR]
    if errors and _judged_part(request.object) != _judged_part(request.old_object):
        others = [problem for problem in decoded.problems if problem.severity is not Severity.ERROR]
        return Judgement(verdict=Verdict(allowed=False, message=refusal(errors), warnings=warnings(others)))
    if errors:
        return _LET_THROUGH if _is_leaving(request.object) else _excused(decoded.problems)
    found = decoded.object if isinstance(decoded.object, Config) else None
    return Judgement(verdict=Verdict(allowed=True, warnings=warnings(decoded.problems)), object=found)


def refusal(errors: Iterable[Problem]) -> str:
    """What kubectl prints: each mistake on a line, with its path and fix."""
    lines = [line(problem) for problem in by_severity(errors)]
    if len(lines) == 1:
        return lines[0]
    rest = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join([f"{len(lines)} mistakes", *lines[:_SHOWN], *rest])


def warnings(problems: Iterable[Problem]) -> tuple[str, ...]:
    """Findings as kubectl's warnings, worst first. What is merely worth knowing is left to `weft analyze`."""
    return tuple(line(problem) for problem in by_severity(problems) if problem.severity is not Severity.INFO)


def line(problem: Problem) -> str:
    """`spec.http[0].timeout: 5 is a number without a unit → write "5s" (IST0106)`."""
    path = f"{problem.path}: " if problem.path else ""
    fix = f" → {problem.fix}" if problem.fix else ""
    return f"{path}{problem.message}{fix} ({problem.code})"


def _excused(problems: Iterable[Problem]) -> Judgement:
    """A wrong object whose wrong part is what it was: refusing would block finalizers and owners for nothing."""
    return Judgement(
        verdict=Verdict(
            allowed=True,
            warnings=("the object has mistakes, and is not in force as it is written", *warnings(problems)),
        )
    )


def _another_kind(request: AdmissionRequest, document: Mapping[str, Any]) -> str:
    """Why the document is not what the request says it is, or nothing."""
    if (document.get("apiVersion"), document.get("kind")) == (request.api_version, request.kind):
        return ""
    shown = one_line(describe(f"{document.get('apiVersion')} {document.get('kind')}"))
    return f"the request is about {one_line(f'{request.api_version} {request.kind}')}, and the object is {shown}"


def _judged_part(document: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if document is None:
        return None
    return {name: value for name, value in document.items() if name not in _NOT_JUDGED}


def _is_leaving(document: Mapping[str, Any]) -> bool:
    metadata = document.get("metadata")
    return isinstance(metadata, Mapping) and metadata.get("deletionTimestamp") is not None
