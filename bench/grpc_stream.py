"""One gRPC stream over HTTP/2 on asyncio, no more of either than a benchmark's client needs.

A full gRPC client in Python costs more per message than the server that is measured. This one sends constant header
blocks, grants the server windows that it never uses up, and hands whole messages to a callback. It trusts its peer.
"""

import asyncio
import ssl
import struct
from collections.abc import Callable
from typing import Final, cast

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK: Final = 1
END_STREAM: Final = 1
END_HEADERS: Final = 4
STREAM: Final = 1
INITIAL_WINDOW: Final = 4
MAX_FRAME_SIZE: Final = 5
LARGEST_WINDOW: Final = 2**31 - 1
LARGEST_FRAME: Final = 2**20
DEFAULT_WINDOW: Final = 65_535
DEFAULT_FRAME: Final = 16_384


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """An HTTP/2 frame: 24 bits of length, type, flags, stream."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def headers(fields: dict[str, str]) -> bytes:
    """An HPACK block of literals without indexing or Huffman coding; names and values below 127 bytes."""
    block = bytearray()
    for name, value in fields.items():
        for text in (b"\x00" + _short(name), _short(value)):
            block += text
    return bytes(block)


def _short(text: str) -> bytes:
    data = text.encode()
    assert len(data) < 127, text
    return bytes([len(data)]) + data


class GrpcStream(asyncio.Protocol):
    """A connection with a single bidirectional stream.

    `received` is given each message; `ended` resolves when the connection is gone, with the reason.
    """

    def __init__(self, path: str, received: Callable[["GrpcStream", bytes], None]) -> None:
        self._path = path
        self._received = received
        self._input = bytearray()
        self._message = bytearray()
        self._unsent = bytearray()
        self._window = DEFAULT_WINDOW
        self._stream_window = DEFAULT_WINDOW
        self._consumed = 0
        self._transport: asyncio.Transport
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @classmethod
    async def connect(
        cls,
        address: tuple[str, int],
        path: str,
        received: Callable[["GrpcStream", bytes], None],
        tls: ssl.SSLContext | None,
        server_name: str | None,
    ) -> "GrpcStream":
        """Open the connection and the stream."""
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(
            lambda: cls(path, received), *address, ssl=tls, server_hostname=server_name if tls else None
        )
        return stream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Settings, windows and the request's headers go at once."""
        self._transport = cast("asyncio.Transport", transport)
        settings = struct.pack(">HIHI", INITIAL_WINDOW, LARGEST_WINDOW, MAX_FRAME_SIZE, LARGEST_FRAME)
        request = {
            ":method": "POST",
            ":scheme": "https",
            ":path": self._path,
            ":authority": "weft.bench",
            "content-type": "application/grpc",
            "te": "trailers",
        }
        self._transport.write(
            PREFACE
            + frame(SETTINGS, 0, 0, settings)
            + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", LARGEST_WINDOW - DEFAULT_WINDOW))
            + frame(HEADERS, END_HEADERS, STREAM, headers(request))
        )

    def send(self, message: bytes) -> None:
        """Send a message, as far as the server's windows allow; the rest follows by itself."""
        self._unsent += struct.pack(">BI", 0, len(message)) + message
        self._flush()

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        if not self.ended.done():
            self.ended.set_result(repr(exc) if exc else "closed")

    def data_received(self, data: bytes) -> None:
        """Cut the input into frames."""
        self._input += data
        position = 0
        while len(self._input) - position >= 9:
            size = int.from_bytes(self._input[position : position + 3], "big")
            if len(self._input) - position < 9 + size:
                break
            kind, flags, stream = struct.unpack_from(">BBI", self._input, position + 3)
            payload = bytes(self._input[position + 9 : position + 9 + size])
            position += 9 + size
            self._frame(kind, flags, stream, payload)
        del self._input[:position]

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == DATA:
            self._data(payload)
        elif kind == SETTINGS and not flags & ACK:
            self._settings(payload)
        elif kind == PING and not flags & ACK:
            self._transport.write(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            self._grant(stream, int.from_bytes(payload, "big"))
        elif kind in {RST_STREAM, GOAWAY} or (kind == HEADERS and flags & END_STREAM):
            self._transport.close()

    def _settings(self, payload: bytes) -> None:
        for offset in range(0, len(payload), 6):
            identifier, value = struct.unpack_from(">HI", payload, offset)
            if identifier == INITIAL_WINDOW:
                self._stream_window += value - DEFAULT_WINDOW
        self._transport.write(frame(SETTINGS, ACK, 0, b""))
        self._flush()

    def _grant(self, stream: int, size: int) -> None:
        if stream:
            self._stream_window += size
        else:
            self._window += size
        self._flush()

    def _flush(self) -> None:
        while self._unsent and min(self._window, self._stream_window) > 0:
            part = bytes(self._unsent[: min(self._window, self._stream_window, DEFAULT_FRAME)])
            del self._unsent[: len(part)]
            self._window -= len(part)
            self._stream_window -= len(part)
            self._transport.write(frame(DATA, 0, STREAM, part))

    def _data(self, payload: bytes) -> None:
        self._consumed += len(payload)
        if self._consumed > LARGEST_WINDOW // 4:
            grant = struct.pack(">I", self._consumed)
            self._transport.write(frame(WINDOW_UPDATE, 0, 0, grant) + frame(WINDOW_UPDATE, 0, STREAM, grant))
            self._consumed = 0
        self._message += payload
        while len(self._message) >= 5:
            length = int.from_bytes(self._message[1:5], "big")
            if len(self._message) < 5 + length:
                break
            message = bytes(self._message[5 : 5 + length])
            del self._message[: 5 + length]
            self._received(self, message)
