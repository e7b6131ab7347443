"""Metrics of ingest: what arrives from the API server, and whether the copy is complete."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge


class IngestMetrics:
    """Counters by kind. The kinds are fixed, so that the number of series is too."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.events = Counter(
            "weft_ingest_events",
            "Objects that came from the API server: put, deleted, vanished between two lists, or rejected.",
            ["kind", "type"],
            registry=registry,
        )
        self._synced = Gauge(
            "weft_ingest_synced", "1 once a kind has had its first full list.", ["kind"], registry=registry
        )
        self._listed = Gauge(
            "weft_ingest_last_sync_timestamp_seconds",
            "When a kind's last full list was complete, in seconds since 1970.",
            ["kind"],
            registry=registry,
        )
        self._restarts = Counter(
            "weft_ingest_watch_restarts",
            "Watches that did not simply go on, by reason: gone, unavailable, forbidden, unauthenticated, failed.",
            ["kind", "reason"],
            registry=registry,
        )

    def expected(self, kind: str) -> None:
        """A kind that is going to be read."""
        self._synced.labels(kind).set(0)

    def listed(self, kind: str) -> None:
        """A full list of a kind is complete."""
        self._synced.labels(kind).set(1)
        self._listed.labels(kind).set(time.time())

    def restarted(self, kind: str, reason: str) -> None:
        """A watch of a kind was cut off."""
        self._restarts.labels(kind, reason).inc()
