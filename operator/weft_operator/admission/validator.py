"""The validating webhook: judge the object, rehearse it beside the others, answer."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

import structlog
from aiohttp import web

from weft_core.model.meta import Config
from weft_core.registry import Registry
from weft_kube.admission import AdmissionRequest, Verdict, handler
from weft_operator.admission.admitted import Admitted
from weft_operator.admission.judgement import judge, warnings
from weft_operator.admission.rehearsal import Rehearsal, snapshot

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


PATIENCE: Final = 0.5
"""Seconds that an author waits at most to be told how the object fits the others: its status will say so anyway."""
_TOO_LONG: Final = "how it fits the rest of the mesh was not found out in time: see its status"


class Validator:
    """Decides upon reviews of the mesh's objects. Changes nothing outside of itself; a dry run not even that.

    Until `ready`, the registry does not know the mesh, and what an object names would be missing only for lack of
    knowledge: so long nobody is warned of it. Rehearsals have a thread of their own, one after the other: in a large
    mesh a rule for every host may take seconds, and proxies are served meanwhile.
    """

    def __init__(
        self, registry: Registry, ready: Callable[[], bool] = lambda: True, *, patience: float = PATIENCE
    ) -> None:
        self._registry = registry
        self._ready = ready
        self._patience = patience
        self._admitted = Admitted(registry)
        self._rehearsal = Rehearsal(registry.settings)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rehearsal")

    async def decide(self, request: AdmissionRequest) -> Verdict:
        """The verdict on a request. Decoding runs in a thread: an object of some megabytes takes a second."""
        judgement = await asyncio.to_thread(judge, request)
        verdict = judgement.verdict
        if not verdict.allowed:
            _log.info(
                "admission_refused",
                kind=request.kind,
                namespace=request.namespace,
                name=request.name,
                user=request.user,
                reason=verdict.message,
            )
        if judgement.object is None:
            return verdict
        if not request.dry_run:
            self._admitted.put(judgement.object)
        if not self._ready():
            return verdict
        return replace(verdict, warnings=(*verdict.warnings, *await self._beside_others(judgement.object)))

    async def _beside_others(self, config: Config[Any]) -> tuple[str, ...]:
        """Warnings from the rehearsal. A fault there is Weft's, and no reason to refuse what is right by itself."""
        rows = self._admitted.over(snapshot(self._registry))
        found = asyncio.get_running_loop().run_in_executor(self._thread, self._rehearsal.problems, rows, config)
        try:
            return warnings(await asyncio.wait_for(found, self._patience))
        except TimeoutError:
            return (_TOO_LONG,)
        except Exception:
            _log.exception("admission_rehearsal_failed", object=str(config.meta.ref))
            return ()


def validation(
    registry: Registry, ready: Callable[[], bool] = lambda: True
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler of POST /validate."""
    return handler(Validator(registry, ready).decide)
