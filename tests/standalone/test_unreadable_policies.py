"""Security policies that can't be read when the mesh starts: their workloads refuse everything until they can be."""

import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.standalone.conftest import Client, Mesh

pytestmark = pytest.mark.envoy

PRODUCTS = "/api/v1/products"
POLICY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: productpage
spec:
  selector:
    matchLabels: {app: productpage}
  action: ALLOW
  rules: [{}]
"""


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(POLICY.replace("rules: [{}]", "rules: [{to: [{methods: [GET]}]}]"), id="a field one level off"),
        pytest.param(POLICY.replace("  action", "   action"), id="no YAML"),
    ],
)
async def test_an_unreadable_policy_refuses_until_it_is_mended(
    launch: "Callable[..., Mesh]",
    connect: "Callable[[int], Client]",
    eventually: Callable[..., Awaitable[None]],
    broken: str,
) -> None:
    mesh = launch("gateway.yaml", "productpage.yaml", "routing.yaml", added={"policy.yaml": broken})
    mesh.wait_until_up(PRODUCTS, status=403)
    client = connect(mesh.port)
    assert {answer.status for answer in await client.many(20, PRODUCTS)} == {403}
    assert "WEFT0020 AuthorizationPolicy default/productpage" in mesh.output
    assert "policy.yaml:1:" in mesh.output

    async def let_in() -> None:
        assert {answer.status for answer in await client.many(20, PRODUCTS)} == {200}

    mesh.apply("policy.yaml", POLICY)
    await eventually(let_in)
    told = mesh.output.count("policy.yaml")
    mesh.apply("policy.yaml", broken)

    async def told_again() -> None:
        assert mesh.output.count("policy.yaml") > told

    await eventually(told_again)
    await let_in()
    assert mesh.end(signal.SIGTERM) == 0
    assert mesh.left() == []
