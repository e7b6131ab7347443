"""HTTP/1.1 messages in the standard library, the headers to pass on, and who answers.

A framework would take longer to import than the whole shop takes to answer its first request, and this way the
container image needs nothing but Python.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

PASSED_ON = (
    "x-request-id",
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "x-ot-span-context",
    "end-user",
)
"""Request headers that every service copies to the calls it makes: the trace's (W3C, B3, OpenTracing) and the user's.

A sidecar sees requests come and go, but only the service knows which outgoing one belongs to which incoming one.
"""

_LONGEST_BODY = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who answers: told in each response, so that one can see where the mesh sent a request."""

    service: str
    version: str
    pod: str

    def as_json(self) -> dict[str, str]:
        """Give the value of the field `served_by`."""
        return {"service": self.service, "version": self.version, "pod": self.pod}

    def as_header(self) -> str:
        """Give the value of the header `x-served-by`."""
        return f"{self.service}/{self.version}/{self.pod}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as handlers see it; the names of `headers` are in lower case."""

    method: str = "GET"
    path: str = "/"
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> Self:
        """Read one request. Raises ValueError when it is malformed, IncompleteReadError when the peer has gone."""
        first, headers, body = await _read_message(reader)
        method, target, _ = first.split(" ")
        url = urlsplit(target)
        return cls(method=method, path=unquote(url.path), query=dict(parse_qsl(url.query)), headers=headers, body=body)

    @property
    def segments(self) -> tuple[str, ...]:
        """The parts of the path, to match on: `/reviews/0` is `("reviews", "0")`."""
        return tuple(part for part in self.path.split("/") if part)

    @property
    def passed_on(self) -> dict[str, str]:
        """The headers that belong on every call made on behalf of this request."""
        return {name: self.headers[name] for name in PASSED_ON if name in self.headers}


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer, one's own or another service's."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, value: object, *, status: int = 200) -> Self:
        """Make an answer of JSON."""
        body = json.dumps(value, ensure_ascii=False).encode() + b"\n"
        return cls(status=status, body=body, headers={"content-type": "application/json"})

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> Self:
        """Read one response, with the same errors as `Request.read`."""
        first, headers, body = await _read_message(reader)
        return cls(status=int(first.split(" ")[1]), headers=headers, body=body)

    @property
    def json(self) -> Any:
        """The body as JSON; None when it is something else, as in the errors that a proxy answers."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def encode(self, *, keep_open: bool) -> bytes:
        """Write it as the wire has it."""
        headers = {"content-length": str(len(self.body)), **self.headers}
        if not keep_open:
            headers["connection"] = "close"
        return encode_head(f"HTTP/1.1 {self.status} {_phrase(self.status)}", headers) + self.body


def encode_head(first: str, headers: Mapping[str, str]) -> bytes:
    """Write a start line and headers, up to the empty line."""
    return "\r\n".join((first, *(f"{name}: {value}" for name, value in headers.items()), "", "")).encode("latin-1")


async def _read_message(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    """Read start line, headers and body: by Content-Length, or in chunks as proxies send them on (RFC 9112, 6)."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise ValueError("the header is too long") from error
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    fields = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return first, headers, await _read_chunks(reader)
    return first, headers, await reader.readexactly(_checked(int(headers.get("content-length", "0"))))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    """Read a chunked body and its trailer, which is dropped."""
    body = b""
    while size := int((await reader.readline()).partition(b";")[0], 16):
        body += await reader.readexactly(_checked(len(body) + size) - len(body))
        await reader.readline()
    while (await reader.readline()).strip():
        pass
    return body


def _checked(length: int) -> int:
    if not 0 <= length <= _LONGEST_BODY:
        raise ValueError(f"a body of {length} bytes")
    return length


def _phrase(status: int) -> str:
    """Name a status; unknown ones have no name, and need none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
