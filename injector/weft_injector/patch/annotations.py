"""A pod's annotations about its sidecar: Istio's names, and Weft's own spelling of the same.

`sidecar.istio.io/proxyCPU` may be written `weft.dev/proxyCPU`, and so may all options; Weft's spelling wins where a pod
has both. A value that can't be read refuses the pod: its author asked for something, and to guess at it could cost
memory, traffic or protection. A name that nobody reads is a warning.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from weft_core.injection import INJECT, ISTIO_INJECT, REVISION_LABEL
from weft_core.model.base import nearest
from weft_core.model.mistake import describe, one_line
from weft_core.offline import TEMPLATES_ANNOTATION
from weft_core.problems import Code, ObjectRef, Problem, Severity
from weft_injector.capture.annotations import NAMES as TRAFFIC_NAMES
from weft_injector.capture.annotations import PREFIX as TRAFFIC
from weft_injector.capture.annotations import REROUTE

OWN: Final = "weft.dev/"
SIDECAR: Final = "sidecar.istio.io/"
READINESS: Final = "readiness.status.sidecar.istio.io/"
STATUS: Final = f"{SIDECAR}status"
"""What the injector added, as JSON; also the mark of a pod that has its sidecar."""
SKIPPED: Final = f"{OWN}injection-skipped"
"""Why a pod has no sidecar although it, or its namespace, asks for one."""
PROXY_CONFIG: Final = "proxy.istio.io/config"
MERGE_METRICS: Final = "prometheus.istio.io/merge-metrics"
"""Whether Prometheus is to be led to the proxy."""
REWRITE_PROBES: Final = f"{SIDECAR}rewriteAppHTTPProbers"
BEFORE_PROXY: Final = f"{SIDECAR}init-containers-before-proxy"
"""Names of init containers that are to start before the proxy does."""
BOOLEAN_FIX: Final = 'write "true" or "false"'

_READ: Final = (
    *("proxyCPU", "proxyCPULimit", "proxyMemory", "proxyMemoryLimit", "proxyImage", "logLevel", "componentLogLevel"),
    *("rewriteAppHTTPProbers", "nativeSidecar", "interceptionMode", "init-containers-before-proxy"),
    *("userVolume", "userVolumeMount"),
)
_WITHOUT_EFFECT: Final = (
    *("agentLogLevel", "bootstrapOverride", "capNetBindService", "controlPlaneAuthPolicy", "discoveryAddress"),
    *("enableCoreDump", "extraStatTags", "proxyImageType", "statsCompression", "statsEvictionInterval"),
    *("statsFlushInterval", "statsHistogramBins", "statsHistogramBuckets", "statsInclusionPrefixes"),
    *("statsInclusionRegexps", "statsInclusionSuffixes"),
)
_READINESS: Final = ("initialDelaySeconds", "periodSeconds", "failureThreshold")
_OTHERS_WITHOUT_EFFECT: Final = frozenset(
    {
        "status.sidecar.istio.io/port",
        "proxy.istio.io/overrides",
        f"{READINESS}applicationPorts",
        "prometheus.istio.io/scrape-targets",
        "prometheus.istio.io/secure-port",
    }
)
_NOT_OPTIONS: Final = frozenset({INJECT, REVISION_LABEL, SKIPPED, ISTIO_INJECT, STATUS, TEMPLATES_ANNOTATION})
_PREFIXES: Final = (
    *(OWN, SIDECAR, READINESS, "status.sidecar.istio.io/"),
    *("proxy.istio.io/", "inject.istio.io/", "prometheus.istio.io/"),
)
"""Whose names are all known, save for Weft's, which has some that are about other things."""
_TRUE: Final = frozenset({"1", "t", "true", "y", "yes", "on"})
_FALSE: Final = frozenset({"0", "f", "false", "n", "no", "off"})

_T = TypeVar("_T")


def _names() -> Iterator[str]:
    """Names of options, as Istio writes them. The template is none: a gateway is known everywhere by Istio's name."""
    yield from (f"{SIDECAR}{name}" for name in _READ)
    yield from (f"{READINESS}{name}" for name in _READINESS)
    yield from TRAFFIC_NAMES
    yield from (PROXY_CONFIG, MERGE_METRICS)


