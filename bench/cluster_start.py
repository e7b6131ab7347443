"""How long a replica of the control plane takes from its process's start until it is ready, beside a real API server.

    PYTHONPATH=.:tests/cluster python -m bench.cluster_start [--services 1000] [--pods 5000] [--runs 5]

It is the command of the chart, all roles, logged in as a pod is. There are no webhook configurations, so that nothing
waits for one. Figures per run: when what was there, CPU and memory at the end of it.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from bench.cluster_ingest import ROOT, fill
from bench.replicas import Replica, free_port, log_in
from bringup import ControlPlane

NAMESPACE = "weft-system"


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
            environment = log_in(cluster, account, NAMESPACE, "weft")
            times = [_start(account, environment) for _ in range(options.runs)]
        finally:
            cluster.stop()
    print(f"process start to ready: median {statistics.median(times):.2f} s, worst {max(times):.2f} s")


def _start(account: Path, environment: Mapping[str, str]) -> float:
    """One replica from its start to its end; returns the seconds until it was ready."""
    xds, http, webhooks = (f"127.0.0.1:{free_port()}" for _ in range(3))
    weft = Path(sys.executable).with_name("weft")
    command = (weft, "serve", "--kubernetes", "--xds", xds, "--http", http, "--webhooks", webhooks)
    with tempfile.TemporaryFile("w+") as log:
        clock = time.time()
        with Replica(command, account, environment, f"http://{http}/ready", log) as replica:
            took = replica.await_ready()
            usage = replica.usage()
        log.seek(0)
        told = _timeline(log.read(), clock)
    print(f"ready after {took:.2f} s: {told}; CPU {usage.cpu:.2f} s, {usage.memory} MiB", flush=True)
    return took


def _timeline(log: str, began: float) -> str:
    """When what was there, from the lines of the log, in seconds since the start."""
    found: dict[str, float] = {}
    for line in log.splitlines():
        entry = json.loads(line) if line.startswith("{") else {}
        if entry.get("event") in {"listwatch_synced", "ingest_synced", "part_ready"}:
            what = entry.get("part") or entry.get("resource") or "synced"
            found.setdefault(what, datetime.fromisoformat(entry["timestamp"]).timestamp() - began)
    return ", ".join(f"{what} {at:.2f}" for what, at in found.items())


if __name__ == "__main__":
    main()
