"""All of ingest, put together: everything that the control plane reads from the API server."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import structlog
from prometheus_client import CollectorRegistry

from weft_core.model.kinds import MESH_KINDS
from weft_core.model.kubernetes import ConfigMap
from weft_core.problems import Problem
from weft_core.registry import Registry
from weft_kube.client import Api
from weft_kube.listwatch import Reflector
from weft_kube.login import Login
from weft_kube.resource import CONFIG_MAPS, Resource
from weft_operator.ingest.barrier import Barrier
from weft_operator.ingest.kubernetes import reflectors
from weft_operator.ingest.mesh import MeshIngest
from weft_operator.ingest.metrics import IngestMetrics
from weft_operator.ingest.report import Observations
from weft_operator.ingest.settings import KIND as SETTINGS
from weft_operator.ingest.settings import SettingsSink

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestOptions:
    """What is read. `namespace` and `name` are those of the ConfigMap with the settings of this revision.

    `credentials_namespaces` are those whose Secrets gateways and DestinationRules may refer to, `*` for all.
    """

    namespace: str
    name: str = "weft"
    revision: str = "default"
    credentials_namespaces: tuple[str, ...] = ("*",)
    resync: float = 120.0
    """Seconds between two lists of each mesh kind, beside its watch."""
    poll: float = 5.0
    """Seconds between two looks for a mesh kind whose CRD is missing."""


class Ingest:
    """Fills a registry from the API server, and keeps it.

    `changed` is called after writes, many times for many (it should gather them, as `Fanout.schedule` does), but not
    before the registry is complete: then `barrier` opens, and only then may anybody be served from it. `injection` is
    given the text of the injector's settings, `settings_problems` all that is wrong with the MeshConfig, each at every
    change.
    """

    def __init__(
        self,
        api: Api,
        login: Login,
        registry: Registry,
        options: IngestOptions,
        *,
        changed: Callable[[], None],
        injection: Callable[[str | None], None],
        settings_problems: Callable[[tuple[Problem, ...]], None],
        metrics: CollectorRegistry | None = None,
    ) -> None:
        self.observations = Observations()
        self._changed = changed
        counted = IngestMetrics(metrics)
        self._reflectors = {
            SETTINGS: Reflector(
                api,
                CONFIG_MAPS,
                ConfigMap,
                SettingsSink(
                    registry,
                    (options.namespace, options.name),
                    changed=self._written,
                    injection=injection,
                    tell=settings_problems,
                    metrics=counted,
                ),
                namespace=options.namespace,
                fields=f"metadata.name={options.name}",
                restarted=lambda reason: counted.restarted(SETTINGS, reason),
            ),
            **reflectors(
                api,
                registry,
                credentials_namespaces=options.credentials_namespaces,
                changed=self._written,
                metrics=counted,
            ),
        }
        self.barrier = Barrier((*self._reflectors, *(kind.kind for kind in MESH_KINDS)))
        self._mesh = MeshIngest(
            api,
            login,
            registry,
            self.observations,
            revision=options.revision,
            changed=self._written,
            arrived=self.barrier.arrive,
            before_kopf=self.barrier.wait,
            metrics=counted,
            resync=options.resync,
            poll=options.poll,
        )

    def served(self, kind: str) -> Resource | None:
        """Where the cluster serves a kind of the mesh; None where it does not."""
        return self._mesh.served(kind)

    async def run(self) -> NoReturn:
        """Read, until cancelled. It does not end because of the API server, whatever that does."""
        async with asyncio.TaskGroup() as tasks:
            for part, reflector in self._reflectors.items():
                tasks.create_task(reflector.run(), name=f"list and watch {part}")
                tasks.create_task(self._arrive(part, reflector))
            tasks.create_task(self._mesh.run(), name="mesh kinds")
            await self.barrier.wait()
            _log.info("ingest_synced")
            self._changed()
        raise AssertionError("these tasks have no end")

    async def _arrive(self, part: str, reflector: Reflector[Any]) -> None:
        await reflector.synced.wait()
        self.barrier.arrive(part)

    def _written(self) -> None:
        if self.barrier.is_open:
            self._changed()
