"""The wire: what the API server sends, what it is answered, and that no body breaks the handler."""

import base64
import io
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from weft_kube.admission import BODY_LIMIT, AdmissionRequest, Malformed, Verdict, answer, fitting, handler, parse

Review = Callable[..., dict[str, Any]]


@pytest.fixture
async def webhook() -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """A webhook that admits, refuses or breaks as the object's name says."""

    async def decide(request: AdmissionRequest) -> Verdict:
        if request.name == "broken":
            raise ValueError("no such thing")
        return Verdict(allowed=request.name != "refused", message="because", warnings=["take care"])

    app = web.Application()
    app.add_routes([web.post("/validate", handler(decide))])
    async with TestClient(TestServer(app)) as client:
        yield client


def _review(**fields: Any) -> dict[str, Any]:
    request = {"uid": "u-1", "operation": "CREATE", "name": "a", **fields}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def test_a_request_is_read_with_all_that_decides() -> None:
    body = _review(
        kind={"group": "networking.istio.io", "version": "v1", "kind": "Gateway"},
        namespace="shop",
        subResource="status",
        object={"spec": {}},
        oldObject=None,
        dryRun=True,
        userInfo={"username": "jane"},
    )
    assert parse(json.dumps(body).encode()) == AdmissionRequest(
        uid="u-1",
        api_version="networking.istio.io/v1",
        kind="Gateway",
        namespace="shop",
        name="a",
        sub_resource="status",
        operation="CREATE",
        object={"spec": {}},
        dry_run=True,
        user="jane",
    )


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{", b"{}", b"\xff\xfe", b'"text"', b"[" * 100_000, b'{"request": 1}', b'{"request": {}}',
        b'{"request": {"uid": 7}}', b'{"a": NaN}', b'{"request": {"uid": "\\ud800"}}',
    ],
    ids=lambda body: body[:20].decode(errors="replace"),
)  # fmt: skip
def test_what_has_no_uid_is_malformed(body: bytes) -> None:
    found = parse(body)
    assert isinstance(found, Malformed)
    assert found.message
    assert not found.uid


@pytest.mark.parametrize(
    "changed",
    [
        {"apiVersion": "admission.k8s.io/v1beta1"},
        {"apiVersion": None},
        {"kind": "ConversionReview"},
        {"request": {"uid": "u-1"}},
        {"request": {"uid": "u-1", "operation": "CREATE", "object": []}},
        {"request": {"uid": "u-1", "operation": "UPDATE", "oldObject": "text"}},
    ],
)
def test_what_cannot_be_decided_keeps_its_uid(changed: dict[str, Any]) -> None:
    found = parse(json.dumps(_review() | changed).encode())
    assert isinstance(found, Malformed)
    assert found.uid == "u-1"


def test_a_refusal_has_a_status_and_no_patch() -> None:
    review = json.loads(answer("u-1", Verdict(allowed=False, message="no", patch=[{"op": "add"}])))
    assert review == {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {
            "uid": "u-1",
            "allowed": False,
            "status": {"status": "Failure", "message": "no", "code": 400, "reason": "BadRequest"},
        },
    }


def test_a_patch_is_base64_of_json_patch() -> None:
    patch = [{"op": "add", "path": "/metadata/labels", "value": {}}]
    response = json.loads(answer("u-1", Verdict(allowed=True, patch=patch)))["response"]
    assert response["patchType"] == "JSONPatch"
    assert json.loads(base64.b64decode(response["patch"])) == patch


def test_warnings_fit_into_http_headers() -> None:
    found = fitting(["two\nlines", "x" * 300, *(f"{index} {'y' * 200}" for index in range(50))])
    assert found[0] == "two\\nlines"
    assert all(len(text) <= 256 and text.isprintable() for text in found)
    assert sum(len(text.encode()) for text in found) <= 4096
    assert found[-1] == f"{52 - len(found) + 1} further warnings are left out"


async def test_a_decision_is_answered_with_200(webhook: TestClient[web.Request, web.Application]) -> None:
    for name, allowed in (("a", True), ("refused", False)):
        response = await webhook.post("/validate", json=_review(name=name))
        assert response.status == 200
        assert response.content_type == "application/json"
        assert (await response.json())["response"]["allowed"] is allowed


async def test_a_decision_that_raises_is_a_refusal_with_its_reason(
    webhook: TestClient[web.Request, web.Application],
) -> None:
    response = await webhook.post("/validate", json=_review(name="broken"))
    found = (await response.json())["response"]
    assert (response.status, found["uid"], found["allowed"], found["status"]["code"]) == (200, "u-1", False, 500)
    assert "ValueError: no such thing" in found["status"]["message"]


async def test_a_wrong_version_is_refused_by_name(webhook: TestClient[web.Request, web.Application]) -> None:
    response = await webhook.post("/validate", json=_review() | {"apiVersion": "admission.k8s.io/v1beta1"})
    found = (await response.json())["response"]
    assert (response.status, found["allowed"]) == (200, False)
    assert "admission.k8s.io/v1beta1" in found["status"]["message"]


async def test_what_is_no_review_is_a_bad_request(webhook: TestClient[web.Request, web.Application]) -> None:
    response = await webhook.post("/validate", data=b"{", headers={"Content-Type": "application/json"})
    assert (response.status, await response.text()) == (400, "the body is not JSON: Input data was truncated\n")
    compressed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = await webhook.post("/validate", data=b"not compressed at all", headers=compressed)
    assert (response.status, (await response.text())[:24]) == (400, "the body cannot be read:")
    response = await webhook.post("/validate", data=b"{}", headers={"Content-Type": "text/plain"})
    assert (response.status, await response.text()) == (400, "application/json is meant, and this is text/plain\n")


async def test_large_bodies_are_read_up_to_a_limit(webhook: TestClient[web.Request, web.Application]) -> None:
    """An update carries the object twice; aiohttp's own limit is 1 MiB."""
    review = _review(object={"padding": "x" * 5 * 2**20}, oldObject={"padding": "x" * 5 * 2**20})
    body = io.BytesIO(json.dumps(review).encode())
    response = await webhook.post("/validate", data=body, headers={"Content-Type": "application/json"})
    assert (await response.json())["response"]["allowed"] is True
    body = io.BytesIO(b" " * (BODY_LIMIT + 1))
    response = await webhook.post("/validate", data=body, headers={"Content-Type": "application/json"})
    assert response.status == 413
