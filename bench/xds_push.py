"""Measure the xDS server with simulated sidecars: synchronisation, changes, CPU, memory.

    PYTHONPATH=. python -m bench.xds_push --sidecars 200 --services 1000 --endpoints 5

The server runs in this process over TLS, the sidecars in another one. `ratio` compares a change with the rebuild of
everything: all frames made anew and sent to all. Prints a table, and with `--json FILE` writes the figures.
"""

import argparse
import asyncio
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from bench.mesh import Mesh
from prometheus_client import CollectorRegistry

from weft_cli import garbage
from weft_core.proxy import ProxyId
from weft_core.spiffe import SpiffeId
from weft_injector.ca.authority import Authority
from weft_xds.fanout import Fanout
from weft_xds.quarantine import Quarantine
from weft_xds.resources import CATALOG
from weft_xds.server import ServerOptions, TlsMaterial, XdsServer

TRUST_DOMAIN = "cluster.local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One kind of event.

    Delays are from the change to the ACK of the last sidecar leaving it, CPU is the server's, bytes are those of all
    sidecars together.
    """

    event: str
    runs: int
    delay_ms: float
    delay_p99_ms: float
    cpu_s: float
    bytes: int


class Sidecars:
    """The other process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, port: int, *arguments: str) -> "Sidecars":
        """Start it, with these arguments beside its target; the sidecars connect at once."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "bench.sidecars", "--target", f"127.0.0.1:{port}", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return cls(process)

    async def event(self, name: str) -> dict[str, Any]:
        """The next line, which must be of this event."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        found: dict[str, Any] = json.loads(line)
        assert found["event"] == name, found
        return found

    async def watch(self) -> None:
        """Have it tell when each sidecar has received something more."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"watch\n")
        await self.event("watching")

    async def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


class Bench:
    """A server, its mesh, and the sidecars on it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self.mesh = Mesh(services=options.services, endpoints=options.endpoints, sidecars=options.sidecars)
        self.fanout = Fanout(self.mesh.registry, CATALOG, Quarantine(_unexpected), failed=_unexpected)
        self.memory_mib = 0.0

    async def run(self) -> list[Figure]:
        """All measurements, from synchronisation to single changes."""
        with tempfile.TemporaryDirectory() as scratch:
            tls = _key_material(Path(scratch))
            server = XdsServer(
                self.fanout,
                _believe_the_node,
                ServerOptions(address="127.0.0.1:0"),
                tls=tls,
                registry=CollectorRegistry(),
            )
            port = await server.start()
            cpu = time.process_time()
            self._sidecars = await Sidecars.start(port, "--count", str(self._options.sidecars), "--tls", scratch)
            synced = await self._sidecars.event("synced")
        delay = (synced["at"] - synced["began"]) * 1000
        cpu = time.process_time() - cpu
        figures = [
            Figure(
                event="first synchronisation",
                runs=1,
                delay_ms=delay,
                delay_p99_ms=delay,
                cpu_s=cpu,
                bytes=synced["bytes"],
            )
        ]
        self.memory_mib = _memory_mib()
        services, mesh, fanout = self._options.services, self.mesh, self.fanout
        changes = self._options.changes
        figures += [
            await self._change("rebuild of everything", 3, lambda _: mesh.change_everything(fanout)),
            await self._change("one endpoint", changes, lambda n: mesh.change_endpoint(fanout, n % services)),
            await self._change("one VirtualService", changes, lambda n: mesh.change_route(fanout, n % services)),
        ]
        await self._sidecars.stop()
        await server.stop()
        return figures

    async def _change(self, event: str, runs: int, change: Callable[[int], None]) -> Figure:
        delays, cpus, received = [], [], []
        for number in range(runs):
            await self._sidecars.watch()
            cpu, began = time.process_time(), time.monotonic()
            change(number)
            reached = await self._sidecars.event("reached")
            delays.append((reached["at"] - began) * 1000)
            cpus.append(time.process_time() - cpu)
            received.append(reached["bytes"])
        delays.sort()
        return Figure(
            event=event,
            runs=runs,
            delay_ms=statistics.median(delays),
            delay_p99_ms=delays[int(len(delays) * 0.99)],
            cpu_s=statistics.mean(cpus),
            bytes=max(received),
        )


def _believe_the_node(_identity: SpiffeId | None, node_id: str, _metadata: Mapping[str, Any]) -> ProxyId | str:
    """All simulated sidecars share one certificate."""
    return ProxyId.from_node_id(node_id)


def _unexpected(*what: object) -> None:
    raise AssertionError(what)


def _memory_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _key_material(folder: Path) -> TlsMaterial:
    now = datetime.now(UTC)
    authority = Authority.self_made(trust_domain=TRUST_DOMAIN, now=now)
    serving = authority.issue_serving(now=now, dns_names=["weft.bench"])
    client = authority.issue(SpiffeId(trust_domain=TRUST_DOMAIN, namespace="shop", service_account="sim"), now=now)
    assert serving.key_pem is not None
    assert client.key_pem is not None
    (folder / "roots.pem").write_bytes(authority.bundle.pem)
    (folder / "chain.pem").write_bytes(client.chain_pem)
    (folder / "key.pem").write_bytes(client.key_pem)
    return TlsMaterial(
        certificate_chain=serving.chain_pem, private_key=serving.key_pem, client_roots=authority.bundle.pem
    )


def table(figures: list[Figure]) -> str:
    """The figures, each change beside its ratio to the rebuild of everything."""
    whole = next(figure for figure in figures if figure.event == "rebuild of everything")
    lines = [
        f"{'':24}{'to the last':>14}{'p99':>12}{'server CPU':>14}{'bytes':>14}   ratio to a rebuild: delay, CPU, bytes"
    ]
    for f in figures:
        ratio = ""
        if f.event.startswith("one "):
            parts = (whole.delay_ms / f.delay_ms, whole.cpu_s / f.cpu_s, whole.bytes / f.bytes)
            ratio = "   " + ", ".join(f"1 : {part:,.0f}" for part in parts)
        lines.append(
            f"{f.event:24}{f.delay_ms:>11.1f} ms{f.delay_p99_ms:>9.1f} ms{f.cpu_s:>12.4f} s{f.bytes:>14,}{ratio}"
        )
    return "\n".join(lines)


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sidecars", type=int, default=200)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--endpoints", type=int, default=5)
    parser.add_argument("--changes", type=int, default=50)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    garbage.look_rarely()
    bench = Bench(options)
    figures = asyncio.run(bench.run())
    print(table(figures))
    print(f"memory of the server with {options.sidecars} sidecars: {bench.memory_mib:.0f} MiB")
    if options.json:
        document = {
            "sidecars": options.sidecars,
            "services": options.services,
            "endpoints": options.endpoints,
            "memory_mib": round(bench.memory_mib, 1),
            "figures": [asdict(figure) for figure in figures],
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
