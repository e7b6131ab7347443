"""What kopf reads, made readable: an object nested too deep for Python's parser would end all of its watches."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec

from weft_kube.nesting import DEEPEST, shallow


class KopfResponse(aiohttp.ClientResponse):
    """An answer whose JSON can always be read, and whose lines too once `lines` says that it is a watch."""

    async def json(self, **options: Any) -> Any:
        """The body, with what is too deep cut off."""
        try:
            return await super().json(**options)
        except RecursionError:
            return msgspec.json.decode(shallow(await self.read()))

    def lines(self) -> None:
        """From here on the content comes as whole lines of JSON."""
        self.content: Any = _Lines(self.content)


class _Lines:
    """A stream of bytes as whole lines, none of them too deep.

    It has the one method that kopf calls, and what aiohttp tells the stream of an answer that is given up half read.
    """

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Whole lines, as they come."""
        rest = b""
        async for chunk in self._content.iter_chunked(size):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield _readable(line) + b"\n"
        yield rest

    def exception(self) -> BaseException | None:
        """Why no more can be read."""
        return self._content.exception()

    def set_exception(self, *reason: Any) -> None:
        """No more can be read, whoever waits for it."""
        self._content.set_exception(*reason)


def _readable(line: bytes) -> bytes:
    """Most lines have fewer brackets than there may be levels, and need not be looked through."""
    return shallow(line) if line.count(b"{") + line.count(b"[") > DEEPEST else line
