"""Clusters for tests: `api_server` is enough for what talks to the API, `node` runs pods.

Both live for the session, so a test works in a `namespace` of its own and puts back what it changes elsewhere.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from bringup import NODELESS_CONTROLLERS, Cluster, ControlPlane, Unavailable
from bringup.binaries import Binaries

# The first test of a session waits for what an empty cache lacks: Kubernetes and the images, built from their sources.
SECONDS = 2400


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Room for building; tests of the node come last, and are known by the fixture that they ask for."""
    here = Path(__file__).parent
    ours = [item for item in items if item.path.is_relative_to(here)]
    for item in ours:
        fixtures = getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.timeout(SECONDS))
        item.add_marker(pytest.mark.node if "node" in fixtures else pytest.mark.cluster)
    order = {item: ("node" in getattr(item, "fixturenames", ())) for item in ours}
    items[:] = [item for item in items if item not in order] + sorted(ours, key=order.__getitem__)


def _given(scratch: Path) -> Cluster | None:
    """The cluster that `$KUBECONFIG` names, if any; the one in the home folder is never touched."""
    if kubeconfig := os.environ.get("KUBECONFIG"):
        return Cluster(Path(kubeconfig), scratch, Binaries())
    return None


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """An API server without nodes, with the controllers that need none."""
    state = tmp_path_factory.mktemp("api-server")
    if given := _given(state):
        yield given
        return
    try:
        cluster = ControlPlane(state, controllers=NODELESS_CONTROLLERS)
    except Unavailable as reason:
        pytest.skip(f"no API server: {reason}")
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def outage(api_server: Cluster) -> Callable[[], AbstractContextManager[None]]:
    """`with outage():` takes the API server away meanwhile; skipped on a cluster that is not ours to stop."""
    if not isinstance(api_server, ControlPlane):
        pytest.skip("the cluster of KUBECONFIG is not stopped")

    @contextmanager
    def away() -> Iterator[None]:
        api_server.stop_api_server()
        try:
            yield
        finally:
            api_server.start_api_server()

    return away


@pytest.fixture
def namespace(api_server: Cluster) -> Iterator[str]:
    """A new namespace on the API server; deleted after the test, without waiting for it."""
    name = f"test-{uuid4().hex[:8]}"
    api_server.kubectl("create", "namespace", name)
    yield name
    api_server.kubectl("delete", "namespace", name, "--wait=false")
