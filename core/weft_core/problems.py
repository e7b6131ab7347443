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
    """The codes of all findings, one constant each. A code is never given another meaning: people suppress by them."""

    DEPRECATED = "IST0002"
    """A field that has a successor is used."""
    REFERENCED_RESOURCE_NOT_FOUND = "IST0101"
    """A host, subset, port, gateway or delegate is named that nobody defines."""
    SCHEMA_VALIDATION_ERROR = "IST0106"
    """The schema refuses the object: an unknown field, a wrong type, a value out of range."""
    MISPLACED_ANNOTATION = "IST0107"
    """An annotation or label is about another kind of object than the one that has it."""
    CONFLICTING_VIRTUAL_SERVICE_HOSTS = "IST0109"
    """Two VirtualServices have a host in sidecars, which take it from one of them alone."""
    CONFLICTING_SIDECAR_SELECTORS = "IST0110"
    """Two Sidecars select the same pods, for which one of them is in force alone."""
    MULTIPLE_SIDECARS_WITHOUT_SELECTOR = "IST0111"
    """A namespace has two Sidecars without selector, of which one is in force alone."""
    DESTINATION_PORT_REQUIRED = "IST0112"
    """A gateway's route to a service of several ports does not say which one."""
    MTLS_POLICY_CONFLICT = "IST0113"
    """Clients are told to use, or not to use, mutual TLS where the other side takes only the opposite."""
    PORT_NAME_NOT_UNDER_CONVENTION = "IST0118"
    """A port's name does not tell its protocol, which is therefore detected from the first bytes."""
    JWT_ON_TCP_PORT = "IST0119"
    """Tokens are demanded at a port that does not speak HTTP, where nobody can present one."""
    NO_MATCHING_WORKLOADS = "IST0127"
    """A selector picks no pod."""
    VIRTUAL_SERVICE_UNREACHABLE_RULE = "IST0130"
    """An earlier rule of the VirtualService takes all that this one could."""
    VIRTUAL_SERVICE_INEFFECTIVE_MATCH = "IST0131"
    """An earlier match of the VirtualService is the same."""
    VIRTUAL_SERVICE_HOST_NOT_FOUND_IN_GATEWAY = "IST0132"
    """No server of the Gateway has the VirtualService's hosts."""
    SCHEMA_WARNING = "IST0133"
    """Valid, and without effect, or surprising by itself."""
    SERVICE_ENTRY_ADDRESSES_REQUIRED = "IST0134"
    """A TCP port without addresses: it takes all traffic to this port number."""
    CONFLICTING_GATEWAYS = "IST0145"
    """A Gateway's server is left out, because an older one has the port, and the two don't go together."""
    CLAIM_ROUTE_WITHOUT_AUTHENTICATION = "IST0149"
    """A VirtualService routes by a token's claims at a gateway where no RequestAuthentication verifies tokens."""
    EXTERNAL_NAME_PORT = "IST0150"
    """An ExternalName Service with a port that is not HTTP: connections can't be told to be for it."""
    GATEWAY_PORT_NOT_ON_SERVICE = "IST0162"
    """A Gateway's server listens on a port that no Service in front of its pods has."""
    SUBSET_SELECTS_NO_PODS = "IST0173"
    """A DestinationRule's subset picks none of the service's endpoints."""
    UNKNOWN_DESTINATION_RULE_HOST = "IST0174"
    """A DestinationRule's host is no service's."""
    MALFORMED_YAML = "WEFT0001"
    """A document is not YAML, or no object."""
    UNKNOWN_KIND = "WEFT0002"
    """An object of a kind or version that Weft does not read."""
    DUPLICATE_OBJECT = "WEFT0003"
    """Two objects have the same kind, namespace and name."""
    UNSUPPORTED_FIELD = "WEFT0004"
    """A field of Istio's that Weft reads and does not act upon."""
    SHADOWED_DESTINATION_RULE = "WEFT0005"
    """Another DestinationRule takes this one, or part of it, out of force."""
    LOCALITY_WITHOUT_OUTLIER_DETECTION = "WEFT0006"
    """Locality failover is asked for, and no endpoint is ever found unhealthy."""
    INEFFECTIVE_SELECTOR = "WEFT0007"
    """A selector stands where selectors are ignored, or is missing where a field has no effect without one."""
    HTTP_ATTRIBUTE_ON_TCP_PORT = "WEFT0008"
    """An AuthorizationPolicy asks for an attribute of HTTP requests, of traffic that is not HTTP."""
    FAULT_NEVER_FIRES = "WEFT0009"
    """A fault without a percentage."""
    REJECTED_BY_ENVOY = "WEFT0010"
    """Some Envoy refused a resource that was made from the object."""
    DESTINATION_RULE_SHADOWS_PORT = "WEFT0011"
    """A port-level policy replaces blocks of the policy above it, which it does not repeat."""
    DUPLICATE_KEY = "WEFT0012"
    """A key occurs twice in a mapping."""
    SHADOWED_POLICY = "WEFT0013"
    """An older policy for the same workloads is in force alone."""
    ALLOWS_NOTHING = "WEFT0014"
    """An ALLOW policy without rules: all is refused that no other one allows."""
    CLAIMS_WITHOUT_AUTHENTICATION = "WEFT0015"
    """An AuthorizationPolicy asks for a token's claims, and no RequestAuthentication verifies tokens."""
    EGRESS_HOST_MATCHES_NOTHING = "WEFT0016"
    """A host in a Sidecar's egress is no service's."""
    SELECTED_BY_NOTHING = "WEFT0017"
    """A WorkloadEntry is no endpoint of any service."""
    SHADOWED_SERVICE = "WEFT0018"
    """A ServiceEntry, or part of it, is out of force, because another object declares the same host."""
    UNKNOWN_EXTERNAL_NAME = "WEFT0019"
    """An ExternalName Service is another name of a host that the mesh does not know."""
    UNREADABLE_POLICY = "WEFT0020"
    """A security policy can't be read and has no earlier version: what it is about is closed until it can be."""
    UNUSED_DELEGATE = "WEFT0021"
    """A VirtualService without hosts, to which no other one delegates."""


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
