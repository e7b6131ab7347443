"""What users are told about Gateways whose pods are not there."""

from collections.abc import Callable

import pytest

from weft_core.problems import Code
from weft_core.registry import Registry
from weft_core.view.gateway_problems import gateway_problems
from weft_core.view.virtual_service_problems import virtual_service_problems

GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: other}
spec: {selector: {app: %s}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
"""


@pytest.mark.parametrize(("app", "codes"), [("web", []), ("wbe", [Code.REFERENCED_RESOURCE_NOT_FOUND])])
def test_pods_are_looked_for_in_all_namespaces(
    registry: Callable[..., Registry], shop: str, app: str, codes: list[str]
) -> None:
    problems = gateway_problems(registry(shop, GATEWAY % app), ("other", "edge"))
    assert [problem.code for problem in problems] == codes


def test_where_no_pods_are_known_none_is_missed(registry: Callable[..., Registry]) -> None:
    assert gateway_problems(registry(GATEWAY % "web"), ("other", "edge")) == ()


def test_a_port_that_no_service_of_the_gateway_has(registry: Callable[..., Registry], shop: str) -> None:
    """One with an address of its own is meant for the pod."""
    elsewhere = (GATEWAY % "web").replace("number: 80", "number: 4444")
    (problem,) = gateway_problems(registry(shop, elsewhere), ("other", "edge"))
    assert (problem.code, problem.path) == (Code.GATEWAY_PORT_NOT_ON_SERVICE, "spec.servers[0].port.number")
    assert "write one of 80, " in problem.fix
    bound = elsewhere.replace("hosts:", "bind: 127.0.0.1, hosts:")
    assert gateway_problems(registry(shop, bound), ("other", "edge")) == ()


ROUTE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: staff, namespace: other}
spec:
  hosts: [a.example]
  gateways: [edge]
  http: [{match: [{headers: {'@request.auth.claims[group]': {exact: staff}}}], redirect: {uri: /}}]
"""
TOKENS = """
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: shop}
spec: {selector: {matchLabels: {app: %s}}, jwtRules: [{issuer: a, jwks: '{"keys": []}'}]}
"""


@pytest.mark.parametrize(("app", "told"), [("web", False), ("other", True)])
def test_routes_by_claims_need_tokens_that_are_verified(
    registry: Callable[..., Registry], shop: str, app: str, told: bool
) -> None:
    problems = virtual_service_problems(registry(shop, GATEWAY % "web", ROUTE, TOKENS % app), ("other", "staff"))
    assert [(problem.code, problem.path) for problem in problems] == [
        (Code.CLAIM_ROUTE_WITHOUT_AUTHENTICATION, "spec.http[0].match[0].headers[@request.auth.claims[group]]")
    ] * told
