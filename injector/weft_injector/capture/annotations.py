"""A pod's `traffic.sidecar.istio.io/*` annotations, read into capture settings.

One about virtual machines has two names, of which the later one stands under `istio.io/`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from weft_core.problems import Code, ObjectRef, Problem, Severity
from weft_injector.capture.settings import CaptureSettings, check_interface, parse_network, parse_port

PREFIX = "traffic.sidecar.istio.io/"
REROUTE = "istio.io/reroute-virtual-interfaces"
_MACHINES = "kubevirtInterfaces"
_KNOWN = (
    "excludeInboundPorts",
    "excludeInterfaces",
    "excludeOutboundIPRanges",
    "excludeOutboundPorts",
    "includeInboundPorts",
    "includeOutboundIPRanges",
    "includeOutboundPorts",
    _MACHINES,
)
NAMES = (*(PREFIX + name for name in _KNOWN), REROUTE)
"""All annotations that are read here."""

_PORTS = "write ports between 1 and 65535, separated by commas"
_CIDRS = "write CIDRs such as 10.0.0.0/8 or fd00::/8, separated by commas"
_INTERFACES = "write the names of interfaces in full, such as eth1, separated by commas"
_OR_ALL = ', or "*" alone for all'

_T = TypeVar("_T")


def capture_settings(
    annotations: Mapping[str, str], *, pod: ObjectRef
) -> tuple[CaptureSettings | None, tuple[Problem, ...]]:
    """The settings that a pod's annotations ask for, and all that is wrong with them.

    The settings are None if a problem is an error: to guess at them could leave traffic outside of the mesh that its
    owner believes to be inside. A name that does not exist is only a warning, as everything is captured by default.
    """
    reader = _Reader(annotations=annotations, pod=pod)
    include_cidrs = reader.all_or("includeOutboundIPRanges", parse_network, _CIDRS)
    exclude_cidrs = reader.items("excludeOutboundIPRanges", parse_network, _CIDRS)
    include_ports = reader.items("includeOutboundPorts", parse_port, _PORTS)
    exclude_ports = reader.items("excludeOutboundPorts", parse_port, _PORTS)
    include_inbound = reader.all_or("includeInboundPorts", parse_port, _PORTS)
    exclude_inbound = reader.items("excludeInboundPorts", parse_port, _PORTS)
    interfaces = reader.items("excludeInterfaces", check_interface, _INTERFACES)
    machines = (
        *reader.items(_MACHINES, check_interface, _INTERFACES),
        *reader.items(REROUTE, check_interface, _INTERFACES),
    )
    reader.other_names()
    problems = tuple(reader.problems)
    if any(problem.severity is Severity.ERROR for problem in problems):
        return None, problems
    settings = CaptureSettings(
        include_outbound_cidrs=include_cidrs,
        exclude_outbound_cidrs=exclude_cidrs,
        include_outbound_ports=frozenset(include_ports),
        exclude_outbound_ports=frozenset(exclude_ports),
        include_inbound_ports=None if include_inbound is None else frozenset(include_inbound),
        exclude_inbound_ports=frozenset(exclude_inbound),
        exclude_interfaces=frozenset(interfaces),
        reroute_interfaces=frozenset(machines),
    )
    return settings, problems


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Reads annotations one by one, and gathers what is wrong with them."""

    annotations: Mapping[str, str]
    pod: ObjectRef
    problems: list[Problem] = field(default_factory=list)

    def all_or(self, name: str, read: Callable[[str], _T], fix: str) -> tuple[_T, ...] | None:
        """None for `*` and where the annotation is missing; the empty value is the empty list."""
        if self.annotations.get(_full(name), "*").strip() == "*":
            return None
        return self.items(name, read, fix + _OR_ALL)

    def items(self, name: str, read: Callable[[str], _T], fix: str) -> tuple[_T, ...]:
        """A comma-separated list, without the items that `read` refuses."""
        items: list[_T] = []
        for text in self.annotations.get(_full(name), "").split(","):
            if item := text.strip():
                try:
                    items.append(read(item))
                except ValueError as error:
                    self._report(Code.SCHEMA_VALIDATION_ERROR, Severity.ERROR, name, str(error), fix)
        return tuple(items)

    def other_names(self) -> None:
        """Whoever wrote an annotation that nobody reads expects something of it."""
        for name in sorted(key.removeprefix(PREFIX) for key in self.annotations if key.startswith(PREFIX)):
            if name not in _KNOWN:
                message = "no annotation has this name; it has no effect"
                fix = f"use one of {', '.join(_KNOWN)}"
                self._report(Code.SCHEMA_WARNING, Severity.WARNING, name, message, fix)

    def _report(self, code: str, severity: Severity, name: str, message: str, fix: str) -> None:
        path = f"metadata.annotations[{_full(name)}]"
        problem = Problem(code=code, severity=severity, object=self.pod, path=path, message=message, fix=fix)
        self.problems.append(problem)


def _full(name: str) -> str:
    return name if "/" in name else PREFIX + name
