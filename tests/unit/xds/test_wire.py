"""Bytes in, bytes out: what is written by hand reads as protobuf does."""

import pytest
from envoy.config.core.v3.base_pb2 import Node
from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from weft_core.errors import ProtocolFault
from weft_core.problems import ObjectRef
from weft_xds.frames import make_frame
from weft_xds.types import VHDS
from weft_xds.wire import decode_request, encode_response

TEXTS = st.text(max_size=300)


@given(nonce=TEXTS, removed=st.lists(TEXTS, max_size=3), system_version=TEXTS, hosts=st.lists(TEXTS, max_size=4))
def test_a_response_reads_as_protobuf_writes_it(
    nonce: str, removed: list[str], system_version: str, hosts: list[str]
) -> None:
    messages = [VirtualHost(name=name, domains=[name]) for name in hosts]
    frames = [make_frame(message.name, VHDS, message) for message in messages]
    data = encode_response(
        type_url=VHDS,
        nonce=nonce,
        bodies=[frame.body for frame in frames],
        removed=removed,
        system_version=system_version,
    )
    expected = DeltaDiscoveryResponse(
        type_url=VHDS, nonce=nonce, removed_resources=removed, system_version_info=system_version
    )
    for message, frame in zip(messages, frames, strict=True):
        resource = expected.resources.add(name=message.name, version=frame.version)
        resource.resource.type_url = VHDS
        resource.resource.value = message.SerializeToString(deterministic=True)
    assert DeltaDiscoveryResponse.FromString(data) == expected


def test_a_version_depends_on_content_alone() -> None:
    origin = (ObjectRef(kind="VirtualService", namespace="shop", name="reviews"),)
    one = make_frame("80/a", VHDS, VirtualHost(name="80/a", domains=["a"]), origin)
    same = make_frame("80/a", VHDS, VirtualHost(domains=["a"], name="80/a"))
    other = make_frame("80/a", VHDS, VirtualHost(name="80/a", domains=["b"]))
    assert one.version == same.version == "89999d0d77b7d999"  # on every machine
    assert one.body == same.body
    assert one.origins == origin
    assert other.version != one.version


def test_a_request_says_what_it_says() -> None:
    message = DeltaDiscoveryRequest(
        node=Node(id="sidecar~10.0.0.1~web.shop~shop.svc", cluster="web.shop"),
        type_url=VHDS,
        resource_names_subscribe=["a", "*"],
        resource_names_unsubscribe=["b"],
        initial_resource_versions={"c": "1"},
        response_nonce="7",
        error_detail=Status(code=13, message="no"),
    )
    message.node.metadata["LABELS"] = {"app": "web"}
    request, node = decode_request(message.SerializeToString())
    assert (request.type_url, request.subscribe, request.unsubscribe) == (VHDS, ("a", "*"), ("b",))
    assert (request.held, request.nonce, request.error) == ({"c": "1"}, "7", "no")
    assert node is not None
    assert (node.id, node.cluster, node.metadata) == (message.node.id, "web.shop", {"LABELS": {"app": "web"}})


def test_an_ack_carries_neither_node_nor_error() -> None:
    request, node = decode_request(DeltaDiscoveryRequest(type_url=VHDS, response_nonce="7").SerializeToString())
    assert request.error is None
    assert node is None


def test_a_nack_without_words_is_still_a_nack() -> None:
    request, _ = decode_request(DeltaDiscoveryRequest(error_detail=Status(code=13)).SerializeToString())
    assert request.error == "error code 13"


def test_what_is_no_request_is_a_fault_of_the_protocol() -> None:
    with pytest.raises(ProtocolFault, match="not a DeltaDiscoveryRequest"):
        decode_request(b"\xff")
