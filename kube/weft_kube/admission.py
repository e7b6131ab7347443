"""Admission: what the API server asks a webhook, what it is answered, and the HTTP handler around the two.

The protocol is `AdmissionReview` of admission.k8s.io/v1: a POST with a request, answered with 200 and a response of the
same uid. Whatever else a webhook answers counts as "failed", and the object's fate is then the failurePolicy's. So a
decision that raises is a refusal with its reason, and only what has no readable uid is answered with a plain 400.
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web

from weft_core.model.mistake import one_line

API_VERSION: Final = "admission.k8s.io/v1"
BODY_LIMIT: Final = 16 * 2**20
"""Bytes of a review that are read. The API server takes objects of 3 MiB; an update carries two, escaped once more."""
_IN_A_THREAD: Final = 256 * 1024
"""Bytes from which a body is parsed beside the event loop."""
_WARNING_LIMIT: Final = 256
"""Characters of one warning: the API server cuts off what goes beyond."""
_WARNINGS_LIMIT: Final = 4096
"""Characters of all warnings of a response: the API server drops what goes beyond."""
_REASONS: Final[Mapping[int, str]] = {
    400: "BadRequest",
    403: "Forbidden",
    413: "RequestEntityTooLarge",
    422: "Invalid",
    500: "InternalError",
    503: "ServiceUnavailable",
}

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionRequest:
    """What somebody wants to do to an object.

    `operation` is CREATE, UPDATE, DELETE or CONNECT. `object` is None on DELETE, `old_object` on CREATE. `name` is
    empty where the API server has yet to make one (generateName); `namespace` is that of the request, which the object
    of a CREATE may lack. `dry_run` forbids side effects.
    """

    uid: str
    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    sub_resource: str = ""
    operation: str
    object: JsonObject | None = None
    old_object: JsonObject | None = None
    dry_run: bool = False
    user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """A body that is no review that can be decided upon. `uid` is empty where not even that can be read."""

    message: str
    uid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a webhook decides. `patch` holds JSON patch operations (RFC 6902); `code` counts for refusals only."""

    allowed: bool
    message: str = ""
    code: int = 400
    warnings: Sequence[str] = ()
    patch: Sequence[JsonObject] = ()


Decide = Callable[[AdmissionRequest], Awaitable[Verdict]]
"""A webhook's decision. It may raise: that is a refusal. What takes long belongs in a thread of its own."""


def parse(body: bytes) -> AdmissionRequest | Malformed:
    """Read a review. Never raises."""
    try:
        review = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Malformed(message=f"the body is not JSON: {error}")
    if not isinstance(review, dict):
        return Malformed(message="the body is no AdmissionReview")
    request = review.get("request")
    if not isinstance(request, dict):
        return Malformed(message="the AdmissionReview has no request")
    uid = _text(request, "uid")
    if not uid:
        return Malformed(message="the request has no uid")
    if (review.get("apiVersion"), review.get("kind")) != (API_VERSION, "AdmissionReview"):
        shown = one_line(f"{review.get('apiVersion')} {review.get('kind')}"[:100])
        return Malformed(uid=uid, message=f"this webhook speaks {API_VERSION} AdmissionReview, not {shown}")
    return _request(request, uid)


def _request(request: dict[str, Any], uid: str) -> AdmissionRequest | Malformed:
    operation = _text(request, "operation")
    if not operation:
        return Malformed(uid=uid, message="the request has no operation")
    for field in ("object", "oldObject"):
        if not isinstance(request.get(field), dict | None):
            return Malformed(uid=uid, message=f"the request's {field} is no object")
    kind, user = _mapping(request, "kind"), _mapping(request, "userInfo")
    group, version = _text(kind, "group"), _text(kind, "version")
    return AdmissionRequest(
        uid=uid,
        api_version=f"{group}/{version}" if group else version,
        kind=_text(kind, "kind"),
        namespace=_text(request, "namespace"),
        name=_text(request, "name"),
        sub_resource=_text(request, "subResource"),
        operation=operation,
        object=request.get("object"),
        old_object=request.get("oldObject"),
        dry_run=request.get("dryRun") is True,
        user=_text(user, "username"),
    )


def answer(uid: str, verdict: Verdict) -> bytes:
    """The review that says `verdict`, as JSON. Warnings are cut to what the API server passes on."""
    response: dict[str, Any] = {"uid": uid, "allowed": verdict.allowed}
    if not verdict.allowed:
        status: dict[str, Any] = {"status": "Failure", "message": verdict.message, "code": verdict.code}
        if reason := _REASONS.get(verdict.code):
            status["reason"] = reason
        response["status"] = status
    if warnings := fitting(verdict.warnings):
        response["warnings"] = warnings
    if verdict.allowed and verdict.patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(msgspec.json.encode(verdict.patch)).decode()
    return msgspec.json.encode({"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response})


def fitting(warnings: Sequence[str]) -> list[str]:
    """Warnings as HTTP headers can carry them: one line each, short enough, and what is left out is counted."""
    found = [one_line(text) for text in warnings]
    cut = [text if len(text) <= _WARNING_LIMIT else f"{text[: _WARNING_LIMIT - 1]}…" for text in found]
    kept: list[str] = []
    room = _WARNINGS_LIMIT - _WARNING_LIMIT  # for the line that counts the rest
    for index, text in enumerate(cut):
        if len(text.encode()) > room:
            return [*kept, f"{len(cut) - index} further warnings are left out"]
        room -= len(text.encode())
        kept.append(text)
    return kept


def handler(decide: Decide) -> Callable[[web.Request], Awaitable[web.Response]]:
    """An aiohttp handler that reads reviews, asks `decide`, and always answers."""

    async def handle(request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            return web.Response(status=400, text=f"application/json is meant, and this is {request.content_type}\n")
        try:
            body = await _body(request)
        except web.RequestPayloadError as error:
            unread = web.Response(status=400, text=f"the body cannot be read: {one_line(str(error))}\n")
            unread.force_close()
            return unread
        if body is None:
            return web.Response(status=413, text=f"the review is above {BODY_LIMIT} bytes\n")
        parsed = await asyncio.to_thread(parse, body) if len(body) > _IN_A_THREAD else parse(body)
        if isinstance(parsed, Malformed):
            _log.warning("admission_review_malformed", path=request.path, reason=parsed.message)
            if not parsed.uid:
                return web.Response(status=400, text=f"{parsed.message}\n")
            return _review(parsed.uid, Verdict(allowed=False, message=parsed.message))
        return _review(parsed.uid, await _decided(decide, parsed))

    return handle


async def _decided(decide: Decide, request: AdmissionRequest) -> Verdict:
    try:
        return await decide(request)
    except Exception as error:
        _log.exception(
            "admission_failed",
            kind=request.kind,
            namespace=request.namespace,
            name=request.name,
            operation=request.operation,
        )
        message = one_line(f"Weft could not decide, because of a fault of its own: {type(error).__name__}: {error}")
        return Verdict(allowed=False, code=500, message=message)


async def _body(request: web.Request) -> bytes | None:
    """The whole body, or None where it is too long. aiohttp's own limit (1 MiB) is the application's, not this one."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > BODY_LIMIT:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _review(uid: str, verdict: Verdict) -> web.Response:
    return web.Response(body=answer(uid, verdict), content_type="application/json")


def _text(value: Mapping[str, Any], field: str) -> str:
    found = value.get(field)
    return found if isinstance(found, str) else ""


def _mapping(value: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    found = value.get(field)
    return found if isinstance(found, dict) else {}
