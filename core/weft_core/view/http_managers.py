"""What all HTTP connection managers of the mesh have in common, gateways' included."""

from dataclasses import dataclass

from weft_core.graph import query
from weft_core.ir.access_log import FileAccessLog
from weft_core.ir.authn import JwtAuthn
from weft_core.ir.http import (
    Cors,
    Fault,
    ForwardClientCert,
    GrpcStats,
    GrpcWeb,
    HttpConnectionManager,
    HttpFilter,
    PathNormalization,
    Router,
    RouteSource,
    ServerHeader,
)
from weft_core.ir.rbac import Rbac
from weft_core.ir.service import Labels
from weft_core.model.mesh_config import PathNormalizationType
from weft_core.registry import Registry
from weft_core.view.access_log import access_logs
from weft_core.view.authorization import authorization
from weft_core.view.mesh import mesh
from weft_core.view.policy_scope import policy_label_keys
from weft_core.view.request_authentication import jwt_authn
from weft_core.view.selectors import project

STAT_NAME_END = ";"
"""Ends names in statistics, so that metric tags can be cut out of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Mesh-wide settings of HTTP connection managers."""

    path_normalization: PathNormalization
    access_logs: tuple[FileAccessLog, ...]


@query
def http_settings(db: Registry) -> HttpSettings:
    """The mesh's settings."""
    return HttpSettings(path_normalization=path_normalization(db), access_logs=access_logs(db))


@query
def path_normalization(db: Registry) -> PathNormalization:
    """What is done to paths before policies and routes see them. DEFAULT is BASE."""
    wanted = mesh(db).path_normalization.normalization
    return PathNormalization.BASE if wanted is PathNormalizationType.DEFAULT else PathNormalization(wanted.value)


@query
def security_filters(db: Registry, namespace: str, labels: Labels) -> tuple[JwtAuthn | Rbac, ...]:
    """The filters that protect a workload's (or gateway's) HTTP traffic: first who asks, then what they may."""
    own = project(labels, policy_label_keys(db, namespace))
    tokens = jwt_authn(db, namespace, own)
    return (*((tokens,) if tokens else ()), *authorization(db, namespace, own, True))


@query
def network_security_filters(db: Registry, namespace: str, labels: Labels) -> tuple[Rbac, ...]:
    """The filters that protect a workload's (or gateway's) TCP traffic."""
    return authorization(db, namespace, project(labels, policy_label_keys(db, namespace)), False)


def http_filters(security: tuple[JwtAuthn | Rbac, ...] = (), *, grpc_web: bool = False) -> tuple[HttpFilter, ...]:
    """All filters in Istio's order. Fault and CORS are always there, for the routes to use."""
    translated: tuple[HttpFilter, ...] = (GrpcWeb(),) if grpc_web else ()
    return (*security, *translated, GrpcStats(), Fault(), Cors(), Router())


def inbound_manager(
    settings: HttpSettings, *, stat_prefix: str, route: RouteSource, filters: tuple[HttpFilter, ...]
) -> HttpConnectionManager:
    """In front of the workload. It adds the caller's identity to what callers before it are said to be."""
    return HttpConnectionManager(
        stat_prefix=stat_prefix,
        route=route,
        filters=filters,
        forward_client_cert=ForwardClientCert.APPEND_FORWARD,
        describe_client_cert=True,
        path_normalization=settings.path_normalization,
        access_logs=settings.access_logs,
    )


def outbound_manager(
    settings: HttpSettings, *, stat_prefix: str, route: RouteSource, upgrades: tuple[str, ...] = ("websocket",)
) -> HttpConnectionManager:
    """In front of the mesh, for the workload's own requests. The answer's `server` header stays the other side's."""
    return HttpConnectionManager(
        stat_prefix=stat_prefix,
        route=route,
        filters=http_filters(),
        server_header=ServerHeader.PASS_THROUGH,
        path_normalization=settings.path_normalization,
        upgrades=upgrades,
        access_logs=settings.access_logs,
    )
