"""Whole replicas of the control plane on a real API server: ready, one leader, taken over when it dies."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from bringup import Cluster
from bringup.network import free_ports

WEFT = Path(sys.executable).with_name("weft")
CRDS = Path(__file__).parents[2] / "charts/weft/files/crds"


class Replica:
    """A process `weft serve --kubernetes`."""

    def __init__(self, cluster: Cluster, namespace: str, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self.http, xds, webhooks = free_ports(3)
        options = {
            "--kubeconfig": cluster.kubeconfig,
            "--namespace": namespace,
            "--pod-name": name,
            "--xds": f"127.0.0.1:{xds}",
            "--webhooks": f"127.0.0.1:{webhooks}",
            "--http": f"127.0.0.1:{self.http}",
        }
        command = [str(WEFT), "serve", "--kubernetes", *(f"{key}={value}" for key, value in options.items())]
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | cluster.env)

    def wait_ready(self, seconds: float = 30) -> None:
        """Wait for 200 of /ready; fails with the log."""
        deadline = time.monotonic() + seconds
        while not self.ready():
            if time.monotonic() > deadline or self.process.poll() is not None:
                pytest.fail(f"{self.name} is not ready:\n{self.log.read_text()}")
            time.sleep(0.05)

    def ready(self) -> bool:
        """Whether it says so."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def end(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(sign)
        return self.process.wait(20)


@pytest.fixture
def start(api_server: Cluster, namespace: str, tmp_path: Path) -> Iterator[Callable[[str], Replica]]:
    """Starts replicas of one control plane; ends them all."""
    api_server.kubectl("apply", "--server-side", "-f", CRDS)
    with ExitStack() as stack:

        def replica(name: str) -> Replica:
            found = Replica(api_server, namespace, name, tmp_path / f"{name}.log")
            stack.callback(found.process.wait)
            stack.callback(found.process.kill)
            return found

        yield replica


def holder(cluster: Cluster, namespace: str) -> str:
    return str(cluster.get("lease", "weft", namespace=namespace)["spec"].get("holderIdentity", ""))


def eventually(check: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_replicas_become_ready_share_a_root_and_have_one_leader(
    start: Callable[[str], Replica], api_server: Cluster, namespace: str
) -> None:
    one, two = start("one"), start("two")
    one.wait_ready()
    two.wait_ready()
    assert [s["metadata"]["name"] for s in api_server.get("secrets", namespace=namespace)["items"]] == ["weft-ca"]
    assert holder(api_server, namespace) in {"one", "two"}


def test_the_end_of_the_leader_makes_another_one_at_once_and_its_death_within_the_leases_time(
    start: Callable[[str], Replica], api_server: Cluster, namespace: str
) -> None:
    first = start("first")
    first.wait_ready()
    eventually(lambda: holder(api_server, namespace) == "first", 5)
    second, third = start("second"), start("third")
    second.wait_ready()
    third.wait_ready()
    assert first.end() == 0
    eventually(lambda: holder(api_server, namespace) in {"second", "third"}, 5)
    leader = second if holder(api_server, namespace) == "second" else third
    other = third if leader is second else second
    leader.end(signal.SIGKILL)
    eventually(lambda: holder(api_server, namespace) == other.name, 30)


def test_no_way_into_a_cluster_is_said_in_a_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [WEFT, "serve", "--kubernetes", "--kubeconfig", tmp_path / "none"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("weft: no way into a Kubernetes cluster")
    assert len(done.stderr.splitlines()) == 1
