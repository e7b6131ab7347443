"""The inline route of an inbound port."""

from envoy.config.route.v3.route_components_pb2 import (
    Decorator,
    RetryPolicy,
    Route,
    RouteAction,
    RouteMatch,
    VirtualHost,
)
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf.duration_pb2 import Duration
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value

from weft_core.ir.http import InboundRoute

RETRIES = 2
RETRY_ON = "reset-before-request"
"""Only requests of which the workload saw nothing: repeating them is always safe."""


def build_inbound_route(route: InboundRoute) -> RouteConfiguration:
    """Everything goes to the workload; how long it may take is the client's affair."""
    action = RouteAction(
        cluster=route.cluster,
        timeout=Duration(),
        max_stream_duration=RouteAction.MaxStreamDuration(
            max_stream_duration=Duration(), grpc_timeout_header_max=Duration()
        ),
    )
    if route.retry:
        action.retry_policy.CopyFrom(RetryPolicy(retry_on=RETRY_ON, num_retries=UInt32Value(value=RETRIES)))
    only = Route(
        name="default",
        match=RouteMatch(prefix="/"),
        route=action,
        decorator=Decorator(operation=route.operation) if route.operation else None,
    )
    return RouteConfiguration(
        name=route.cluster,
        virtual_hosts=[VirtualHost(name=route.virtual_host, domains=["*"], routes=[only])],
        validate_clusters=BoolValue(value=False),
    )
