"""Annotations about a sidecar that stand on a Deployment, not on its pods: nobody reads them there."""

from collections.abc import Iterator, Mapping
from typing import Any

from weft_core.injection import INJECT, ISTIO_INJECT
from weft_core.model.mistake import one_line
from weft_core.problems import Code, ObjectRef, Problem, Severity
from weft_injector.patch.annotations import is_option


def misplaced(workload: Mapping[str, Any], template: Mapping[str, Any], ref: ObjectRef, path: str) -> Iterator[Problem]:
    """A warning for each of a workload's annotations and labels of this sort that its template does not have as well.

    `path` is the template's, with a dot at its end. Charts that write the same labels everywhere hear nothing.
    """
    for field in ("annotations", "labels"):
        outer, inner = _texts(workload, field), _texts(template, field)
        for name in sorted(outer.keys() - inner.keys()):
            if name in (INJECT, ISTIO_INJECT) or (field == "annotations" and is_option(name)):
                yield Problem(
                    code=Code.MISPLACED_ANNOTATION,
                    severity=Severity.WARNING,
                    object=ref,
                    path=one_line(f"metadata.{field}[{name}]"),
                    message="it is about pods, and has no effect here",
                    fix=f"move it to {path}metadata.{field}",
                )


def _texts(document: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    metadata = document.get("metadata")
    found = metadata.get(field) if isinstance(metadata, Mapping) else None
    return found if isinstance(found, Mapping) else {}
