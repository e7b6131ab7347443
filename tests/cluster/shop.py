"""The bookshop in a mesh on a real node, as tests see it: asked from outside and inside, under load, and changed."""

import contextlib
import http.client
import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bringup import Cluster

ROOT = Path(__file__).parents[2]
NAMESPACE = "shop"
SYSTEM = "weft-system"
DEPLOYMENTS = 6
"""Of the bookshop, its gateway left out: productpage, details, ratings and reviews in three versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, or the failure to get one (status 0)."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    error: str = ""

    @property
    def json(self) -> Any:
        """The body as JSON, an empty object where it is none."""
        with contextlib.suppress(ValueError):
            return json.loads(self.body)
        return {}

    @property
    def version(self) -> str:
        """Which version of a service of the bookshop has answered."""
        return str(self.json.get("served_by", {}).get("version", "-"))


def ask(
    host: str, path: str, *, port: int = 80, timeout: float = 10, headers: Mapping[str, str] | None = None
) -> Answer:
    """One GET on a connection of its own."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(status=response.status, body=response.read(), headers=found)
    except (OSError, http.client.HTTPException) as error:
        return Answer(status=0, error=repr(error))
    finally:
        connection.close()


class Load:
    """Requests at a steady rate, some at a time, for as long as the block lasts; each failure is kept with its time."""

    def __init__(self, request: Callable[[], Answer], *, rate: float = 40, workers: int = 4) -> None:
        self.statuses: Counter[int] = Counter()
        self.failures: list[tuple[float, Answer]] = []
        self._request = request
        self._pause = workers / rate
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run) for _ in range(workers)]

    def __enter__(self) -> "Load":
        self._begin = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            asked = time.monotonic()
            answer = self._request()
            with self._lock:
                self.statuses[answer.status] += 1
                if answer.status != 200:
                    self.failures.append((asked - self._begin, answer))
            self._stopped.wait(max(0.0, self._pause - (time.monotonic() - asked)))

    @property
    def total(self) -> int:
        """How many requests there were."""
        return self.statuses.total()


def eventually(check: Callable[[], object], seconds: float = 30) -> None:
    """Repeat a check until it raises no AssertionError; after so many seconds, raise what it does."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            check()
        except (AssertionError, subprocess.SubprocessError, KeyError, IndexError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


class Shop:
    """The bookshop in its namespace, behind its gateway."""

    def __init__(self, cluster: Cluster, namespace: str = NAMESPACE) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def kubectl(self, *args: str | Path, given: str | None = None, timeout: float = 180) -> str:
        """Kubectl in the shop's namespace."""
        return self.cluster.kubectl("-n", self.namespace, *args, input=given, timeout=timeout)

    def apply(self, text: str) -> None:
        """Apply YAML to the namespace."""
        self.kubectl("apply", "-f", "-", given=text)

    def delete(self, text: str) -> None:
        """Delete what YAML names, if it is there."""
        self.kubectl("delete", "--ignore-not-found", "-f", "-", given=text)

    def address(self, service: str) -> str:
        """A Service's ClusterIP, which this machine can reach."""
        return str(self.cluster.get("service", service, namespace=self.namespace)["spec"]["clusterIP"])

    def pods(self, selector: str = "") -> list[dict[str, Any]]:
        """The pods that are not on their way out."""
        found = self.cluster.get("pods", "-l", selector, namespace=self.namespace)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, seconds: int = 240) -> None:
        """Wait until every Deployment has rolled out."""
        self.kubectl("rollout", "status", "deployment", f"--timeout={seconds}s", timeout=seconds + 10)

    def run_inside(self, deployment: str, code: str, *, container: str = "", timeout: float = 60) -> str:
        """What Python code prints in a pod of a Deployment."""
        where = ("-c", container) if container else ()
        return self.kubectl("exec", f"deploy/{deployment}", *where, "--", "python3", "-c", code, timeout=timeout)

    def page(self, path: str = "/productpage", headers: Mapping[str, str] | None = None) -> Answer:
        """The shop's page, through the gateway, asked from outside of the mesh."""
        return ask(self._gateway(), path, headers=headers)

    def reviews(self, count: int) -> Counter[str]:
        """Which versions of reviews have answered, of so many requests through the gateway."""
        return Counter(
            str(self.page("/api/v1/products/0/reviews").json.get("served_by", {}).get("version", "-"))
            for _ in range(count)
        )

    def _gateway(self) -> str:
        if not hasattr(self, "_gateway_address"):
            self._gateway_address = self.address("bookshop-gateway")
        return self._gateway_address


def install(cluster: Cluster, *values: str, name: str = "weft") -> None:
    """`helm install`, as the README has it, with the image that was built here."""
    settings = [
        part for value in ("image.repository=localhost/weft", "image.tag=dev", *values) for part in ("--set", value)
    ]
    cluster.helm("install", name, ROOT / "charts/weft", "-n", SYSTEM, "--create-namespace", "--wait", *settings)
