"""The mesh-wide settings: the ConfigMap of this revision, watched, and applied as it changes.

Key `mesh` is a MeshConfig and goes into the registry; key `injection` is the injector's, and is handed on as text. What
has an error leaves the last good version in force. Without the ConfigMap all settings have their defaults.
"""

from collections.abc import Callable, Collection
from typing import Final

import structlog

from weft_core.load.mesh import mesh_config_of
from weft_core.model.kubernetes import ConfigMap
from weft_core.problems import Problem, Source
from weft_core.registry import MESH, Registry
from weft_kube.listwatch import Key
from weft_operator.ingest.metrics import IngestMetrics

KIND: Final = "ConfigMap"
INJECTION_KEY: Final = "injection"

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class SettingsSink:
    """Takes in the one ConfigMap `key` (namespace and name).

    `injection` is given the text under the key of that name whenever it changes, None where there is none. `tell` is
    given what is wrong with the MeshConfig, all of it at each change: nothing where all is well.
    """

    def __init__(
        self,
        registry: Registry,
        key: Key,
        *,
        changed: Callable[[], None],
        injection: Callable[[str | None], None],
        tell: Callable[[tuple[Problem, ...]], None],
        metrics: IngestMetrics,
    ) -> None:
        self._registry = registry
        self._key = key
        self._changed = changed
        self._injection = injection
        self._tell = tell
        self._metrics = metrics
        self._texts: tuple[str | None, str | None] = (None, None)
        """The texts of `mesh` and `injection` that were applied last."""
        metrics.expected(KIND)

    def put(self, row: ConfigMap) -> None:
        """The ConfigMap as it is now."""
        if (row.namespace, row.name) == self._key:
            self._metrics.events.labels(KIND, "put").inc()
            self._apply(row)

    def remove(self, key: Key) -> None:
        """The ConfigMap was deleted."""
        if key == self._key:
            self._metrics.events.labels(KIND, "deleted").inc()
            self._apply(ConfigMap())

    def retain(self, keys: Collection[Key]) -> None:
        """A list is complete: it may be that there is no ConfigMap."""
        if self._key not in keys:
            self._apply(ConfigMap())
        self._metrics.listed(KIND)

    def _apply(self, row: ConfigMap) -> None:
        data = row.data or {}
        before, self._texts = self._texts, (data.get("mesh"), data.get(INJECTION_KEY))
        if before[0] != self._texts[0]:
            self._apply_mesh(row)
        if before[1] != self._texts[1]:
            self._injection(self._texts[1])

    def _apply_mesh(self, row: ConfigMap) -> None:
        loaded = mesh_config_of(row, Source())
        self._tell(loaded.problems)
        if loaded.config is None:
            _log.error("mesh_config_refused", namespace=self._key[0], name=self._key[1], effect="the last one stays")
            self._metrics.events.labels(KIND, "rejected").inc()
            return
        self._registry.mesh_config.put(MESH, loaded.config)
        self._changed()
