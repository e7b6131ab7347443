"""The watch over coverage: an Event on each pod that lacks its sidecar, and a gauge by namespace."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Gauge

from weft_core.registry import Key, Registry
from weft_kube.resource import PODS
from weft_operator.coverage.uncovered import Scope, uncovered
from weft_operator.events import EventRecorder, Happening

INTERVAL: Final = 5.0
"""Seconds between two looks. One costs what has changed since."""
REASON: Final = "SidecarMissing"

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class CoverageWatch:
    """Looks at all pods now and then.

    `scope` is asked each time, as settings may change; `commit` is called before the registry is read. Every replica
    counts, the leader alone tells.
    """

    def __init__(
        self,
        registry: Registry,
        scope: Callable[[], Scope],
        commit: Callable[[], None],
        *,
        metrics: CollectorRegistry,
    ) -> None:
        self._registry = registry
        self._scope = scope
        self._commit = commit
        self._told: set[str] = set()
        self._gauge = Gauge(
            "weft_pods_without_sidecar",
            "Pods that should have a sidecar and have none.",
            ("namespace",),
            registry=metrics,
        )

    def look(self) -> tuple[tuple[Key, str], ...]:
        """Count once; the pods that lack a sidecar, with who asks for it."""
        self._commit()
        found = uncovered(self._registry, self._scope())
        self._gauge.clear()
        for namespace, count in Counter(key[0] for key, _ in found).items():
            self._gauge.labels(namespace).set(count)
        return found

    async def count(self) -> None:
        """Keep the metric true, on any replica, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(INTERVAL)

    async def mark(self, recorder: EventRecorder) -> None:
        """Tell of each pod once, on the leader, until cancelled."""
        while True:
            self.tell(recorder)
            await asyncio.sleep(INTERVAL)

    def tell(self, recorder: EventRecorder) -> None:
        """An Event for each pod that was not told of yet."""
        uids: set[str] = set()
        for (namespace, name), reason in self.look():
            pod = self._registry.pods.peek((namespace, name))
            if pod is None:
                continue
            uid = pod.metadata.uid
            uids.add(uid)
            if uid in self._told:
                continue
            _log.warning("pod_without_sidecar", namespace=namespace, name=name, wanted_by=reason)
            note = f"The pod should have a sidecar ({reason}) and has none. Restart it while the webhook answers."
            recorder.happened(
                Happening(
                    resource=PODS,
                    namespace=namespace,
                    name=name,
                    uid=uid,
                    reason=REASON,
                    note=note,
                    action="Injecting",
                )
            )
        self._told = uids
