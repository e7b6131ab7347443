"""A proxy's whole configuration as plain data, in Envoy's own snake_case JSON form: for people, files and tests."""

from collections.abc import Mapping
from typing import Any, Final

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from weft_core.proxy import ProxyId
from weft_core.registry import Registry
from weft_xds.frames import Frame
from weft_xds.resources import MESSAGES, frame, proxy_sections, section
from weft_xds.types import CDS, EDS, LDS, RDS, SDS, VHDS

KEYS: Final[Mapping[str, str]] = {
    "clusters": CDS,
    "endpoints": EDS,
    "listeners": LDS,
    "routes": RDS,
    "virtual_hosts": VHDS,
    "secrets": SDS,
}
"""The document's keys, and the type of the messages under each."""


def frames(db: Registry, proxy: ProxyId) -> dict[str, list[Frame]]:
    """All frames of a proxy by type, each type's in the order of their names. Empty for a proxy that is not known."""
    found: dict[str, dict[str, Frame]] = {type_url: {} for type_url in KEYS.values()}
    for section_key in proxy_sections(db, proxy):
        for key in section(db, section_key):
            made = frame(db, key)
            if made is not None:
                found[key.type_url][made.name] = made
    return {type_url: [named[name] for name in sorted(named)] for type_url, named in found.items()}


def message(made: Frame, type_url: str) -> Message:
    """The message inside a frame."""
    resource = DeltaDiscoveryResponse.FromString(made.body).resources[0]
    return MESSAGES[type_url].FromString(resource.resource.value)


def render(db: Registry, proxy: ProxyId) -> dict[str, list[Any]]:
    """All messages of a proxy as one document; see `KEYS`. The same input gives the same text."""
    found = frames(db, proxy)
    return {key: [plain(message(made, type_url)) for made in found[type_url]] for key, type_url in KEYS.items()}


def plain(made: Message) -> Any:
    """A message as dicts, lists and scalars; of each dict `@type` and `name` come first, the rest is sorted.

    Protobuf does not say in which order a map's entries come, so that sorting is what makes the text stable.
    """
    return _ordered(MessageToDict(made, preserving_proto_field_name=True))


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (key != "@type", key != "name", key))
        return {key: _ordered(value[key]) for key in keys}
    return [_ordered(item) for item in value] if isinstance(value, list) else value
