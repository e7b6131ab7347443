"""Requests from bytes, responses to bytes: all that the server knows of the discovery messages' encoding.

Requests are parsed with xds-protos. Responses are put together by hand around ready frames: the fields of
`envoy.service.discovery.v3.DeltaDiscoveryResponse`, in the order of their numbers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from weft_core.errors import ProtocolFault

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD = "DeltaAggregatedResources"

_SYSTEM_VERSION = b"\x0a"
_TYPE_URL = b"\x22"
_NONCE = b"\x2a"
_REMOVED = b"\x32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Who opens the stream, by its own account. Nothing in it is proven; the certificate's identity is."""

    id: str
    cluster: str = ""
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one DeltaDiscoveryRequest says about one type.

    `nonce` answers the response of that nonce: an ACK, or a NACK where `error` holds Envoy's words. `held` is
    what the proxy had when the stream was opened, version by name.
    """

    type_url: str
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    held: Mapping[str, str]
    nonce: str = ""
    error: str | None = None


def decode_request(data: bytes) -> tuple[Request, Node | None]:
    """Parse a request; the node is in a stream's first one only, where it is 61 KB of Envoy's extension list.

    Strings are interned: they repeat the catalog's names, in every stream. Raises ProtocolFault for what is
    no request.
    """
    message = DeltaDiscoveryRequest()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise ProtocolFault(f"not a DeltaDiscoveryRequest: {error}") from error
    request = Request(
        type_url=intern(message.type_url),
        subscribe=tuple(map(intern, message.resource_names_subscribe)),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        held={intern(name): intern(version) for name, version in message.initial_resource_versions.items()},
        nonce=message.response_nonce,
        error=_error_text(message) if message.HasField("error_detail") else None,
    )
    return request, _node(message) if message.HasField("node") else None


def _error_text(message: DeltaDiscoveryRequest) -> str:
    return message.error_detail.message or f"error code {message.error_detail.code}"


def _node(message: DeltaDiscoveryRequest) -> Node:
    node = message.node
    return Node(id=node.id, cluster=node.cluster, metadata=MessageToDict(node.metadata))


def encode_response(
    *, type_url: str, nonce: str, bodies: Iterable[bytes], removed: Iterable[str] = (), system_version: str = ""
) -> bytes:
    """A whole DeltaDiscoveryResponse; `bodies` are encoded `resources` fields, any number of them in each."""
    parts = [_string(_SYSTEM_VERSION, system_version), *bodies]
    parts += (_string(_TYPE_URL, type_url), _string(_NONCE, nonce))
    parts.extend(_string(_REMOVED, name) for name in removed)
    return b"".join(parts)


def _string(tag: bytes, text: str) -> bytes:
    data = text.encode()
    return tag + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
