"""How long a replica of the control plane takes from its process's start until it is ready, beside a real API server.

    PYTHONPATH=.:tests/cluster python -m bench.cluster_start [--services 1000] [--pods 5000] [--runs 5]

It is the command of the chart, all roles, logged in as a pod is: with the account's token and the API server's root
where the kubelet would mount them, in a mount namespace of its own. That needs Linux, and root. There are no webhook
configurations, so that nothing waits for one. Figures per run: when what was there, CPU and memory at the end of it.
"""

import argparse
import asyncio
import base64
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from bench.cluster_ingest import ROOT, fill
from bringup import ControlPlane

NAMESPACE = "weft-system"
ACCOUNT = "/run/secrets/kubernetes.io/serviceaccount"
"""Where pods have it: /var/run leads there."""
MOUNT = f'mount -t tmpfs tmpfs /run && mkdir -p {ACCOUNT} && cp "$0"/* {ACCOUNT} && exec "$@"'
PATIENCE = 60.0


def main() -> None:
    """Fill an API server, start replicas one after the other, print figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as state:
        cluster = ControlPlane(Path(state) / "cluster")
        cluster.start()
        try:
            cluster.kubectl("apply", "--server-side", "-f", ROOT / "charts/weft/files/crds")
            asyncio.run(fill(cluster.kubeconfig, options.services, options.pods))
            account = Path(state) / "account"
            environment = _log_in(cluster, account)
            times = [_start(account, environment) for _ in range(options.runs)]
        finally:
            cluster.stop()
    print(f"process start to ready: median {statistics.median(times):.2f} s, worst {max(times):.2f} s")


def _log_in(cluster: ControlPlane, account: Path) -> dict[str, str]:
    """Write what a pod is given into a folder; returns its environment."""
    cluster.kubectl("create", "namespace", NAMESPACE)
    cluster.kubectl("-n", NAMESPACE, "create", "serviceaccount", "weft")
    cluster.kubectl(
        "create", "clusterrolebinding", "weft", "--clusterrole=cluster-admin", f"--serviceaccount={NAMESPACE}:weft"
    )
    config = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
    root = config.get("certificate-authority-data")
    account.mkdir()
    (account / "token").write_text(cluster.kubectl("-n", NAMESPACE, "create", "token", "weft").strip())
    (account / "ca.crt").write_bytes(
        base64.b64decode(root) if root else Path(config["certificate-authority"]).read_bytes()
    )
    (account / "namespace").write_text(NAMESPACE)
    server = urlsplit(config["server"])
    return {
        **os.environ,
        "KUBERNETES_SERVICE_HOST": server.hostname or "",
        "KUBERNETES_SERVICE_PORT": str(server.port),
        "POD_NAMESPACE": NAMESPACE,
    }


def _start(account: Path, environment: Mapping[str, str]) -> float:
    """One replica from its start to its end; returns the seconds until it was ready."""
    xds, http, webhooks = (f"127.0.0.1:{_free_port()}" for _ in range(3))
    weft = Path(sys.executable).with_name("weft")
    serve = (weft, "serve", "--kubernetes", "--xds", xds, "--http", http, "--webhooks", webhooks)
    with tempfile.TemporaryFile("w+") as log:
        before, began, clock = os.times(), time.monotonic(), time.time()
        command = ("unshare", "--mount", "sh", "-c", MOUNT, account, *serve)
        with subprocess.Popen(command, env=environment, stderr=log) as child:
            try:
                _await_ready(f"http://{http}/ready", child, began)
                took = time.monotonic() - began
                memory = _resident(child.pid)
            finally:
                child.terminate()
        after = os.times()
        log.seek(0)
        told = _timeline(log.read(), clock)
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"ready after {took:.2f} s: {told}; CPU {cpu:.2f} s with the end, {memory} MiB", flush=True)
    return took


def _await_ready(url: str, child: "subprocess.Popen[bytes]", began: float) -> None:
    while child.poll() is None and time.monotonic() - began < PATIENCE:
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.01)
    raise SystemExit("the control plane does not become ready")


def _timeline(log: str, began: float) -> str:
    """When what was there, from the lines of the log, in seconds since the start."""
    found: dict[str, float] = {}
    for line in log.splitlines():
        entry = json.loads(line) if line.startswith("{") else {}
        if entry.get("event") in {"listwatch_synced", "ingest_synced", "part_ready"}:
            what = entry.get("part") or entry.get("resource") or "synced"
            found.setdefault(what, datetime.fromisoformat(entry["timestamp"]).timestamp() - began)
    return ", ".join(f"{what} {at:.2f}" for what, at in found.items())


def _resident(process: int) -> int:
    """Its memory, in MiB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") // 2**20


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
