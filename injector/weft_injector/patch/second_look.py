"""A pod that has its sidecar, asked about again: another webhook may have added containers behind the first answer.

The API server asks again where a webhook that came later has changed the pod (`reinvocationPolicy: IfNeeded`). Probes
of containers that are new go through the proxy as those of the others; all else is as it was.
"""

from dataclasses import dataclass
from typing import Self

from weft_core.injection import SIDECAR_CONTAINER
from weft_core.problems import Code, Problem, Severity
from weft_injector.patch.annotations import BOOLEAN_FIX, REWRITE_PROBES, STATUS, Annotations, boolean
from weft_injector.patch.earlier import is_complete
from weft_injector.patch.pod import Document, Pod, writable
from weft_injector.patch.probes import ProbeRewriter
from weft_injector.patch.security import bypassing
from weft_injector.patch.sidecar import LONGEST_ARGUMENT, too_long, with_more_probes


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondLook:
    """What became of the pod; the document that was given where there was nothing to do."""

    document: Document
    problems: tuple[Problem, ...] = ()

    @classmethod
    def at(
        cls, document: Document, pod: Pod, annotations: Annotations, *, rewrite_probes: bool, localhost: bool
    ) -> Self:
        """Look again. Gateways have nothing that could be missing.

        `rewrite_probes` is the mesh's setting, which the pod's annotation overrides; `localhost` says whether
        applications are asked on loopback.
        """
        if not is_complete(pod):
            return cls(document=document)
        errors = tuple(p for p in bypassing(pod, annotations.pod) if p.severity is Severity.ERROR)
        started = [container.name for container in pod.spec.init_containers]
        native = SIDECAR_CONTAINER in started
        early = started[: started.index(SIDECAR_CONTAINER)] if native else started
        if errors or not annotations.read(REWRITE_PROBES, boolean, BOOLEAN_FIX, rewrite_probes):
            return cls(document=document, problems=errors)
        result, spec = writable(document)
        probes = ProbeRewriter(ref=annotations.pod, early=early)
        probes.rewrite(pod, spec)
        if not probes.served:
            return cls(document=document)
        proxy = next(filter(_is_proxy, spec["initContainers" if native else "containers"]))
        try:
            flag, bootstrap, *rest = proxy["args"]
            longer = with_more_probes(bootstrap, probes.served, localhost=localhost)
        except (ValueError, LookupError, TypeError, RecursionError):
            return cls(document=document, problems=(_unreadable(annotations),))
        proxy["args"] = [flag, longer, *rest]
        return cls(document=result, problems=(too_long(annotations.pod),) if len(longer) > LONGEST_ARGUMENT else ())


def _unreadable(annotations: Annotations) -> Problem:
    return Problem(
        code=Code.SCHEMA_VALIDATION_ERROR,
        severity=Severity.ERROR,
        object=annotations.pod,
        path=annotations.path(STATUS),
        message="the pod says that it has its sidecar, whose configuration can't be read",
        fix="remove the annotation and the containers that it names, so that the sidecar is added anew",
    )


def _is_proxy(container: Document) -> bool:
    return bool(container["name"] == SIDECAR_CONTAINER)
