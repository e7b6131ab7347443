"""Problems: what is wrong with something a user wrote, where exactly, and how to mend it.

A user's mistake is a value, never an exception: one object's mistake must not stop another's work, and all mistakes of
an object are told at once. The same problems reach `weft analyze`, the admission answer, status conditions, logs and
metrics. Codes equal Istio's (`IST0101` …) where the finding is the same; Weft's own begin with `WEFT`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self


class Severity(StrEnum):
    """How bad a problem is, in `weft analyze`'s words."""

    ERROR = "error"
    """The object, or the named part of it, is not in force."""
    WARNING = "warning"
    """It is in force, and probably does not do what its author meant."""
    INFO = "info"
    """Worth knowing; nothing is wrong."""

    @property
    def rank(self) -> int:
        """0 for an error, higher for the milder ones: sort key, worst first."""
        return (Severity.ERROR, Severity.WARNING, Severity.INFO).index(self)


class Code:
    """The codes of all findings, one constant each."""

    INTERNAL = "IST0001"
    REFERENCED_RESOURCE_NOT_FOUND = "IST0101"
    SCHEMA_VALIDATION_ERROR = "IST0106"
    MISPLACED_ANNOTATION = "IST0107"
    CONFLICTING_VIRTUAL_SERVICE_HOSTS = "IST0109"
    MTLS_POLICY_CONFLICT = "IST0113"
    PORT_NAME_NOT_UNDER_CONVENTION = "IST0118"
    JWT_FAILURE_DUE_TO_INVALID_SERVICE_PORT_PREFIX = "IST0119"
    DEPRECATED = "IST0135"
    VIRTUAL_SERVICE_UNREACHABLE_RULE = "IST0130"
    VIRTUAL_SERVICE_INEFFECTIVE_MATCH = "IST0131"
    VIRTUAL_SERVICE_HOST_NOT_FOUND_IN_GATEWAY = "IST0132"
    SCHEMA_WARNING = "IST0133"
    SERVICE_ENTRY_ADDRESSES_REQUIRED = "IST0134"
    CONFLICTING_GATEWAYS = "IST0145"
    INVALID_WEIGHTS = "IST0106"
    UNKNOWN_DESTINATION_RULE_HOST = "IST0174"
    SUBSET_SELECTS_NO_PODS = "IST0173"
    # Weft's own
    MALFORMED_YAML = "WEFT0001"
    UNKNOWN_KIND = "WEFT0002"
    DUPLICATE_OBJECT = "WEFT0003"
    UNSUPPORTED_FIELD = "WEFT0004"
    SHADOWED_DESTINATION_RULE = "WEFT0005"
    LOCALITY_WITHOUT_OUTLIER_DETECTION = "WEFT0006"
    INEFFECTIVE_SELECTOR = "WEFT0007"
    HTTP_ATTRIBUTE_ON_TCP_PORT = "WEFT0008"
    FAULT_NEVER_FIRES = "WEFT0009"
    REJECTED_BY_ENVOY = "WEFT0010"
    DESTINATION_RULE_SHADOWS_PORT = "WEFT0011"
    DUPLICATE_KEY = "WEFT0012"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where an object was read: a file and the line its document starts at (1-based), or nothing for the API server."""

    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ObjectRef:
    """Which object: kind, namespace and name. A cluster-scoped object has an empty namespace."""

    kind: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        """`VirtualService default/reviews`, as log lines and tables show it."""
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {where}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding about one object.

    `path` is the field path as kubectl writes it (`spec.http[0].route[1].weight`), empty for the whole object. `fix`
    says what to write instead, in the imperative, empty only where there is nothing to be done.
    """

    code: str
    severity: Severity
    object: ObjectRef
    path: str = ""
    message: str
    fix: str = ""
    source: Source = Source()

    def at(self, source: Source) -> Self:
        """The same problem, found in `source`."""
        return replace(self, source=source)

    def __str__(self) -> str:
        """One line for a terminal: `file:12: error IST0106 VirtualService default/a spec.http: message. fix`."""
        where = f"{self.source.file}:{self.source.line}: " if self.source.file else ""
        parts = [f"{self.severity} {self.code}", str(self.object), self.path]
        tail = f" → {self.fix}" if self.fix else ""
        return f"{where}{' '.join(p for p in parts if p)}: {self.message}{tail}"


def by_severity(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Worst first, then by file, line, object and path: the order in which every surface shows them."""
    return tuple(
        sorted(
            set(problems),
            key=lambda p: (p.severity.rank, p.source.file, p.source.line, p.object, p.path, p.code, p.message),
        )
    )
