"""How long a control plane takes from its process's start until it knows all of a cluster: a real API server, no nodes.

    PYTHONPATH=.:tests/cluster python -m bench.cluster_ingest [--services 1000] [--pods 5000] [--runs 5]

Pods are of a usual size (about 4 KB with their managed fields). Each run is a new process; the child says what it found
and how much CPU it took.
"""

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHILD = "--child"
ROOT = Path(__file__).parents[1]


def main() -> None:
    """Fill an API server, start children, print figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(CHILD, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        asyncio.run(_follow(Path(options.child)))
        return
    from bringup import ControlPlane  # noqa: PLC0415 - children don't need it, and are measured

    with tempfile.TemporaryDirectory() as state:
        cluster = ControlPlane(Path(state))
        cluster.start()
        try:
            cluster.kubectl("apply", "--server-side", "-f", ROOT / "charts/weft/files/crds")
            asyncio.run(fill(cluster.kubeconfig, options.services, options.pods))
            times = [_start(cluster.kubeconfig) for _ in range(options.runs)]
        finally:
            cluster.stop()
    print(f"process start to synced: median {statistics.median(times):.2f} s, worst {max(times):.2f} s")


def _start(kubeconfig: Path) -> float:
    began = time.monotonic()
    command = [sys.executable, "-m", "bench.cluster_ingest", CHILD, str(kubeconfig)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        print(child.stdout.readline().strip())
        took = time.monotonic() - began
    return took


async def _follow(kubeconfig: Path) -> None:
    """The child: ingest until it is complete."""
    began = time.monotonic()
    from weft_cli import garbage  # noqa: PLC0415 - imports are part of what is measured

    garbage.look_rarely()
    from prometheus_client import CollectorRegistry  # noqa: PLC0415

    from weft_cli import logging as weft_logging  # noqa: PLC0415
    from weft_core.registry import Registry  # noqa: PLC0415
    from weft_kube.client import Api  # noqa: PLC0415
    from weft_kube.login import login  # noqa: PLC0415
    from weft_operator.ingest.run import Ingest, IngestOptions  # noqa: PLC0415

    weft_logging.configure()
    who = login(kubeconfig)
    imported = time.monotonic()
    db = Registry()
    async with Api(who) as api:
        ingest = Ingest(
            api,
            who,
            db,
            IngestOptions(namespace="weft-system"),
            changed=lambda: None,
            injection=lambda _text: None,
            settings_problems=lambda _problems: None,
            metrics=CollectorRegistry(),
        )
        lags: list[float] = []
        running = asyncio.create_task(ingest.run())
        measuring = asyncio.create_task(_lag(lags))
        await ingest.barrier.wait()
        synced = time.monotonic()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        print(
            f"{len(db.services)} services, {len(db.endpoint_slices)} slices, {len(db.pods)} pods: "
            f"imports {imported - began:.2f} s, synced {synced - imported:.2f} s later, "
            f"longest block {max(lags) * 1000:.0f} ms, "
            f"CPU {usage.ru_utime + usage.ru_stime:.2f} s, {usage.ru_maxrss // 1024} MiB",
            flush=True,
        )
        running.cancel()
        measuring.cancel()
        await asyncio.gather(running, measuring, return_exceptions=True)


async def _lag(lags: list[float]) -> None:
    """How late the event loop comes back from sleeping a millisecond."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.001)
        lags.append(time.monotonic() - began - 0.001)


async def fill(kubeconfig: Path, services: int, pods: int) -> None:
    """Create so many Services, with an EndpointSlice each, and Pods in namespace `default`, many at a time."""
    from weft_kube.client import Api  # noqa: PLC0415
    from weft_kube.login import login  # noqa: PLC0415
    from weft_kube.resource import PODS, Resource  # noqa: PLC0415

    slices = Resource(group="discovery.k8s.io", plural="endpointslices", kind="EndpointSlice")
    kinds = {"Service": Resource(plural="services", kind="Service"), "EndpointSlice": slices, "Pod": PODS}
    waiting = iter(_objects(services, pods))

    async def create(api: Api) -> None:
        for kind, body in waiting:
            await api.create(kinds[kind], body, "default")

    async with Api(login(kubeconfig)) as api:
        await asyncio.gather(*(create(api) for _ in range(16)))


def _objects(services: int, pods: int) -> Iterator[tuple[str, dict[str, Any]]]:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}, {"name": "grpc", "port": 90, "targetPort": 9090}]
    for number in range(services):
        name = f"service-{number}"
        yield "Service", {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": ports}}
        members = range(number, pods, services)
        yield (
            "EndpointSlice",
            {
                "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": 8080}, {"name": "grpc", "port": 9090}],
                "endpoints": [
                    {
                        "addresses": [f"10.{member >> 16 & 255}.{member >> 8 & 255}.{member & 255}"],
                        "conditions": {"ready": True},
                        "targetRef": {"kind": "Pod", "namespace": "default", "name": f"pod-{member}"},
                    }
                    for member in members
                ],
            },
        )
    for number in range(pods):
        yield "Pod", pod(f"pod-{number}", f"service-{number % services}")


def pod(name: str, service: str) -> dict[str, Any]:
    """A Pod of a service, of a usual size."""
    labels = {"app": service, "pod-template-hash": "5d4f9c7b6", "version": "v1", "security.istio.io/tlsMode": "istio"}
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 5}
    container = {
        "image": "registry.example/app:1.2.3",
        "env": [{"name": f"SETTING_{each}", "value": "x" * 20} for each in range(10)],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "readinessProbe": probe,
        "livenessProbe": probe,
    }
    return {
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {"checksum/config": "0" * 64, "prometheus.io/scrape": "true"},
        },
        "spec": {
            "containers": [
                {"name": "app", "ports": [{"name": "http", "containerPort": 8080}], **container},
                {"name": "helper", **container},
            ]
        },
    }


if __name__ == "__main__":
    main()
