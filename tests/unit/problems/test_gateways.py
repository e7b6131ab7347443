"""What users are told about Gateways whose pods are not there."""

from collections.abc import Callable

import pytest

from weft_core.problems import Code
from weft_core.registry import Registry
from weft_core.view.gateway_problems import gateway_problems

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
