"""A client of the Kubernetes API that gives bytes and JSON, and leaves their meaning to the caller.

One connection pool, bounded retries for what is worth another try, and errors as exceptions by kind (`errors`). Lists
come page by page and watches line by line, unparsed, so that the caller parses them with the one msgspec decoder that
fits.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from weft_kube.connections import Connections
from weft_kube.errors import ApiError, NotFound, Unavailable, api_error
from weft_kube.login import Login
from weft_kube.nesting import shallow
from weft_kube.resource import Resource

PAGE = 500
"""Objects in one page of a list: kubectl's and client-go's number."""
_CONNECT = 10.0
_ATTEMPTS = 3
_LONGEST = 10.0
"""Seconds of waiting for another try that are worth it; whoever is asked to wait longer is told instead."""
_SILENCE = 130.0
"""Seconds without a line after which a watch is taken for dead: a bookmark comes every minute, the first after two."""


class PatchType(StrEnum):
    """How a patch is written; the values are content types."""

    MERGE = "application/merge-patch+json"
    """RFC 7386."""
    JSON = "application/json-patch+json"
    """RFC 6902."""
    APPLY = "application/apply-patch+yaml"
    """Server-side apply."""


class _Status(msgspec.Struct, frozen=True):
    """The part of a `Status` answer that says what went wrong."""

    reason: str = ""
    message: str = ""


class Api:
    """The API server. An async context manager; belongs to one event loop."""

    def __init__(self, login: Login, *, user_agent: str = "weft", timeout: float = 30.0) -> None:
        self._login = login
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=_CONNECT)
        self._user_agent = user_agent
        self._connections = Connections(login)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = self._connections.session(self._user_agent)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connections.close()

    # objects

    async def get(self, resource: Resource, name: str, namespace: str = "") -> dict[str, Any]:
        """One object. Raises NotFound."""
        return _object(await self.raw("GET", resource.path(namespace, name)))

    async def find(self, resource: Resource, name: str, namespace: str = "") -> dict[str, Any] | None:
        """One object, None where there is none."""
        try:
            return await self.get(resource, name, namespace)
        except NotFound:
            return None

    async def create(
        self, resource: Resource, body: Mapping[str, Any], namespace: str = "", *, dry_run: bool = False
    ) -> dict[str, Any]:
        """Create an object. Raises AlreadyExists."""
        params = {"dryRun": "All"} if dry_run else {}
        return _object(await self.raw("POST", resource.path(namespace), body=_encode(body), params=params))

    async def replace(
        self, resource: Resource, name: str, body: Mapping[str, Any], namespace: str = ""
    ) -> dict[str, Any]:
        """Replace an object; with a resourceVersion in `body` only that version, else raises Conflict."""
        return _object(await self.raw("PUT", resource.path(namespace, name), body=_encode(body)))

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Mapping[str, Any] | list[Any],
        namespace: str = "",
        *,
        how: PatchType = PatchType.MERGE,
        subresource: str = "",
        field_manager: str = "weft",
    ) -> dict[str, Any]:
        """Change an object, or its `status` as `subresource`. APPLY creates it, and takes over what others own."""
        params = {"fieldManager": field_manager}
        if how is PatchType.APPLY:
            params["force"] = "true"
        path = resource.path(namespace, name, subresource)
        return _object(await self.raw("PATCH", path, body=_encode(patch), params=params, content_type=how))

    async def delete(self, resource: Resource, name: str, namespace: str = "", *, uid: str = "") -> None:
        """Delete an object, with `uid` only the one that has it (else Conflict). What is gone already is no error."""
        body = _encode({"preconditions": {"uid": uid}}) if uid else b""
        try:
            await self.raw("DELETE", resource.path(namespace, name), body=body)
        except NotFound:
            return

    # lists and watches

    async def pages(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = "", limit: int = PAGE
    ) -> AsyncGenerator[bytes, None]:
        """A list, page by page, as the server's JSON. The server writes each while the caller reads the one before.

        Raises Gone where the list changed too much on the way: begin again. Raises Unavailable for what is no list.
        """
        path, params = resource.path(namespace), {"limit": str(limit)} | _selectors(labels, fields)
        coming: asyncio.Task[bytes] | None = asyncio.create_task(self.raw("GET", path, params=params))
        try:
            while coming is not None:
                page = await coming
                try:
                    page, following = _readable(page)
                except msgspec.MsgspecError as error:
                    raise Unavailable(f"GET {path}: the answer is no list: {error}") from error
                coming = None
                if following:
                    params["continue"] = following
                    coming = asyncio.create_task(self.raw("GET", path, params=params))
                yield page
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        labels: str = "",
        fields: str = "",
        seconds: int = 300,
        silence: float = _SILENCE,
    ) -> AsyncGenerator[bytes, None]:
        """Changes since `resource_version`, one JSON line each, bookmarks included.

        Ends after `seconds`, as the server is asked to, and after `silence` seconds without a word, since a connection
        may be dead without either end being told. Errors after the start come as events of type ERROR. Raises Gone,
        Unavailable and the like at the start.
        """
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
        } | _selectors(labels, fields)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=silence)
        doing = f"watch {resource.path(namespace)}"
        try:
            async with self._request("GET", resource.path(namespace), params=params, timeout=timeout) as response:
                if response.status >= 300:
                    raise await _failure(response, doing)
                rest = b""
                with contextlib.suppress(aiohttp.SocketTimeoutError):
                    async for chunk in response.content.iter_any():
                        *lines, rest = (rest + chunk).split(b"\n")
                        for line in lines:
                            yield line
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"{doing}: {str(error) or type(error).__name__}") from error

    # what the server can do

    async def version(self) -> tuple[int, int]:
        """The server's version, `(1, 37)`."""
        found = _object(await self.raw("GET", "/version"))
        return int(found["major"]), int("".join(c for c in found["minor"] if c.isdigit()))

    async def serves(self, resource: Resource) -> bool:
        """Whether the server has this resource in this version."""
        root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
        try:
            found = _object(await self.raw("GET", root))
        except NotFound:
            return False
        return any(each.get("name") == resource.plural for each in found.get("resources", ()))

    # requests

    async def raw(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        """One request and its answer's body. What failed for lack of an answer is tried again where that is safe."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._once(method, path, body, params or {}, content_type)
            except Unavailable as fault:
                # Without an answer a write may have happened; the server's own 429 and 503 say that it has not.
                repeatable = method == "GET" or fault.status in {429, 503}
                wait = fault.retry_after or 0.2 * attempt
                if not repeatable or attempt == _ATTEMPTS or wait > _LONGEST:
                    raise
                await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    async def _once(self, method: str, path: str, body: bytes, params: Mapping[str, str], content_type: str) -> bytes:
        doing = f"{method} {path}"
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        try:
            async with self._request(method, path, params=params, data=body or None, headers=headers) as response:
                if response.status >= 300:
                    raise await _failure(response, doing)
                return await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"{doing}: {str(error) or type(error).__name__}") from error

    def _request(
        self, method: str, path: str, *, timeout: aiohttp.ClientTimeout | None = None, **options: Any
    ) -> "aiohttp.client._RequestContextManager":
        if self._session is None:
            raise AssertionError("use the Api as an async context manager")
        url = self._login.server + path
        return self._session.request(method, url, timeout=timeout or self._timeout, allow_redirects=False, **options)


class _ListMeta(msgspec.Struct, frozen=True):
    continue_: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct, frozen=True):
    metadata: _ListMeta


_CONTINUE = msgspec.json.Decoder(_Page)
_OBJECT = msgspec.json.Decoder(dict[str, Any])


def _object(body: bytes) -> dict[str, Any]:
    """Raises Unavailable for what is no JSON object: something between us and the server has answered in its place."""
    try:
        try:
            return _OBJECT.decode(body)
        except RecursionError:
            return _OBJECT.decode(shallow(body))
    except msgspec.MsgspecError as error:
        raise Unavailable(f"the answer is no object of the API: {error}") from error


def _readable(page: bytes) -> tuple[bytes, str]:
    """A page that parsers can read, and where the list goes on; an object in it may be too deep for them."""
    try:
        return page, _CONTINUE.decode(page).metadata.continue_
    except RecursionError:
        page = shallow(page)
        return page, _CONTINUE.decode(page).metadata.continue_


def _encode(body: object) -> bytes:
    return msgspec.json.encode(body)


def _selectors(labels: str, fields: str) -> dict[str, str]:
    found = {"labelSelector": labels, "fieldSelector": fields}
    return {name: value for name, value in found.items() if value}


async def _failure(response: aiohttp.ClientResponse, doing: str) -> ApiError:
    body = await response.read()
    try:
        status = msgspec.json.decode(body, type=_Status)
    except msgspec.MsgspecError:
        status = _Status(message=body[:200].decode(errors="replace"))
    wait = response.headers.get("Retry-After", "")
    return api_error(
        response.status,
        reason=status.reason,
        message=status.message,
        doing=doing,
        retry_after=float(wait) if wait.isdecimal() else None,
    )
