"""What is served reads the same through an independent implementation of protobuf and of Envoy's messages."""

import importlib
import json
import re
from collections.abc import Callable, Collection, Iterable
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import betterproto2
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from weft_core.proxy import ProxyId
from weft_xds.render import frames, message

if TYPE_CHECKING:
    from tests.property.conftest import Edit, Mesh, Strategies

    NewMesh = Callable[[Iterable[Edit]], Mesh]

# The package's own code, as it is imported, and the deprecated fields that its messages warn of when they are made.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PACKAGE = re.compile(r'"type\.googleapis\.com/([\w.]+)\.\w+"')


def second_reading(made: Message) -> dict[str, Any]:
    """The message's bytes as `envoy-data-plane` understands them."""
    for package in PACKAGE.findall(json.dumps(MessageToDict(made))):
        _module(package)  # importing it registers what an Any may hold
    package, _, kind = made.DESCRIPTOR.full_name.rpartition(".")
    decoded = getattr(_module(package), kind).parse(made.SerializeToString(deterministic=True))
    found: dict[str, Any] = decoded.to_dict(casing=betterproto2.Casing.SNAKE)
    return found


def comparable(value: Any) -> Any:
    """The JSON form without what the two write differently: numbers of 64 bits as text, and `consecutive_5xx`."""
    if isinstance(value, dict):
        return {key.replace("_", "").lower(): comparable(item) for key, item in value.items()}
    return [comparable(item) for item in value] if isinstance(value, list) else str(value)


@cache
def _module(package: str) -> ModuleType:
    return importlib.import_module(f"envoy_data_plane.{package}")


@settings(phases=[Phase.generate])  # what differs is one small resource, so nothing is shrunk
@given(data=st.data())
def test_both_decoders_read_the_same(
    data: st.DataObject,
    strategies: "Strategies",
    new_mesh: "NewMesh",
    proxies: Collection[ProxyId],
    read_before: set[tuple[str, str, str]],
) -> None:
    mesh = new_mesh(data.draw(strategies.meshes, label="mesh"))
    for proxy in proxies:
        for type_url, found in frames(mesh.registry, proxy).items():
            for frame in found:
                if (version := (type_url, frame.name, frame.version)) not in read_before:
                    made = message(frame, type_url)
                    first_reading = MessageToDict(made, preserving_proto_field_name=True)
                    assert comparable(second_reading(made)) == comparable(first_reading)
                    read_before.add(version)


@pytest.fixture(scope="module")
def read_before() -> set[tuple[str, str, str]]:
    """Versions that were compared: the second decoder takes a thousand times as long as the first."""
    return set()
