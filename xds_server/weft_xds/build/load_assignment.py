"""ClusterLoadAssignment: the endpoints of a cluster."""

from functools import lru_cache
from typing import Final

from envoy.config.core.v3.address_pb2 import Address, Pipe, SocketAddress
from envoy.config.core.v3.base_pb2 import Locality, Metadata
from envoy.config.endpoint.v3 import endpoint_components_pb2 as components
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.wrappers_pb2 import UInt32Value

from weft_core.ir.endpoint import Locality as Place
from weft_core.ir.load_assignment import UNKNOWN, Endpoint, LoadAssignment, LocalityEndpoints
from weft_xds.build.address import UNIX

TRANSPORT_SOCKET_MATCH: Final = "envoy.transport_socket_match"
TLS_MODE: Final = Struct(fields={"tlsMode": Value(string_value="istio")})
"""Marks endpoints that take mutual TLS, and the transport socket that is for them."""


def build_load_assignment(assignment: LoadAssignment) -> ClusterLoadAssignment:
    """A cluster's endpoints by locality."""
    return ClusterLoadAssignment(
        cluster_name=assignment.name, endpoints=[_locality_endpoints(group) for group in assignment.localities]
    )


def _locality_endpoints(group: LocalityEndpoints) -> components.LocalityLbEndpoints:
    return components.LocalityLbEndpoints(
        locality=_locality(group.locality),
        priority=group.priority,
        load_balancing_weight=None if group.weight is None else UInt32Value(value=group.weight),
        lb_endpoints=[_endpoint(endpoint) for endpoint in group.endpoints],
    )


def _locality(place: Place) -> Locality | None:
    if place == UNKNOWN:
        return None
    return Locality(region=place.region, zone=place.zone, sub_zone=place.sub_zone)


def _endpoint(endpoint: Endpoint) -> components.LbEndpoint:
    return components.LbEndpoint(
        endpoint=components.Endpoint(
            address=_address(endpoint.address, endpoint.port),
            additional_addresses=[
                components.Endpoint.AdditionalAddress(address=_address(further, endpoint.port))
                for further in endpoint.further
            ],
        ),
        metadata=_metadata(endpoint.workload, endpoint.mutual_tls),
        load_balancing_weight=None if endpoint.weight == 1 else UInt32Value(value=endpoint.weight),
    )


def _address(address: str, port: int) -> Address:
    if address.startswith(UNIX):
        return Address(pipe=Pipe(path=address.removeprefix(UNIX)))
    return Address(socket_address=SocketAddress(address=address, port_value=port))


@lru_cache(maxsize=1 << 14)
def _metadata(workload: str, mutual_tls: bool) -> Metadata | None:
    """Cached: the endpoints of a workload have it in common, and setting it copies it."""
    found: dict[str, Struct] = {}
    if workload:
        found["istio"] = Struct(fields={"workload": Value(string_value=workload)})
    if mutual_tls:
        found[TRANSPORT_SOCKET_MATCH] = TLS_MODE
    return Metadata(filter_metadata=found) if found else None
