"""Frames: resources as the very bytes that go to Envoy.

Protobuf messages concatenate: a response is its head and the `resources` fields one after another. So each
resource is serialised once, however many proxies receive it, and a response is made by joining bytes.
"""

from dataclasses import dataclass
from hashlib import blake2b
from sys import intern

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse, Resource
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message

from weft_core.problems import ObjectRef

VERSION_BYTES = 8


@dataclass(frozen=True, slots=True)
class Frame:
    """One version of one resource.

    `version` is a hash of the resource's deterministic bytes, so that equal content has an equal version on
    every replica and after every restart, and a proxy that reconnects is sent nothing that it has. `body` is
    one encoded `resources` field of a DeltaDiscoveryResponse, tag and length included. `origins` are the
    user's objects that it was made from, which are told when Envoy rejects it.
    """

    name: str
    version: str
    body: bytes
    origins: tuple[ObjectRef, ...] = ()


def make_frame(name: str, type_url: str, message: Message, origins: tuple[ObjectRef, ...] = ()) -> Frame:
    """Serialise `message` as the resource `name`.

    Names and versions are interned: every stream keeps a table of them.
    """
    value = message.SerializeToString(deterministic=True)
    version = intern(blake2b(value, digest_size=VERSION_BYTES).hexdigest())
    resource = Resource(name=name, version=version, resource=Any(type_url=type_url, value=value))
    body = DeltaDiscoveryResponse(resources=[resource]).SerializeToString(deterministic=True)
    return Frame(intern(name), version, body, origins)
