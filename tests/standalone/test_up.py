"""`weft up` itself: from start to end, and whatever happens in between."""

import asyncio
import os
import re
import signal
import socket
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.standalone.conftest import Client, Mesh

pytestmark = pytest.mark.envoy

SMALL = ("gateway.yaml", "productpage.yaml", "routing.yaml")
"""One workload and a gateway: enough for tests of processes."""
PRODUCTS = "/api/v1/products"
REVIEWS = "/api/v1/products/0/reviews"
DETAILS = "/api/v1/products/0"
FEATURES = Path(__file__).parents[2] / "examples" / "features"
STUBBORN = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: stubborn}
spec:
  selector: {matchLabels: {app: stubborn}}
  template:
    metadata:
      labels: {app: stubborn}
      annotations:
        weft.dev/local-command: sh -c 'trap "" TERM; while true; do sleep 1; done'
    spec:
      containers: [{name: stubborn, image: weft-bookshop}]
"""

Eventually = Callable[..., Awaitable[None]]


def only(version: str) -> str:
    """A VirtualService that sends all requests for reviews to one version."""
    return (FEATURES / "traffic-by-version.yaml").read_text().replace("subset: v3", f"subset: {version}")


# Start and end


def test_the_quick_start_answers_soon_and_leaves_nothing_behind(
    launch: "Callable[..., Mesh]", figure: Callable[[str], None]
) -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 8080)) == 0:
            pytest.skip("port 8080 is in use on this machine")
    begin = time.monotonic()
    mesh = launch(port=8080)
    mesh.wait_until_up()
    seconds = time.monotonic() - begin
    figure(f"from `weft up` to the first 200 through gateway and sidecars: {seconds:.1f} s")
    assert seconds < 20
    assert mesh.end(signal.SIGINT) == 0
    assert mesh.left() == []


def test_a_second_interrupt_ends_what_does_not_want_to_end(launch: "Callable[..., Mesh]") -> None:
    mesh = launch(*SMALL)
    mesh.apply("stubborn.yaml", STUBBORN)
    mesh.wait_until_up(PRODUCTS)
    deadline = time.monotonic() + 10
    while "stubborn-0" not in mesh.processes().values():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    begin = time.monotonic()
    mesh.end(signal.SIGINT, signal.SIGINT)
    assert time.monotonic() - begin < 3  # and not the 5 s that a process is given to end by itself
    assert mesh.left() == []


def test_a_killed_mesh_takes_its_processes_along(launch: "Callable[..., Mesh]") -> None:
    mesh = launch(*SMALL)
    mesh.wait_until_up(PRODUCTS)
    assert len(mesh.processes()) >= 4
    mesh.end(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while mesh.processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert mesh.processes() == {}


async def test_a_taken_port_is_named_with_its_holder_and_used_once_it_is_free(
    launch: "Callable[..., Mesh]", connect: "Callable[[int], Client]", eventually: Eventually
) -> None:
    """Meanwhile the folder is watched: an edit is not lost because the start takes long."""

    async def edited() -> None:
        assert (await connect(port).get("/books")).status == 302

    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        mesh = launch(*SMALL, port=port)
        wanted = f"bookshop-gateway-0: port {port} is taken by pid {os.getpid()}"
        deadline = time.monotonic() + 10
        while wanted not in mesh.output:
            assert time.monotonic() < deadline, mesh.output
            time.sleep(0.05)
        mesh.apply("edit.yaml", (FEATURES / "redirect-rewrite.yaml").read_text())
        await asyncio.sleep(1)
        assert mesh.output.count(wanted) == 1
    mesh.wait_until_up(PRODUCTS)
    await eventually(edited)
    assert mesh.end(signal.SIGTERM) == 0
    assert mesh.left() == []


# Edits


async def test_a_saved_edit_shows_in_traffic(
    shop: "Mesh", gateway: "Client", eventually: Eventually, figure: Callable[[str], None]
) -> None:
    """And nothing else does: no request fails, none goes where neither the old nor the new rule sends it."""

    async def begun() -> None:
        assert {answer.version for answer in await gateway.many(10, REVIEWS)} == {"v3"}

    shop.apply("edit.yaml", only("v3"))
    await eventually(begun)
    delays, before = [], "v3"
    for number in range(50):
        after = f"v{number % 3 + 1}"
        begin = time.perf_counter()
        shop.apply("edit.yaml", only(after))
        while (answer := await gateway.get(REVIEWS)).version != after:
            assert (answer.status, answer.version) == (200, before)
            assert time.perf_counter() - begin < 5
        delays.append(time.perf_counter() - begin)
        before = after
        await asyncio.sleep(0.02)
    p50, p99 = (1000 * each for each in (statistics.median(delays), statistics.quantiles(delays, n=100)[98]))
    figure(f"from a saved edit to its effect in traffic: p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    assert max(delays) < 1


@pytest.mark.parametrize(
    ("broken", "line", "fix"),
    [
        pytest.param("  http: [}\n", 8, "", id="no YAML"),
        pytest.param("  timeout: 1s\n", 8, "spec.http[", id="a field one level off"),
        pytest.param("  https: []\n", 8, "write `http`", id="a field that does not exist"),
    ],
)
async def test_the_last_good_version_of_a_broken_file_stays_in_force(
    shop: "Mesh", gateway: "Client", eventually: Eventually, broken: str, line: int, fix: str
) -> None:
    async def sends_to(version: str) -> None:
        assert {answer.version for answer in await gateway.many(20, REVIEWS)} == {version}

    async def told() -> None:
        lines = [each for each in shop.output[printed:].splitlines() if f"rule.yaml:{line}:" in each]
        assert any(fix in each.partition("→")[2] for each in lines), shop.output[printed:]

    printed = len(shop.output)
    good = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: reviews\nspec:\n"
    good += "  hosts: [reviews]\n  http: [{route: [{destination: {host: reviews, subset: v3}}]}]\n"
    shop.apply("rule.yaml", good)
    await eventually(lambda: sends_to("v3"))
    shop.apply("rule.yaml", good.replace("v3", "v2") + broken)
    await eventually(told)
    await sends_to("v3")
    shop.edit("routing.yaml", "name: productpage", "name: productpage  # everything else is read")
    await asyncio.sleep(0.3)
    await sends_to("v3")
    shop.edit("routing.yaml", "name: productpage  # everything else is read", "name: productpage")
    shop.apply("rule.yaml", good.replace("v3", "v1"))
    await eventually(lambda: sends_to("v1"))


# Crashes


@pytest.mark.parametrize(
    ("process", "path"),
    [
        ("reviews-v2-0", REVIEWS),
        ("details-v1-0", DETAILS),
        ("details-v1-0/envoy", DETAILS),
        ("bookshop-gateway-0", DETAILS),
    ],
)
async def test_a_crash_is_told_and_mended(
    shop: "Mesh", gateway: "Client", eventually: Eventually, process: str, path: str
) -> None:
    async def told() -> None:
        said = shop.output[printed:]
        assert f"{process}: was killed by SIGKILL" in said
        assert re.search(rf"^{process} is started again in ", said, re.MULTILINE)

    async def mended() -> None:
        answers = await gateway.many(30, path)
        assert {answer.status for answer in answers} == {200}
        assert {answer.version for answer in answers} == versions
        assert shop.pid(process) not in (0, pid)

    await gateway.get(path)
    versions = {answer.version for answer in await gateway.many(30, path)}
    printed, pid = len(shop.output), shop.pid(process)
    os.kill(pid, signal.SIGKILL)
    await eventually(told)
    await eventually(mended, seconds=15)
