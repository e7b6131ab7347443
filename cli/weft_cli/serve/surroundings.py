"""What injection depends on beside the pod: settings, what the cluster can do, the namespace."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from weft_cli.news import News
from weft_core.problems import ObjectRef, Severity
from weft_core.registry import Registry
from weft_injector.settings import SETTINGS_KEY, ClusterFeatures, InjectionSettings, load_settings
from weft_kube.client import Api
from weft_kube.errors import ApiError, Unavailable
from weft_kube.resource import NAMESPACES, POD_CERTIFICATE_REQUESTS

_NATIVE_SIDECARS = (1, 29)
_LOOK_AGAIN = 600.0
"""Seconds between two looks at what the API server can do: it may be upgraded under a running control plane."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(slots=True)
class CurrentSettings:
    """The injector's settings of the moment, from the ConfigMap `ref`. A malformed edit leaves the last good ones."""

    ref: ObjectRef
    value: InjectionSettings = field(default_factory=lambda: InjectionSettings())  # noqa: PLW0108 - for pyright
    _news: News = field(default_factory=News)

    def read(self, text: str | None) -> None:
        """Take the text of the ConfigMap's key."""
        loaded = load_settings(text or "", self.ref, prefix=("data", SETTINGS_KEY))
        for problem in self._news.of(loaded.problems):
            tell = _log.error if problem.severity is Severity.ERROR else _log.warning
            tell("problem", code=problem.code, text=str(problem))
        if loaded.settings is not None:
            self.value = loaded.settings


@dataclass(slots=True)
class CurrentFeatures:
    """What the API server can do."""

    api: Api
    value: ClusterFeatures = field(default_factory=ClusterFeatures)

    async def look(self) -> None:
        """Ask the API server. Raises ApiError."""
        found = ClusterFeatures(
            pod_certificates=await self.api.serves(POD_CERTIFICATE_REQUESTS),
            native_sidecars=await self.api.version() >= _NATIVE_SIDECARS,
        )
        if found != self.value:
            _log.info(
                "cluster_features",
                pod_certificates=found.pod_certificates,
                native_sidecars=found.native_sidecars,
            )
        self.value = found

    async def run(self) -> None:
        """Look again from time to time, for ever."""
        while True:
            await asyncio.sleep(_LOOK_AGAIN)
            try:
                await self.look()
            except ApiError as fault:
                _log.warning("cluster_features_unknown", reason=str(fault))


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Namespaces' labels, as the API server has them now.

    Our copy may be some milliseconds old. A pod of a namespace that was labelled just before it would then start
    without a sidecar, so the copy is second choice, for when the API server does not answer, or not within `patience`
    seconds: whoever asks the webhook has little time himself.
    """

    api: Api
    registry: Registry
    patience: float = 3.0

    async def labels(self, name: str) -> Mapping[str, str] | None:
        """The labels, None where there is no such namespace."""
        try:
            async with asyncio.timeout(self.patience):
                found = await self.api.find(NAMESPACES, name)
        except (Unavailable, TimeoutError):
            row = self.registry.namespaces.peek(name)
            return None if row is None else row.labels
        return None if found is None else found["metadata"].get("labels") or {}
