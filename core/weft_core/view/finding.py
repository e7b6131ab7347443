"""How views write their findings: about an object, at a field of its spec.

Findings of views name no file. Where an object was read is no part of its value, so that a moved line recomputes
nothing; whoever shows findings looks the place up (see `weft_core.load.locate`).
"""

from weft_core.model.mistake import Path, format_path
from weft_core.problems import ObjectRef, Problem, Severity


def finding(
    ref: ObjectRef, path: Path, *, code: str, message: str, fix: str, severity: Severity = Severity.WARNING
) -> Problem:
    """A finding about `ref`; `path` begins below `spec`, and is empty for the spec as a whole."""
    return Problem(
        code=code,
        severity=severity,
        object=ref,
        path=format_path(("spec", *path)),
        message=message,
        fix=fix,
    )
