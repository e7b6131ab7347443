"""Real requests through a real Envoy's gateway listener: the claims of a verified token choose the route."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.protobuf.json_format import MessageToDict

from weft_core.ingest import replace_all
from weft_core.model.decode import decode
from weft_core.proxy import LocalPorts, ProxyId, ProxyKind
from weft_core.registry import Registry
from weft_core.view.gateway_listeners import gateway_listeners
from weft_core.view.gateway_routes import gateway_route_ids, gateway_virtual_host_ids
from weft_core.view.gateways import gateway_id
from weft_core.view.routes import route_configuration
from weft_core.view.virtual_hosts import virtual_host
from weft_xds.build.listener import build_listener
from weft_xds.build.route import build_route_configuration, build_virtual_host

if TYPE_CHECKING:
    from tests.envoy.conftest import Envoy

pytestmark = pytest.mark.envoy

ISSUER = "https://tokens.test"
EDGE = """
apiVersion: v1
kind: Pod
metadata: {name: edge-0, namespace: edge, labels: {istio: edge}}
spec: {containers: [{name: istio-proxy}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: edge}
spec:
  selector: {istio: edge}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.test]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: edge}
spec:
  hosts: [shop.test]
  gateways: [edge]
  http:
  - match: [{headers: {"@request.auth.claims.groups": {exact: staff}}}]
    directResponse: {status: 200, body: {string: staff}}
  - match: [{headers: {"@request.auth.claims.realm.role": {exact: guest}}}]
    directResponse: {status: 200, body: {string: guest}}
  - directResponse: {status: 200, body: {string: anybody}}
"""


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """Makes tokens, and the RequestAuthentication by which the gateway verifies them."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def policy(self) -> str:
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "alg": "RS256", "n": encoded(numbers.n.to_bytes(256)), "e": encoded(numbers.e.to_bytes(3))}
        return f"""
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: tokens, namespace: edge}}
spec: {{jwtRules: [{{issuer: "{ISSUER}", jwks: '{json.dumps({"keys": [key]})}'}}]}}
"""

    def headers(self, **claims: object) -> dict[str, str]:
        said = {"iss": ISSUER, "sub": "jo", "exp": int(time.time()) + 600, **claims}
        text = ".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "RS256"}, said))
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return {"authorization": f"Bearer {text}.{encoded(signature)}"}


def bootstrap(port: int, *documents: str) -> dict[str, Any]:
    """An Envoy that is the gateway, with its virtual hosts in the listener, as no control plane is there to ask."""
    db = Registry()
    decoded = [decode(document) for text in documents for document in yaml.safe_load_all(text)]
    assert not [problem for each in decoded if each.rejected for problem in each.problems]
    replace_all(db, [each.object for each in decoded])
    db.local_ports.put(("edge", "edge-0"), LocalPorts(inbound=((80, port),), application=((80, port),)))
    gateway = gateway_id(db, ProxyId(ProxyKind.GATEWAY, "edge", "edge-0"))
    assert gateway is not None
    (route_id,) = gateway_route_ids(db, gateway)
    configuration = route_configuration(db, route_id)
    assert configuration is not None
    routes = build_route_configuration(configuration)
    hosts = [virtual_host(db, each) for each in gateway_virtual_host_ids(db, gateway)]
    routes.virtual_hosts.extend(build_virtual_host(host) for host in hosts if host is not None)
    (listener,) = (
        MessageToDict(build_listener(each), preserving_proto_field_name=True) for each in gateway_listeners(db, gateway)
    )
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    del manager["rds"]
    routes.ClearField("vhds")
    manager["route_config"] = MessageToDict(routes, preserving_proto_field_name=True)
    return {"node": {"id": "edge-0", "cluster": "edge"}, "static_resources": {"listeners": [listener]}}


async def test_claims_of_a_verified_token_choose_the_route(
    start_envoy: Callable[[dict[str, Any]], Awaitable["Envoy"]],
    free_ports: Callable[[int], list[int]],
    http: aiohttp.ClientSession,
) -> None:
    issuer = Issuer()
    (port,) = free_ports(1)
    envoy = await start_envoy(bootstrap(port, EDGE, issuer.policy()))
    await envoy.ready()

    async def answer(headers: dict[str, str]) -> str:
        async with http.get(f"http://127.0.0.1:{port}/", headers={"host": "shop.test", **headers}) as response:
            return await response.text()

    assert await answer({}) == "anybody"
    assert await answer(issuer.headers(groups=["other", "staff"])) == "staff"
    assert await answer(issuer.headers(groups="staff")) == "staff"
    assert await answer(issuer.headers(realm={"role": "guest"})) == "guest"
    assert await answer(issuer.headers(groups=["other"])) == "anybody"
    assert "staff" not in await answer(Issuer().headers(groups=["staff"]))
