"""The bookshop in a mesh on a real node: installed with helm, labelled and applied, once for all tests."""

from collections.abc import Iterator

import pytest
from bringup import Cluster
from shop import NAMESPACE, ROOT, SYSTEM, Shop, install


@pytest.fixture(scope="session")
def system(node: Cluster) -> Shop:
    """The control plane, installed on the node; its own namespace."""
    install(node)
    return Shop(node, SYSTEM)


@pytest.fixture(scope="session")
def running(node: Cluster, system: Shop) -> Shop:
    """The bookshop, up and in the mesh."""
    shop = Shop(node)
    node.kubectl("create", "namespace", NAMESPACE)
    node.kubectl("label", "namespace", NAMESPACE, "weft.dev/injection=enabled")
    shop.kubectl("apply", "-f", ROOT / "examples/bookshop/kubernetes")
    shop.ready()
    return shop


@pytest.fixture
def shop(running: Shop) -> Iterator[Shop]:
    """The bookshop; rules of the mesh that a test applied are gone after it."""
    before = _rules(running)
    yield running
    for rule in _rules(running) - before:
        running.kubectl("delete", rule)


def _rules(shop: Shop) -> set[str]:
    kinds = "virtualservices,destinationrules,authorizationpolicies,peerauthentications,serviceentries,sidecars"
    return set(shop.kubectl("get", kinds, "-o", "name").split())
