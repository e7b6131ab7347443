"""The listener that takes the kubelet's probes for the application.

The kubelet has no certificate of the mesh, so a pod that insists on mutual TLS could not be probed at the application's
own ports. Its probes come here instead, where only the paths that were made for them are known:

- HTTP probes, and HTTP hooks, are passed on to the application with path and headers as the pod's author wrote them;
- TCP and gRPC probes become active health checks of a cluster, and the path answers what the last one found. A host
  counts as down until its first check has succeeded, so nothing is up before it was seen to be.

The application is called at the pod's address, as the kubelet would, or where the mesh leads inbound traffic to, from
the address that capture lets pass.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

from weft_injector.bootstrap.address import duration, socket_address

PROBE_PORT = 15020
LISTENER = "probes"
_SOURCES = ("127.0.0.6", "::6")
"""Where capture lets connections within the pod pass; Envoy takes the one of the destination's IP version."""
_TCP_INTERVAL = timedelta(seconds=1)
_GRPC_INTERVAL = timedelta(seconds=5)
_DOWN_INTERVAL = timedelta(seconds=1)
"""While it is down it is looked at often: readiness waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProbe:
    """A GET that is passed on. Its headers, `Host` among them, are those that the kubelet sends."""

    path: str
    """Where the kubelet asks."""
    port: int
    target: str
    """The application's path, with its query."""
    tls: bool = False
    """No certificate is verified, as the kubelet verifies none."""
    server_name: str = ""
    timeout: timedelta | None
    """None: as long as it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpProbe:
    """Whether a connection can be opened."""

    path: str
    port: int
    timeout: timedelta
    period: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcProbe:
    """Whether `grpc.health.v1.Health` says that the service is SERVING."""

    path: str
    port: int
    service: str = ""
    timeout: timedelta
    period: timedelta


Probe = HttpProbe | TcpProbe | GrpcProbe


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """What a cluster is made of: probes that agree in it share the cluster."""

    port: int
    tls: bool = False
    server_name: str = ""
    check: TcpProbe | GrpcProbe | None = None
    """The probe whose check it is, without its path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeListener:
    """The listener for a pod's probes, and the clusters behind it. Paths must be unique."""

    probes: Sequence[Probe]
    address: str
    """The pod's address, to which the kubelet connects."""
    application: str
    """Where the application listens: the pod's address too, or loopback."""
    port: int = PROBE_PORT
    taken: frozenset[str] = frozenset()
    """Names that clusters must not have."""
    _paths: dict[_Target, list[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for probe in self.probes:
            self._paths.setdefault(_target(probe), []).append(probe.path)

    def listener(self) -> dict[str, Any]:
        """The static listener."""
        host = {
            "name": "probes",
            "domains": ["*"],
            "routes": list(self._routes()),
            # Without it a redirect is the answer, and a success, as one to another host is to the kubelet. With it the
            # kubelet would follow to a path that is not known here.
            "response_headers_to_remove": ["location"],
        }
        manager = {
            "@type": f"{_TYPE}/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "probes",
            "server_header_transformation": "PASS_THROUGH",
            "generate_request_id": False,
            "skip_xff_append": True,
            "route_config": {"name": "probes", "virtual_hosts": [host]},
            "http_filters": [*self._health_checks(), _router()],
        }
        filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
        return {
            "name": LISTENER,
            "address": socket_address(self.address, self.port),
            "filter_chains": [{"filters": filters}],
        }

    def clusters(self) -> list[dict[str, Any]]:
        """The static clusters."""
        return [self._cluster(target, name) for target, name in self._names().items()]

    def _names(self) -> dict[_Target, str]:
        """Short names without dots, which is what the metrics' labels are cut out by."""
        names: dict[_Target, str] = {}
        for target in self._paths:
            used = self.taken.union(names.values())
            candidates = (f"probe|{target.port}" + (f"|{number}" if number else "") for number in count())
            names[target] = next(name for name in candidates if name not in used)
        return names

    def _routes(self) -> Iterator[dict[str, Any]]:
        names = self._names()
        for probe in self.probes:
            if isinstance(probe, HttpProbe):
                action = {
                    "cluster": names[_target(probe)],
                    "prefix_rewrite": probe.target,
                    "timeout": duration(probe.timeout or timedelta()),
                }
                yield {"match": {"path": probe.path}, "route": action}

    def _health_checks(self) -> Iterator[dict[str, Any]]:
        """One filter per cluster: it answers for its paths by itself, and lets others pass."""
        names = self._names()
        for target, paths in self._paths.items():
            if target.check is not None:
                config = {
                    "@type": f"{_TYPE}/envoy.extensions.filters.http.health_check.v3.HealthCheck",
                    "pass_through_mode": False,
                    "headers": [{"name": ":path", "string_match": _any_of(paths)}],
                    "cluster_min_healthy_percentages": {names[target]: {"value": 100}},
                }
                yield {"name": "envoy.filters.http.health_check", "typed_config": config}

    def _cluster(self, target: _Target, name: str) -> dict[str, Any]:
        endpoint = {"endpoint": {"address": socket_address(self.application, target.port)}}
        first, *others = _SOURCES
        cluster: dict[str, Any] = {
            "name": name,
            "type": "STATIC",
            "upstream_bind_config": {
                "source_address": {"address": first, "port_value": 0},
                "extra_source_addresses": [{"address": {"address": other, "port_value": 0}} for other in others],
            },
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        }
        if target.check is None:
            # A connection that was kept open would say that the application once listened, not that it does.
            cluster["typed_extension_protocol_options"] = _protocol(
                {"http_protocol_options": {}}, common={"max_requests_per_connection": 1}
            )
        else:
            cluster["health_checks"] = [_health_check(target.check)]
            if isinstance(target.check, GrpcProbe):
                cluster["typed_extension_protocol_options"] = _protocol({"http2_protocol_options": {}})
        if target.tls:
            cluster["transport_socket"] = _unverified_tls(target.server_name)
        return cluster


def with_more_probes(
    bootstrap: dict[str, Any], probes: Sequence[Probe], *, address: str, application: str
) -> dict[str, Any]:
    """A bootstrap that serves further probes, at paths that it does not know yet. What is given stays as it is."""
    resources = bootstrap["static_resources"]
    taken = frozenset(cluster["name"] for cluster in resources["clusters"])
    added = ProbeListener(probes=probes, address=address, application=application, taken=taken)
    listeners = [_joined(old, added.listener()) if old["name"] == LISTENER else old for old in resources["listeners"]]
    if all(old["name"] != LISTENER for old in listeners):
        listeners.append(added.listener())
    clusters = [*resources["clusters"], *added.clusters()]
    return {**bootstrap, "static_resources": {**resources, "listeners": listeners, "clusters": clusters}}


def _joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The listener with the routes and filters of both; the router stays last."""
    joined = copy.deepcopy(one)
    manager, further = (each["filter_chains"][0]["filters"][0]["typed_config"] for each in (joined, other))
    [host], [more] = (each["route_config"]["virtual_hosts"] for each in (manager, further))
    host["routes"] += more["routes"]
    manager["http_filters"] = [*manager["http_filters"][:-1], *further["http_filters"]]
    return joined


_TYPE = "type.googleapis.com"


def _target(probe: Probe) -> _Target:
    match probe:
        case HttpProbe():
            return _Target(port=probe.port, tls=probe.tls, server_name=probe.server_name)
        case TcpProbe():
            check: TcpProbe | GrpcProbe = TcpProbe(path="", port=probe.port, timeout=probe.timeout, period=probe.period)
        case GrpcProbe():
            check = GrpcProbe(
                path="", port=probe.port, service=probe.service, timeout=probe.timeout, period=probe.period
            )
    return _Target(port=probe.port, check=check)


def _health_check(probe: TcpProbe | GrpcProbe) -> dict[str, Any]:
    """An active check. One success or failure counts: how many make a difference is the kubelet's affair."""
    up = min(probe.period, _GRPC_INTERVAL if isinstance(probe, GrpcProbe) else _TCP_INTERVAL)
    down = min(probe.period, _DOWN_INTERVAL)
    # Envoy has intervals of their own for a cluster without requests, as this one is; what is left out follows these.
    intervals = {"interval": up, "no_traffic_interval": down}
    if up != down:
        intervals |= {"no_traffic_healthy_interval": up, "unhealthy_interval": down}
    kind: dict[str, Any] = (
        # A name that no server refuses: Envoy's own would be the cluster's.
        {"grpc_health_check": {"service_name": probe.service, "authority": "localhost"}}
        if isinstance(probe, GrpcProbe)
        else {"tcp_health_check": {}}
    )
    return {
        "timeout": duration(probe.timeout),
        **{name: duration(interval) for name, interval in intervals.items()},
        "unhealthy_threshold": 1,
        "healthy_threshold": 1,
        "reuse_connection": False,
        **kind,
    }


def _any_of(paths: Sequence[str]) -> dict[str, Any]:
    """Matches the whole `:path`. Names of containers hold nothing that a regular expression would take for more."""
    if len(paths) == 1:
        return {"exact": paths[0]}
    return {"safe_regex": {"regex": "|".join(paths)}}


def _router() -> dict[str, Any]:
    config = {"@type": f"{_TYPE}/envoy.extensions.filters.http.router.v3.Router", "suppress_envoy_headers": True}
    return {"name": "envoy.filters.http.router", "typed_config": config}


def _protocol(explicit: dict[str, Any], *, common: dict[str, Any] | None = None) -> dict[str, Any]:
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    options: dict[str, Any] = {"@type": f"{_TYPE}/{name}", "explicit_http_config": explicit}
    if common:
        options["common_http_protocol_options"] = common
    return {name: options}


def _unverified_tls(server_name: str) -> dict[str, Any]:
    context: dict[str, Any] = {
        "@type": f"{_TYPE}/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {"tls_params": {"tls_maximum_protocol_version": "TLSv1_3"}},
    }
    if server_name:
        context["sni"] = server_name
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}
