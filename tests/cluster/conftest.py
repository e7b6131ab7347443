"""Clusters for tests: `api_server` is enough for what talks to the API, `node` runs pods.

Both live for the session, so a test works in a `namespace` of its own and puts back what it changes elsewhere. A level
that this machine can't do is skipped, and the end of the run says so in red: skipped is not passed.
"""

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from bringup import NODELESS_CONTROLLERS, Cluster, CommandFailed, ControlPlane, Node, Unavailable, images
from bringup.binaries import Binaries

HERE = Path(__file__).parent
# The first test of a session waits for what an empty cache lacks: Kubernetes and the images, built from their sources.
SECONDS = 2400

# Collection and reports


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Room for building; tests of a node come last, and most are known by the fixture that they ask for."""
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    for item in ours:
        item.add_marker(pytest.mark.timeout(SECONDS))
        item.add_marker(pytest.mark.node if _rank(item) else pytest.mark.cluster)
    others = [item for item in items if not item.path.is_relative_to(HERE)]
    items[:] = others + sorted(ours, key=_rank)


def _rank(item: pytest.Item) -> int:
    """0 without a node, 1 with one of its own, 2 with the session's, beside which no other can run."""
    if "node" in getattr(item, "fixturenames", ()):
        return 2
    return int(item.get_closest_marker("node") is not None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, None, None]:
    """What can't be had here is no failure of the test."""
    try:
        yield
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """As above, for a test that asks for it itself."""
    try:
        yield
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure on the node comes with its Pods and what happened to them."""
    report = yield
    node = getattr(item, "funcargs", {}).get("node")
    if report.failed and isinstance(node, Cluster):
        for what in (("pods", "--output=wide"), ("events", "--sort-by=.metadata.creationTimestamp")):
            try:
                table = node.kubectl("get", *what, "--all-namespaces", timeout=10)
            except (CommandFailed, TimeoutError) as error:
                table = str(error)
            report.sections.append((what[0], "\n".join(table.splitlines()[-30:])))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what has not been tested, and why."""
    skipped: list[pytest.TestReport] = terminalreporter.stats.get("skipped", [])
    root = terminalreporter.config.rootpath
    ours = [report for report in skipped if (root / report.nodeid.split("::")[0]).is_relative_to(HERE)]
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ") for report in ours if isinstance(report.longrepr, tuple)
    )
    if reasons:
        terminalreporter.section("NOT TESTED on a real cluster", red=True, bold=True)
    for reason, count in reasons.items():
        terminalreporter.write_line(f"{count} tests: {reason}", red=True)


# Clusters


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
    cluster = ControlPlane(state, controllers=NODELESS_CONTROLLERS)
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that runs Pods, with the images of Weft and of the bookshop in it."""
    state = tmp_path_factory.mktemp("node")
    if given := _given(state):
        if os.environ.get("WEFT_IMAGES_LOADED") != "1":
            raise Unavailable(
                f"the cluster of KUBECONFIG needs {images.WEFT} and {images.BOOKSHOP}: load the archive that "
                "`python -m bringup images` makes, and set WEFT_IMAGES_LOADED=1"
            )
        yield given
        return
    cluster = Node(state)
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def start_control_plane(tmp_path: Path) -> Iterator[Callable[..., ControlPlane]]:
    """Starts control planes with options of their own; skipped where a cluster is given: nothing is started then."""
    if "KUBECONFIG" in os.environ:
        raise Unavailable("needs a control plane of its own, and KUBECONFIG gives another")
    with ExitStack() as stack:

        def start(**options: Any) -> ControlPlane:
            cluster = ControlPlane(tmp_path / f"control-plane-{uuid4().hex[:8]}", **options)
            cluster.start()
            stack.callback(cluster.stop)
            return cluster

        yield start


@pytest.fixture
def outage(api_server: Cluster) -> Callable[[], AbstractContextManager[None]]:
    """`with outage():` takes the API server away meanwhile; skipped on a cluster that is not ours to stop."""

    @contextmanager
    def away() -> Iterator[None]:
        api_server.stop_api_server()
        try:
            yield
        finally:
            api_server.start_api_server()

    return away


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> Iterator[str]:
    """A new namespace on the cluster that the test uses; deleted after the test, without waiting for it."""
    cluster: Cluster = request.getfixturevalue("node" if "node" in request.fixturenames else "api_server")
    name = f"test-{uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")
