"""What was measured of a control plane, and the table that sets several side by side."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Delays of single changes, from the request to the API server to the last sidecar, and what one costs."""

    delays: tuple[float, ...]
    cpu: float
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one process did, in seconds, MiB and bytes; `load` is the machine's average at its end."""

    ready: float
    ready_cpu: float
    ready_memory: int
    synchronised: float
    synchronised_cpu: float
    synchronised_bytes: int
    settled_cpu: float
    settled_memory: int
    endpoint: Change
    route: Change
    memory: int
    rest_cpu: float
    load: float


def table(rounds: Mapping[str, Sequence[Round]]) -> str:
    """A line for each figure: each program's median over the rounds and their range, then the ratios to the first."""
    lines = [f"{'':38}" + "".join(f"{title:>26}" for title in rounds)]
    for what, unit, figure in _FIGURES:
        found = [[figure(each) for each in several] for several in rounds.values()]
        medians = [statistics.median(each) for each in found]
        cells = [f"{m:,.4g} ({min(f):,.4g} – {max(f):,.4g})" for m, f in zip(medians, found, strict=True)]
        ratios = ", ".join(f"{m / medians[0]:.2f}" if medians[0] else "-" for m in medians[1:])
        lines.append(f"{what + ', ' + unit:38}" + "".join(f"{cell:>26}" for cell in cells) + f"   x {ratios}")
    return "\n".join(lines)


_FIGURES: tuple[tuple[str, str, Callable[[Round], float]], ...] = (
    ("start to ready", "s", lambda r: r.ready),
    ("start to ready, CPU", "s", lambda r: r.ready_cpu),
    ("memory when ready", "MiB", lambda r: r.ready_memory),
    ("first synchronisation", "s", lambda r: r.synchronised),
    ("first synchronisation, CPU", "s", lambda r: r.synchronised_cpu),
    ("first synchronisation", "MB", lambda r: r.synchronised_bytes / 1e6),
    ("start until settled, CPU", "s", lambda r: r.settled_cpu),
    ("memory when settled", "MiB", lambda r: r.settled_memory),
    ("endpoint, median", "ms", lambda r: statistics.median(r.endpoint.delays) * 1e3),
    ("endpoint, slowest", "ms", lambda r: max(r.endpoint.delays) * 1e3),
    ("endpoint, CPU", "ms", lambda r: r.endpoint.cpu * 1e3),
    ("endpoint", "kB", lambda r: r.endpoint.bytes / 1e3),
    ("VirtualService, median", "ms", lambda r: statistics.median(r.route.delays) * 1e3),
    ("VirtualService, slowest", "ms", lambda r: max(r.route.delays) * 1e3),
    ("VirtualService, CPU", "ms", lambda r: r.route.cpu * 1e3),
    ("VirtualService", "kB", lambda r: r.route.bytes / 1e3),
    ("memory at the end", "MiB", lambda r: r.memory),
    ("CPU at rest", "% of a core", lambda r: r.rest_cpu * 1e2),
    ("load average", "", lambda r: r.load),
)
