"""Every feature of routes, as built for Envoy, is accepted by `envoy --mode validate`."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml
from envoy.config.core.v3.base_pb2 import HeaderValue
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf.json_format import MessageToDict

from weft_core.model.destination_rule import DestinationRule
from weft_core.model.gateway import Gateway
from weft_core.model.kubernetes import ObjectMeta, Pod, Service, ServicePort, ServiceSpec
from weft_core.model.meta import Config, Meta
from weft_core.model.virtual_service import VirtualService
from weft_core.proxy import ProxyId, ProxyKind
from weft_core.registry import Registry
from weft_core.view.gateway_routes import gateway_route_ids, gateway_virtual_host_ids
from weft_core.view.gateways import gateway_id
from weft_core.view.routes import route_configuration, route_ids
from weft_core.view.virtual_hosts import VirtualHostId, virtual_host, virtual_host_ids
from weft_core.view.visibility import Client
from weft_xds.build.route import build_route_configuration, build_virtual_host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.envoy.conftest import Envoy

pytestmark = pytest.mark.envoy

RULES = {
    "path": "{match: [{uri: {exact: /a}, ignoreUriCase: true}, {uri: {regex: '/b.*'}}], route: [R]}",
    "headers": "{match: [{headers: {a: {exact: x}, b: {}, c: {regex: '.+'}}, withoutHeaders: {d: {prefix: y}}}],"
    " route: [R]}",
    "pseudo headers": "{match: [{method: {exact: GET}, authority: {prefix: a}, scheme: {exact: http}}], route: [R]}",
    "query": "{match: [{queryParams: {v: {exact: '2'}, w: {}, x: {regex: 'a|b'}}}], route: [R]}",
    "claims": "{match: [{headers: {'@request.auth.claims[a][b]': {exact: x}}}], route: [R]}",
    "weights": "{route: [{destination: {host: shop, subset: a}, weight: 9, headers: {request: {set: {host: x}}}},"
    " {destination: {host: shop, subset: b}, weight: 1, headers: {response: {add: {v: b}, remove: [w]}}}]}",
    "timeout and retries": "{timeout: 1s, retries: {attempts: 3, perTryTimeout: 1s, retryOn: '5xx,503', backoff: 1s,"
    " retryRemoteLocalities: true}, route: [R]}",
    "fault": "{fault: {delay: {fixedDelay: 1s, percentage: {value: 0.5}}, abort: {httpStatus: 503,"
    " percentage: {value: 100}}}, route: [R]}",
    "gRPC fault": "{fault: {abort: {grpcStatus: UNAVAILABLE, percentage: {value: 1}}}, route: [R]}",
    "redirect": "{redirect: {uri: /x, authority: y, scheme: https, port: 8443, redirectCode: 308}}",
    "prefix redirect": "{match: [{uri: {prefix: /a}}], redirect: {prefixRewrite: /b}}",
    "direct response": "{directResponse: {status: 503, body: {string: away}}}",
    "large direct response": "{directResponse: {status: 200, body: {string: '" + "x" * 9000 + "'}}}",
    "bytes": "{directResponse: {status: 200, body: {bytes: AP8=}}}",
    "rewrite": "{match: [{uri: {exact: /a}}], rewrite: {uri: /b, authority: z}, route: [R]}",
    "regex rewrite": "{rewrite: {uriRegexRewrite: {match: '^/a/(.*)', rewrite: '/b/\\1'}}, route: [R]}",
    "mirrors": "{mirrors: [{destination: {host: shop}, percentage: {value: 33.3}}], route: [R]}",
    "cors": "{corsPolicy: {allowOrigins: [{exact: 'https://a'}, {prefix: 'https://b'}, {regex: 'https://.*'}],"
    " allowMethods: [GET], allowHeaders: [x], exposeHeaders: [z], maxAge: 1h, allowCredentials: true}, route: [R]}",
    "headers of the route": "{headers: {request: {set: {a: '1'}, add: {b: '%PROTOCOL%'}, remove: [c]}}, route: [R]}",
    "names": "{name: main, match: [{name: m, statPrefix: s}], route: [R]}",
}


def mesh(rule: str, *, hashed: str = "") -> Registry:
    """A Service `shop` on named and unnamed ports, a gateway pod, and this rule for both."""
    db = Registry()
    ports = (ServicePort(name="http", port=80), ServicePort(name="", port=8080))
    spec = ServiceSpec(cluster_ip="fd00::1", ports=ports)
    db.services.put(("default", "shop"), Service(metadata=ObjectMeta(name="shop", namespace="default"), spec=spec))
    db.pods.put(("edge", "gw"), Pod(metadata=ObjectMeta(name="gw", namespace="edge", labels={"istio": "edge"})))
    servers = "[{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*'], tls: {httpsRedirect: true}}]"
    gateway = Gateway.model_validate({"selector": {"istio": "edge"}, "servers": yaml.safe_load(servers)})
    db.gateways.put(("edge", "gw"), Config(meta=Meta(kind="Gateway", namespace="edge", name="gw"), spec=gateway))
    written = rule.replace("R]", "{destination: {host: shop, port: {number: 80}}}]")
    virtual = VirtualService.model_validate(
        {"hosts": ["shop", "a.example"], "gateways": ["mesh", "edge/gw"], "http": [yaml.safe_load(written)]}
    )
    meta = Meta(kind="VirtualService", namespace="default", name="shop")
    db.virtual_services.put(("default", "shop"), Config(meta=meta, spec=virtual))
    if hashed:
        policy = {"loadBalancer": {"consistentHash": yaml.safe_load(hashed)}}
        spec_of_rule = DestinationRule.model_validate({"host": "shop", "trafficPolicy": policy})
        meta = Meta(kind="DestinationRule", namespace="default", name="shop")
        db.destination_rules.put(("default", "shop"), Config(meta=meta, spec=spec_of_rule))
    return db


def configurations(db: Registry) -> "Iterator[RouteConfiguration]":
    """All route configurations with their virtual hosts put inside, as Envoy has them in the end."""
    client = Client(namespace="default", local=True)
    gateway = gateway_id(db, ProxyId(ProxyKind.GATEWAY, "edge", "gw"))
    assert gateway is not None
    keys = (*route_ids(db, client), *gateway_route_ids(db, gateway))
    hosts: tuple[VirtualHostId, ...] = (*virtual_host_ids(db, client), *gateway_virtual_host_ids(db, gateway))
    for key in keys:
        message = build_route_configuration(route_configuration(db, key))
        message.ClearField("vhds")
        found = [virtual_host(db, host) for host in hosts if host.route_configuration == key.name]
        message.virtual_hosts.extend(build_virtual_host(host) for host in found if host)
        yield message


def bootstrap(found: list[RouteConfiguration]) -> dict[str, Any]:
    """A listener for each route configuration, with the filters that routes may have settings for."""
    return {"static_resources": {"listeners": [_listener(index, one) for index, one in enumerate(found)]}}


def _listener(index: int, configuration: RouteConfiguration, port: int = 0) -> dict[str, Any]:
    http = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{http}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "route_config": MessageToDict(configuration, preserving_proto_field_name=True),
        "http_filters": [
            {"name": "envoy.filters.http.fault", "typed_config": {"@type": f"{http}.http.fault.v3.HTTPFault"}},
            {"name": "envoy.filters.http.cors", "typed_config": {"@type": f"{http}.http.cors.v3.Cors"}},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{http}.http.router.v3.Router"}},
        ],
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port or 20000 + index}}
    return {
        "name": f"listener-{index}",
        "address": address,
        "bind_to_port": bool(port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


async def validate(envoy: Path, found: list[RouteConfiguration], directory: Path) -> None:
    """Fail with Envoy's words where it does not take the configuration."""
    path = directory / "bootstrap.json"
    path.write_text(json.dumps(bootstrap(found)))
    process = await asyncio.create_subprocess_exec(
        str(envoy), "--mode", "validate", "-c", str(path), "-l", "warning",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, text
    assert "deprecated" not in text.lower(), text


async def test_all_rules_are_accepted_at_once(envoy_binary: Path, tmp_path: Path) -> None:
    found = [message for rule in RULES.values() for message in configurations(mesh(rule))]
    assert len(found) > 3 * len(RULES)
    await validate(envoy_binary, found, tmp_path)


@pytest.mark.parametrize(
    "hashed",
    [
        "{httpHeaderName: a}",
        "{httpCookie: {name: c, ttl: 0s}}",
        "{httpQueryParameterName: q}",
        "{useSourceIp: true}",
    ],
)
async def test_hash_policies_are_accepted(hashed: str, envoy_binary: Path, tmp_path: Path) -> None:
    await validate(envoy_binary, list(configurations(mesh("{route: [R]}", hashed=hashed))), tmp_path)


REWRITES = """
hosts: [shop]
http:
- {match: [{uri: {prefix: /textual}}], rewrite: {uri: /new}, route: [R]}
- {match: [{uri: {exact: /exact/path}}], rewrite: {uri: /new}, route: [R]}
- {match: [{uri: {regex: '/regex/.*'}}], rewrite: {uri: /new}, route: [R]}
"""


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ("/textual/x?q=1", "/new/x?q=1"),
        ("/textuality", "/newity"),
        ("/exact/path?q=1", "/new?q=1"),
        ("/regex/a/b/c", "/new"),
    ],
)
async def test_rule_4_prefixes_are_textual_and_rewrites_replace_what_was_matched(
    asked: str,
    seen: str,
    start_envoy: "Callable[..., Awaitable[Envoy]]",
    free_ports: Callable[[int], list[int]],
    http: aiohttp.ClientSession,
) -> None:
    front, back = free_ports(2)
    client = Client(namespace="default")
    (key,) = (key for key in virtual_host_ids(routed(REWRITES), client) if key.port == 80)
    host = virtual_host(routed(REWRITES), key)
    assert host is not None
    message = RouteConfiguration(name="80", virtual_hosts=[build_virtual_host(host)])
    message.virtual_hosts[0].domains[:] = ["*"]
    listeners = [_listener(0, message, front), _listener(1, _echo(), back)]
    endpoint = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": back}}}
    cluster = {
        "name": "outbound|80||shop.default.svc.cluster.local",
        "load_assignment": {
            "cluster_name": "shop",
            "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}],
        },
    }
    envoy = await start_envoy({"static_resources": {"listeners": listeners, "clusters": [cluster]}})
    await envoy.ready()
    async with http.get(f"http://127.0.0.1:{front}{asked}") as response:
        assert response.headers["seen"] == seen


def routed(text: str) -> Registry:
    """The mesh, with this VirtualService in place of the usual one."""
    db = mesh("{route: [R]}")
    written = text.replace("R]", "{destination: {host: shop, port: {number: 80}}}]")
    meta = Meta(kind="VirtualService", namespace="default", name="shop")
    spec = VirtualService.model_validate(yaml.safe_load(written))
    db.virtual_services.put(("default", "shop"), Config(meta=meta, spec=spec))
    return db


def _echo() -> RouteConfiguration:
    """Answers with the path that it was asked for, in the header `seen`."""
    message = RouteConfiguration(name="echo")
    host = message.virtual_hosts.add(name="echo", domains=["*"])
    host.response_headers_to_add.add().header.MergeFrom(HeaderValue(key="seen", value="%REQ(:PATH)%"))
    route = host.routes.add()
    route.match.prefix = "/"
    route.direct_response.status = 200
    return message
