"""One process of a control plane beside an API server: logged in as a pod is, timed, its CPU and memory read.

It finds the account's token and the API server's root where the kubelet would mount them, in a mount namespace of its
own. That needs Linux, and root.
"""

import base64
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import urlsplit

import yaml
from bringup import ControlPlane

ACCOUNT = "/run/secrets/kubernetes.io/serviceaccount"
"""Where pods have it: /var/run leads there."""
MOUNT = f'mount -t tmpfs tmpfs /run && mkdir -p {ACCOUNT} && cp "$0"/* {ACCOUNT} && exec "$@"'
PATIENCE = 60.0


def log_in(cluster: ControlPlane, account: Path, namespace: str, name: str) -> dict[str, str]:
    """Make a namespace and an account in it that may do everything, write what its pods are given into a folder.

    Returns their environment.
    """
    cluster.kubectl("create", "namespace", namespace)
    cluster.kubectl("-n", namespace, "create", "serviceaccount", name)
    cluster.kubectl(
        "create", "clusterrolebinding", name, "--clusterrole=cluster-admin", f"--serviceaccount={namespace}:{name}"
    )
    config = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
    root = config.get("certificate-authority-data")
    account.mkdir()
    (account / "token").write_text(cluster.kubectl("-n", namespace, "create", "token", name).strip())
    (account / "ca.crt").write_bytes(
        base64.b64decode(root) if root else Path(config["certificate-authority"]).read_bytes()
    )
    (account / "namespace").write_text(namespace)
    server = urlsplit(config["server"])
    return {
        **os.environ,
        "KUBERNETES_SERVICE_HOST": server.hostname or "",
        "KUBERNETES_SERVICE_PORT": str(server.port),
        "POD_NAMESPACE": namespace,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a process has taken so far: seconds of CPU, and MiB that are resident."""

    cpu: float
    memory: int


class Replica:
    """A process, from the `with` to its end."""

    def __init__(
        self,
        command: Sequence[str | Path],
        account: Path,
        environment: Mapping[str, str],
        ready: str,
        log: IO[str],
        folder: Path | None = None,
    ) -> None:
        """`ready` is the URL that answers 200 once it is, `folder` what the process is to run in."""
        self._command = ("unshare", "--mount", "sh", "-c", MOUNT, account, *command)
        self._environment = environment
        self._ready = ready
        self._log = log
        self._folder = folder
        self._process: subprocess.Popen[bytes]
        self._began: float

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            self._command, env=self._environment, cwd=self._folder, stdout=self._log, stderr=self._log
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def await_ready(self) -> float:
        """Wait until it says so; returns the seconds since its start."""
        while self._process.poll() is None and time.monotonic() - self._began < PATIENCE:
            try:
                with urllib.request.urlopen(self._ready, timeout=1) as answer:
                    if answer.status == 200:
                        return time.monotonic() - self._began
            except (urllib.error.URLError, OSError):
                time.sleep(0.01)
        raise SystemExit("the control plane does not become ready")

    def usage(self) -> Usage:
        """CPU of all its threads, and memory."""
        process = Path(f"/proc/{self._process.pid}")
        ticks = process.joinpath("stat").read_text().rpartition(")")[2].split()[11:13]
        pages = int(process.joinpath("statm").read_text().split()[1])
        return Usage(
            cpu=sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"), memory=pages * os.sysconf("SC_PAGESIZE") // 2**20
        )


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