_OWN_SPELLING: Final[Mapping[str, str]] = {f"{OWN}{name.rpartition('/')[2]}": name for name in _names()}
"""`weft.dev/…` to Istio's name."""
_KNOWN: Final = frozenset(_OWN_SPELLING.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotations:
    """A pod's annotations by Istio's names, and what is found wrong with them while they are read."""

    pod: ObjectRef
    values: Mapping[str, str]
    written: Mapping[str, str]
    """How the pod spells a name, where it does not spell it as Istio."""
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def of(cls, annotations: Mapping[str, str], pod: ObjectRef) -> "Annotations":
        """Read the spellings."""
        own = {_OWN_SPELLING[name]: value for name, value in annotations.items() if name in _OWN_SPELLING}
        written = {_OWN_SPELLING[name]: name for name in annotations if name in _OWN_SPELLING}
        found = cls(pod=pod, values={**annotations, **own}, written=written)
        for name in sorted(annotations):
            found._look_at(name)
        return found

    def read(self, name: str, reader: Callable[[str], _T], fix: str, default: _T) -> _T:
        """The value as `reader` gives it, or the default, also where a chart rendered an empty value.

        A reader raises ValueError with what is wrong.
        """
        text = self.values.get(name, "").strip()
        if not text:
            return default
        try:
            return reader(text)
        except ValueError as error:
            self.refuse(name, str(error), fix)
            return default

    def refuse(self, name: str, message: str, fix: str) -> None:
        """Note an error: the pod will be refused."""
        self._report(Code.SCHEMA_VALIDATION_ERROR, Severity.ERROR, name, message, fix)

    def warn(self, name: str, message: str, fix: str, code: str = Code.SCHEMA_WARNING) -> None:
        """Note what has no effect."""
        self._report(code, Severity.WARNING, name, message, fix)

    def refuses(self, name: str) -> bool:
        """Whether an error has been noted about this one."""
        path = one_line(self.path(name))
        return any(problem.path == path and problem.severity is Severity.ERROR for problem in self.problems)

    def traffic(self) -> dict[str, str]:
        """What the pod itself says of capture, Weft's spellings included."""
        return {name: value for name, value in self.values.items() if name.startswith(TRAFFIC) or name == REROUTE}

    def path(self, name: str) -> str:
        """The field's path, as the pod spells it."""
        return f"metadata.annotations[{self.written.get(name, name)}]"

    def _look_at(self, name: str) -> None:
        """Whoever wrote an annotation that nobody reads expects something of it."""
        if name in _KNOWN or name in _OWN_SPELLING or name in _NOT_OPTIONS or name.startswith(TRAFFIC):
            return
        prefix, _, rest = name.rpartition("/")
        if name in _OTHERS_WITHOUT_EFFECT or (f"{prefix}/" == SIDECAR and rest in _WITHOUT_EFFECT):
            self.warn(
                name, "Weft does not support this annotation; it has no effect", "remove it", Code.UNSUPPORTED_FIELD
            )
        elif f"{prefix}/" in _PREFIXES:
            names = (*_KNOWN, *_OWN_SPELLING, TEMPLATES_ANNOTATION)
            known = [other for other in names if other.startswith(f"{prefix}/")]
            guess = nearest(rest, [other.rpartition("/")[2] for other in known])
            if guess or f"{prefix}/" != OWN:  # for local mode, say
                fix = f"write {prefix}/{guess}" if guess else "remove it"
                self.warn(name, "no annotation has this name; it has no effect", fix)

    def _report(self, code: str, severity: Severity, name: str, message: str, fix: str) -> None:
        self.problems.append(
            Problem(
                code=code,
                severity=severity,
                object=self.pod,
                path=one_line(self.path(name)),
                message=one_line(message),
                fix=fix,
            )
        )


def is_option(name: str) -> bool:
    """Whether injection reads an annotation of this name."""
    return name in _KNOWN or name in _OWN_SPELLING or name == TEMPLATES_ANNOTATION


def boolean(text: str) -> bool:
    """`true` or `false`, or what Go and YAML take for one. Raises ValueError."""
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"`{describe(text)}` is no boolean")
    return word in _TRUE


def whole_number(text: str) -> int:
    """A number that is not negative. Raises ValueError."""
    if not (text.isascii() and text.isdecimal() and len(text) < 7):
        raise ValueError(f"`{describe(text)}` is not a whole number")
    return int(text)
