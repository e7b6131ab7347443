"""A registry from YAML, and a shop in it: services of every protocol, with pods that have sidecars."""

from collections.abc import Callable

import pytest
import yaml

from weft_core.ingest import replace_all
from weft_core.model.decode import decode
from weft_core.model.mesh_config import MeshConfig
from weft_core.proxy import ProxyId, ProxyKind
from weft_core.registry import Registry

SHOP = """
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web, pod-template-hash: abc, security.istio.io/tlsMode: istio}}
spec: {serviceAccountName: web, containers: [{name: web, ports: [{name: main, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web, pod-template-hash: def, security.istio.io/tlsMode: istio}}
spec: {serviceAccountName: web, containers: [{name: web, ports: [{name: main, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.0.0.1
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: main}
  - {name: tcp-db, port: 5432}
  - {name: unsaid, port: 9000}
"""


@pytest.fixture
def registry() -> Callable[..., Registry]:
    """Makes a registry of YAML documents, which must all be valid."""

    def make(*texts: str, settings: str = "") -> Registry:
        db = Registry()
        decoded = [decode(document) for text in texts for document in yaml.safe_load_all(text)]
        refused = [problem for each in decoded if each.rejected for problem in each.problems]
        assert not refused, refused
        mesh = MeshConfig.model_validate(yaml.safe_load(settings) or {})
        replace_all(db, [each.object for each in decoded], mesh=mesh)
        return db

    return make


@pytest.fixture
def shop() -> str:
    """YAML of the service `web` with an HTTP, a TCP and an unnamed port, and its two pods."""
    return SHOP


@pytest.fixture
def web() -> ProxyId:
    """The sidecar of one of the two pods."""
    return ProxyId(ProxyKind.SIDECAR, "shop", "web-0")
