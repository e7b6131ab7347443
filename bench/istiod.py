"""Weft beside istiod, on the same work: each as one process beside the same real API server, one after the other.

    PYTHONPATH=.:tests/cluster python -m bench.istiod --istiod PATH [--sidecars 100] [--rounds 3] [--json FILE]

PATH is a `pilot-discovery`; docs/performance.md says how to make one. Both are logged in as a pod is, run with all that
they do, sign with the same root, and serve the same simulated sidecars over mutual TLS. istiod is measured twice: as it
comes, gathering changes for 100 ms, and without that. What it also does, refuse sidecars beyond so many per second, is
off in both: they would have to come again. Needs Linux, and root.
"""

import argparse
import asyncio
import base64
import json
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bench.cluster_ingest import ROOT
from bench.cluster_mesh import SERVICE_ACCOUNT, ClusterMesh, pod_labels, pod_name
from bench.control_planes import Addresses, Program, programs
from bench.mesh import NAMESPACES, address, namespace
from bench.replicas import Replica, Usage, log_in
from bench.rounds import Change, Round, table
from bench.sidecars import Identity
from bench.xds_push import Sidecars
from bringup import ControlPlane

from weft_core.spiffe import SpiffeId
from weft_injector.ca.authority import Authority
from weft_injector.ca.keys import certificates_pem, private_key_pem

TRUST_DOMAIN = "cluster.local"
SETTLED = 0.03
"""Seconds of CPU in one second, below which a control plane has done what a start leaves to do."""
LONGEST = 60.0
REST = 5.0
"""Seconds over which a control plane is looked at that has nothing to do."""
PAUSE = 0.2
"""Seconds between two changes, for what each leaves to do."""


class Comparison:
    """A cluster with a mesh in it, the sidecars' identities, and control planes on them."""

    def __init__(self, options: argparse.Namespace, cluster: ControlPlane, scratch: Path, mesh: ClusterMesh) -> None:
        self._options = options
        self._cluster = cluster
        self._scratch = scratch
        self._mesh = mesh
        self._environments: dict[str, dict[str, str]] = {}
        self._identities = scratch / "identities.json"
        self._roots = scratch / "cacerts"

    async def prepare(self, compared: Sequence[Program]) -> None:
        """Write the mesh, the accounts, the root, and the sidecars' certificates."""
        self._cluster.kubectl("apply", "--server-side", "-f", ROOT / "charts/weft/files/crds")
        await self._mesh.fill()
        authority = Authority.self_made(trust_domain=TRUST_DOMAIN, now=datetime.now(UTC))
        files = _cacerts(authority)
        self._roots.mkdir()
        for name, content in files.items():
            (self._roots / name).write_bytes(content)
        for each in {program.name: program for program in compared}.values():
            self._environments[each.name] = log_in(self._cluster, self._scratch / each.name, each.namespace, each.name)
            self._cluster.apply(_secret(files), namespace=each.namespace)
        folders = [_certificate(authority, namespace(number), self._scratch) for number in range(NAMESPACES)]
        identities = [_sidecar(number, folders[number % NAMESPACES]) for number in range(self._options.sidecars)]
        self._identities.write_text(json.dumps([asdict(each) for each in identities]))

    async def run(self, program: Program) -> Round:
        """One process, from its start through all measurements."""
        at = Addresses()
        with self._process(program, at) as replica:
            ready = await asyncio.to_thread(replica.await_ready)
            started = replica.usage()
            sidecars = await Sidecars.start(
                at.xds,
                *("--identities", str(self._identities), "--types", str(program.types)),
                *("--server-name", program.server_name),
            )
            synced = await sidecars.event("synced")
            synchronised = replica.usage()
            settled = await _settle(replica)
            endpoint = await self._change(replica, sidecars, self._mesh.change_endpoint)
            route = await self._change(replica, sidecars, self._mesh.change_route)
            changed = replica.usage()
            await asyncio.sleep(REST)
            rested = replica.usage()
            await sidecars.stop()
        return Round(
            ready=ready,
            ready_cpu=started.cpu,
            ready_memory=started.memory,
            synchronised=synced["at"] - synced["began"],
            synchronised_cpu=synchronised.cpu - started.cpu,
            synchronised_bytes=synced["bytes"],
            settled_cpu=settled.cpu,
            settled_memory=settled.memory,
            endpoint=endpoint,
            route=route,
            memory=rested.memory,
            rest_cpu=(rested.cpu - changed.cpu) / REST,
            load=os.getloadavg()[0],
        )

    @contextmanager
    def _process(self, program: Program, at: Addresses) -> Iterator[Replica]:
        environment = {**self._environments[program.name], "POD_NAME": f"{program.name}-0", **program.settings}
        environment["ROOT_CA_DIR"] = str(self._roots)  # where istiod's pods have the Secret mounted
        ready = f"http://127.0.0.1:{at.http}/ready"
        log = self._options.logs / f"{program.title.replace(', ', '-')}.log" if self._options.logs else os.devnull
        with tempfile.TemporaryDirectory() as folder, Path(log).open("w") as output:
            account = self._scratch / program.name
            with Replica(program.command(at), account, environment, ready, output, Path(folder)) as replica:
                yield replica

    async def _change(self, replica: Replica, sidecars: Sidecars, change: Callable[[int], Awaitable[None]]) -> Change:
        delays, received = [], []
        before = replica.usage().cpu
        for number in range(self._options.changes):
            await sidecars.watch()
            began = time.monotonic()
            await change(number)
            reached = await sidecars.event("reached")
            delays.append(reached["at"] - began)
            received.append(reached["bytes"])
            await asyncio.sleep(PAUSE)
        cpu = (replica.usage().cpu - before) / self._options.changes
        return Change(delays=tuple(delays), cpu=cpu, bytes=int(statistics.median(received)))


