"""What a pod's labels and annotations say once it is injected."""

import json
import re
from collections.abc import Iterable
from typing import Final

from weft_core.injection import REVISION_LABEL, SIDECAR_CONTAINER
from weft_core.names import METRICS_PORT
from weft_core.proxy import ProxyKind
from weft_core.view.endpoints import TLS_MODE_LABEL
from weft_injector.patch.pod import Pod
from weft_injector.patch.redirect import CONTAINER as REDIRECT_CONTAINER
from weft_injector.patch.volumes import VOLUME
from weft_injector.patch.workload import CANONICAL_NAME, CANONICAL_REVISION, canonical_name, canonical_revision
from weft_injector.settings import InjectionSettings

_DEFAULT_CONTAINER: Final = ("kubectl.kubernetes.io/default-container", "kubectl.kubernetes.io/default-logs-container")
_SCRAPE: Final = "prometheus.io/"
_SCRAPE_LABEL: Final = "prometheus_io_"
"""What Prometheus' discovery makes of them, and of `prometheus.io.scrape` as well."""
_NO_LABEL: Final = re.compile("[^A-Za-z0-9_]")


def added_labels(pod: Pod, workload: str, kind: ProxyKind, revision: str) -> dict[str, str]:
    """Labels that the mesh, metrics and tracing go by. Of sidecars alone it is said that they take mutual TLS."""
    mutual = {TLS_MODE_LABEL: pod.metadata.labels.get(TLS_MODE_LABEL) or "istio"} if kind is ProxyKind.SIDECAR else {}
    return {
        **mutual,
        CANONICAL_NAME: canonical_name(pod, workload),
        CANONICAL_REVISION: canonical_revision(pod),
        REVISION_LABEL: revision,
    }


def default_container(pod: Pod) -> dict[str, str]:
    """Annotations by which kubectl means the first application, where its author says nothing of it."""
    applications = [found.name for found in pod.spec.containers if found.name != SIDECAR_CONTAINER]
    missing = [name for name in _DEFAULT_CONTAINER if name not in pod.metadata.annotations]
    return dict.fromkeys(missing, applications[0]) if applications else {}


def scraping(pod: Pod) -> dict[str, str]:
    """Annotations that lead Prometheus to Envoy. An application with metrics of its own stays what it scrapes."""
    if any(_NO_LABEL.sub("_", name).startswith(_SCRAPE_LABEL) for name in pod.metadata.annotations):
        return {}
    return {
        f"{_SCRAPE}scrape": "true",
        f"{_SCRAPE}port": str(METRICS_PORT),
        f"{_SCRAPE}path": "/stats/prometheus",
    }


def status(kind: ProxyKind, settings: InjectionSettings, *, native: bool, volumes: Iterable[str]) -> str:
    """Istio's form of what was added; `volumes` are the names of those beside the injector's own."""
    sidecar = kind is ProxyKind.SIDECAR
    before = [REDIRECT_CONTAINER] if sidecar else []
    first = sidecar and native
    added = {
        "initContainers": [*before, SIDECAR_CONTAINER] if first else before,
        "containers": [] if first else [SIDECAR_CONTAINER],
        "volumes": [VOLUME, *volumes],
        "imagePullSecrets": list(settings.image_pull_secrets),
        "revision": settings.revision,
    }
    return json.dumps(added, separators=(",", ":"))
