"""Nothing fails while things are replaced: pods of the shop, the control plane, the API server."""

import time

import pytest
from bringup import Cluster
from shop import NAMESPACE, Load, Shop, eventually

ONLY = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews}}
spec:
  hosts: [reviews]
  http: [{{route: [{{destination: {{host: reviews, subset: {0}}}}}]}}]
"""


@pytest.fixture
def load(shop: Shop) -> Load:
    """Requests for the whole page, whose every part must be there."""
    return Load(lambda: shop.page("/api/v1/products/0/reviews"))


def test_the_shop_is_restarted_without_a_failed_request(shop: Shop, load: Load) -> None:
    names = [
        f"deployment/{each}" for each in ("productpage-v1", "reviews-v1", "reviews-v2", "reviews-v3", "ratings-v1")
    ]
    with load:
        time.sleep(2)
        shop.kubectl("rollout", "restart", *names)
        shop.ready()
        time.sleep(5)
    assert load.total > 200
    assert load.failures == []


def test_the_control_plane_is_restarted_without_a_failed_request(shop: Shop, system: Shop, load: Load) -> None:
    with load:
        time.sleep(1)
        system.kubectl("rollout", "restart", "deployment/weft")
        system.ready()
        time.sleep(5)
    assert load.total > 200
    assert load.failures == []
    shop.apply(ONLY.format("v3"))
    eventually(lambda: _only(shop, "v3"), 10)


def _only(shop: Shop, version: str) -> None:
    assert set(shop.reviews(5)) == {version}


def test_traffic_outlives_the_api_server_and_changes_made_meanwhile_arrive(
    shop: Shop, node: Cluster, load: Load
) -> None:
    shop.apply(ONLY.format("v1"))
    eventually(lambda: _only(shop, "v1"), 10)
    with load:
        node.stop_api_server()
        time.sleep(60)
        node.start_api_server()
        shop.apply(ONLY.format("v2"))
        eventually(lambda: _only(shop, "v2"), 30)
    assert load.total > 1000
    assert load.failures == []
    assert node.kubectl("get", "pods", "-n", NAMESPACE, "--no-headers")
