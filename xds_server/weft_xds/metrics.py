"""The server's metrics, under Istio's names where they count the same.

Istio's counters do not end in `_total`, and prometheus_client's always do. So those are exposed by a collector of
their own, and people's dashboards and alerts go on working.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric, UntypedMetricFamily
from prometheus_client.registry import Collector

from weft_xds.types import SHORT

CONVERGENCE_BUCKETS: Final = (0.01, 0.03, 0.1, 0.5, 1, 3, 5, 10, 20, 30)
"""Istio's, and two below them: seconds."""

OTHER: Final = "other"
"""The label of types that Weft does not serve."""


class XdsMetrics(Collector):
    """`pilot_xds`, `pilot_xds_pushes`, `pilot_total_xds_rejects`, `pilot_proxy_convergence_time`, and bytes sent."""

    def __init__(self, registry: CollectorRegistry, streams: Callable[[], int]) -> None:
        self._streams = streams
        self._pushes: defaultdict[str, int] = defaultdict(int)
        self._rejects: defaultdict[str, int] = defaultdict(int)
        self._convergence = Histogram(
            "pilot_proxy_convergence_time",
            "Seconds from a change until a proxy has ACKed all that follows from it.",
            buckets=CONVERGENCE_BUCKETS,
            registry=registry,
        )
        sent = Counter(
            "weft_xds_sent_bytes", "Bytes of discovery responses, before encryption.", ("type",), registry=registry
        )
        self._bytes = {kind: sent.labels(kind) for kind in (*SHORT.values(), OTHER)}
        registry.register(self)

    def pushed(self, type_url: str, size: int) -> None:
        """Count a response of `size` bytes."""
        kind = SHORT.get(type_url, OTHER)
        self._pushes[kind] += 1
        self._bytes[kind].inc(size)

    def rejected(self, type_url: str) -> None:
        """Count a NACK."""
        self._rejects[SHORT.get(type_url, OTHER)] += 1

    def converged(self, seconds: float) -> None:
        """Note how long a proxy took to have everything."""
        self._convergence.observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """The current values, for the registry."""
        yield GaugeMetricFamily("pilot_xds", "Proxies connected to this replica over xDS.", value=self._streams())
        for name, documentation, values in (
            ("pilot_xds_pushes", "Discovery responses sent, by type.", self._pushes),
            ("pilot_total_xds_rejects", "Discovery responses that a proxy refused, by type.", self._rejects),
        ):
            family = UntypedMetricFamily(name, documentation, labels=("type",))
            for kind, value in values.items():
                family.add_metric((kind,), value)
            yield family
