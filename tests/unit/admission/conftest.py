"""Reviews from YAML, a mesh to rehearse in, and the webhook over HTTP."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from weft_core.registry import Registry
from weft_kube.admission import AdmissionRequest
from weft_operator.admission import validation

MESH = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop, creationTimestamp: "2026-01-01T00:00:00Z"}
spec: {host: web, subsets: [{name: v1, labels: {pod-template-hash: abc}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop, creationTimestamp: "2026-01-01T00:00:00Z"}
spec: {hosts: [web], http: [{route: [{destination: {host: web, port: {number: 80}}}]}]}
"""


@pytest.fixture
def mesh(registry: Callable[..., Registry], shop: str) -> Registry:
    """The shop, with a rule and routes for its service `web`."""
    return registry(shop, MESH)


@pytest.fixture
def request_for() -> Callable[..., AdmissionRequest]:
    """Makes the request of a CREATE from a document in YAML, or of an UPDATE where there is an old one."""

    def make(text: str, old: str = "", **fields: Any) -> AdmissionRequest:
        document = yaml.safe_load(text)
        return AdmissionRequest(
            **{
                "uid": "u-1",
                "api_version": document["apiVersion"],
                "kind": document["kind"],
                "namespace": "shop",
                "name": document["metadata"].get("name", ""),
                "operation": "UPDATE" if old else "CREATE",
                "object": document,
                "old_object": yaml.safe_load(old) if old else None,
                **fields,
            }
        )

    return make


Post = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


@pytest.fixture
async def client(mesh: Registry) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """An HTTP client of the webhook over `mesh`."""
    app = web.Application()
    app.add_routes([web.post("/validate", validation(mesh))])
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.fixture
def post(client: TestClient[web.Request, web.Application]) -> Post:
    """Posts the CREATE of a document, as the API server does, and gives the response inside of the review."""

    async def send(document: Mapping[str, Any]) -> dict[str, Any]:
        group, _, version = str(document.get("apiVersion")).rpartition("/")
        request = {
            "uid": "u-1",
            "kind": {"group": group, "version": version, "kind": document.get("kind")},
            "namespace": "shop",
            "operation": "CREATE",
            "object": document,
        }
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
        body = json.dumps(review, default=str).encode()
        answer = await client.post("/validate", data=body, headers={"Content-Type": "application/json"})
        assert answer.status == 200
        found = (await answer.json())["response"]
        assert found["uid"] == "u-1"
        return dict(found)

    return send
