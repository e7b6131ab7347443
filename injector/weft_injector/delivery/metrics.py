"""Metrics of certificates, under Istio's names where they say the same."""

from collections.abc import Callable, Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import Metric, UntypedMetricFamily
from prometheus_client.registry import Collector

from weft_injector.ca.authority import Authority


class CertificateMetrics(Collector):
    """What was asked for, what was issued, and when the root expires.

    `citadel_server_root_cert_expiry_timestamp`, `citadel_server_csr_count` and
    `citadel_server_success_cert_issuance_count` are Istio's; the counters lack prometheus_client's `_total`, which is
    why they are collected by hand.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = 0
        self._successes = 0
        self.issued = Counter(
            "weft_certificates_issued", "Certificates issued, by the way they travel.", ("delivery",), registry=registry
        )
        self.refused = Counter(
            "weft_certificates_refused", "Requests for a certificate refused.", ("reason",), registry=registry
        )
        self.failed = Counter(
            "weft_certificate_failures",
            "Writes and renewals that failed and are tried again.",
            ("what",),
            registry=registry,
        )
        self._root = Gauge(
            "citadel_server_root_cert_expiry_timestamp", "Unix time at which the root expires.", registry=registry
        )
        self._root_seconds = Gauge(
            "citadel_server_root_cert_expiry_seconds", "Seconds until the root expires.", registry=registry
        )
        self._root_fault = Gauge(
            "weft_root_faults", "1 while the root's Secret cannot be used and an older root serves.", registry=registry
        )
        registry.register(self)

    def asked(self) -> None:
        """Count a request for a certificate."""
        self._requests += 1

    def answered(self, delivery: str) -> None:
        """Count an issued certificate; `delivery` is podCertificates, secrets or serving."""
        self._successes += 1
        self.issued.labels(delivery).inc()

    def root(self, authority: Authority, now: Callable[[], datetime]) -> None:
        """Show this root's expiry from now on."""
        expiry = authority.expires_at
        self._root.set(expiry.timestamp())

        def left() -> float:
            return (expiry - now()).total_seconds()

        self._root_seconds.set_function(left)

    def root_fault(self, *, present: bool) -> None:
        """Show whether the root's Secret is unusable."""
        self._root_fault.set(1 if present else 0)

    def collect(self) -> Iterator[Metric]:
        """The counters without `_total`."""
        for name, documentation, value in (
            ("citadel_server_csr_count", "Requests for a workload's certificate.", self._requests),
            ("citadel_server_success_cert_issuance_count", "Workload certificates issued.", self._successes),
        ):
            yield UntypedMetricFamily(name, documentation, value=value)