async def _settle(replica: Replica) -> Usage:
    """Wait until nothing is left to do behind the first synchronisation: statuses to write, memory to give back."""
    before = replica.usage()
    for _ in range(int(LONGEST)):
        await asyncio.sleep(1)
        now = replica.usage()
        if now.cpu - before.cpu < SETTLED:
            return now
        before = now
    return before


def _cacerts(authority: Authority) -> dict[str, bytes]:
    """The root, to plug in: Istio's files, which Weft reads too."""
    certificate = certificates_pem((authority.certificate,))
    return {
        "ca-cert.pem": certificate,
        "ca-key.pem": private_key_pem(authority.key),
        "cert-chain.pem": certificate,
        "root-cert.pem": authority.bundle.pem,
    }


def _secret(files: Mapping[str, bytes]) -> dict[str, object]:
    data = {name: base64.b64encode(content).decode() for name, content in files.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cacerts"}, "data": data}


def _certificate(authority: Authority, where: str, scratch: Path) -> str:
    """A namespace's certificate for its sidecars; returns the folder that it is in."""
    identity = SpiffeId(trust_domain=TRUST_DOMAIN, namespace=where, service_account=SERVICE_ACCOUNT)
    leaf = authority.issue(identity, now=datetime.now(UTC))
    assert leaf.key_pem is not None
    folder = scratch / f"certificate-{where}"
    folder.mkdir()
    (folder / "roots.pem").write_bytes(authority.bundle.pem)
    (folder / "chain.pem").write_bytes(leaf.chain_pem)
    (folder / "key.pem").write_bytes(leaf.key_pem)
    return str(folder)


def _sidecar(number: int, tls: str) -> Identity:
    """The sidecar of a service's first pod, as Istio's bootstrap would describe it."""
    where, pod, ip = namespace(number), pod_name(number, 0), address(number, 0)
    metadata = {
        "NAMESPACE": where,
        "NAME": pod,
        "SERVICE_ACCOUNT": SERVICE_ACCOUNT,
        "LABELS": pod_labels(number),
        "INSTANCE_IPS": ip,
        "CLUSTER_ID": "Kubernetes",
        "INTERCEPTION_MODE": "REDIRECT",
    }
    return Identity(id=f"sidecar~{ip}~{pod}.{where}~{where}.svc.cluster.local", metadata=metadata, tls=tls)


async def compare(options: argparse.Namespace) -> dict[str, list[Round]]:
    """All programs, one after the other, several times over."""
    compared = programs(options.istiod and options.istiod.resolve())
    rounds: dict[str, list[Round]] = {program.title: [] for program in compared}
    with tempfile.TemporaryDirectory() as state:
        cluster = ControlPlane(Path(state) / "cluster")
        cluster.start()
        try:
            async with ClusterMesh.of(
                cluster.kubeconfig, services=options.services, endpoints=options.endpoints
            ) as mesh:
                comparison = Comparison(options, cluster, Path(state), mesh)
                await comparison.prepare(compared)
                for _ in range(options.rounds):
                    for program in compared:
                        rounds[program.title].append(await comparison.run(program))
                        print(program.title, rounds[program.title][-1], flush=True)
        finally:
            cluster.stop()
    return rounds


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--istiod", type=Path, help="a pilot-discovery; without it Weft is measured alone")
    parser.add_argument("--sidecars", type=int, default=100)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--endpoints", type=int, default=5)
    parser.add_argument("--changes", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--logs", type=Path, help="folder for the last log of each")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rounds = asyncio.run(compare(options))
    print(table(rounds))
    if options.json:
        document = {title: [asdict(each) for each in several] for title, several in rounds.items()}
        options.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
