"""Ingest from a real API server: what is there arrives, what goes leaves, through compactions and outages."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from bringup import Cluster
from prometheus_client import CollectorRegistry

from weft_core.model.kinds import MESH_KINDS
from weft_core.problems import ObjectRef, Problem
from weft_core.registry import MESH, Registry
from weft_kube.client import Api
from weft_kube.login import Login, login
from weft_kube.resource import CONFIG_MAPS, PODS, SECRETS, Resource
from weft_operator.ingest.run import Ingest, IngestOptions

CRDS = Path(__file__).parents[2] / "charts/weft/files/crds"
SECONDS = 30.0
"""For anything to arrive. What is measured is far below; a busy machine is not what fails here."""
SERVICES = Resource(plural="services", kind="Service")
SERVICE_ACCOUNTS = Resource(plural="serviceaccounts", kind="ServiceAccount")
SLICES = Resource(group="discovery.k8s.io", plural="endpointslices", kind="EndpointSlice")
VIRTUAL_SERVICES, WORKLOAD_ENTRIES = (
    Resource.of(next(kind for kind in MESH_KINDS if kind.kind == name)) for name in ("VirtualService", "WorkloadEntry")
)


class Line:
    """A TCP line to the API server that can be cut: what is open breaks, and new connections are refused."""

    def __init__(self, server: str) -> None:
        self._target = urlsplit(server)
        self._ends: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._port = 0

    @property
    def address(self) -> str:
        return f"{self._target.scheme}://127.0.0.1:{self._port}"

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            for end in tuple(self._ends):
                end.transport.abort()
            await asyncio.gather(*self._pumps)
            await self._server.wait_closed()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
        for source, target in ((reader, back), (there, writer)):
            self._ends.add(target)
            pump = asyncio.create_task(self._pump(source, target))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        self._ends.discard(target)
        target.close()
        with suppress(OSError):
            await target.wait_closed()


@dataclass(slots=True)
class Mesh:
    """A registry that follows the cluster, and another way to the cluster."""

    db: Registry
    api: Api
    line: Line
    namespace: str
    metrics: CollectorRegistry = field(default_factory=CollectorRegistry)
    injections: list[str | None] = field(default_factory=list)
    problems: list[tuple[Problem, ...]] = field(default_factory=list)
    ingest: Ingest = field(init=False)

    def start(self, login: Login, api: Api, credentials_namespaces: tuple[str, ...]) -> None:
        self.ingest = Ingest(
            api,
            login,
            self.db,
            IngestOptions(
                namespace=self.namespace, credentials_namespaces=credentials_namespaces, resync=600, poll=0.3
            ),
            changed=lambda: None,
            injection=self.injections.append,
            settings_problems=self.problems.append,
            metrics=self.metrics,
        )

    async def until(self, condition: Callable[[], object]) -> float:
        """Wait until it holds; returns how many seconds that took."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < SECONDS, "still not so"
            await asyncio.sleep(0.01)
        return time.monotonic() - began

    def hosts(self, name: str) -> tuple[str, ...]:
        """The hosts of a VirtualService of the namespace, none where there is none."""
        row = self.db.virtual_services.peek((self.namespace, name))
        return tuple(row.spec.hosts) if row else ()

    def services(self) -> set[str]:
        """The namespace's Services."""
        return {name for namespace, name in self.db.services if namespace == self.namespace}

    def virtual_services(self) -> set[str]:
        """The namespace's VirtualServices."""
        return {name for namespace, name in self.db.virtual_services if namespace == self.namespace}

    async def create(self, resource: Resource, name: str, **document: Any) -> dict[str, Any]:
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}} | document
        return await self.api.create(resource, body, self.namespace)

    async def change(self, resource: Resource, name: str, **patch: Any) -> dict[str, Any]:
        return await self.api.patch(resource, name, patch, self.namespace)

    async def delete(self, resource: Resource, name: str) -> None:
        await self.api.delete(resource, name, self.namespace)


Outage = Callable[[], AbstractContextManager[None]]
Follow = Callable[..., AbstractAsyncContextManager[Mesh]]


@pytest.fixture
def crds(api_server: Cluster) -> None:
    """The mesh's kinds, served."""
    api_server.kubectl("apply", "--server-side", "-f", CRDS)
    api_server.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", CRDS)


@pytest.fixture
def follow(api_server: Cluster, namespace: str) -> Follow:
    """`async with follow() as mesh`: ingest runs meanwhile, and is complete at the start."""

    @asynccontextmanager
    async def start(*, credentials_namespaces: tuple[str, ...] = ("*",)) -> AsyncIterator[Mesh]:
        direct = await asyncio.to_thread(login, api_server.kubeconfig)
        line = Line(direct.server)
        await line.mend()
        breakable = replace(direct, server=line.address)
        async with Api(direct) as writer, Api(breakable) as reader:
            mesh = Mesh(Registry(), writer, line, namespace)
            mesh.start(breakable, reader, credentials_namespaces)
            running = asyncio.create_task(mesh.ingest.run())
            try:
                async with asyncio.timeout(SECONDS):
                    await mesh.ingest.barrier.wait()
                yield mesh
                assert not running.done()
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
                await line.cut()

    return start


def route(*hosts: str) -> dict[str, Any]:
    return {"hosts": list(hosts), "http": [{"route": [{"destination": {"host": hosts[0]}}]}]}


def ports(number: int = 80) -> dict[str, Any]:
    return {"ports": [{"name": "http", "port": number}]}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.usefixtures("crds")
async def test_what_is_there_at_the_start_is_complete_when_the_barrier_opens(follow: Follow) -> None:
    async with follow() as mesh:
        await mesh.create(SERVICES, "a", spec=ports())
        await mesh.create(VIRTUAL_SERVICES, "a", spec=route("a"))
        await mesh.until(lambda: mesh.services() and mesh.virtual_services())
        async with follow() as later:
            assert later.services() == {"a"}
            assert later.hosts("a") == ("a",)
            assert mesh.namespace in later.db.namespaces
            observed = later.ingest.observations.get(
                ObjectRef(kind="VirtualService", namespace=mesh.namespace, name="a")
            )
            assert observed is not None
            assert (observed.generation, observed.rejected, observed.problems) == (1, False, ())


@pytest.mark.usefixtures("crds")
async def test_follows_changes_and_deletions_of_the_meshs_kinds(follow: Follow) -> None:
    async with follow() as mesh:
        await mesh.create(VIRTUAL_SERVICES, "a", spec=route("one"))
        await mesh.until(lambda: mesh.hosts("a") == ("one",))
        await mesh.change(VIRTUAL_SERVICES, "a", spec=route("two"))
        await mesh.until(lambda: mesh.hosts("a") == ("two",))
        await mesh.delete(VIRTUAL_SERVICES, "a")
        await mesh.until(lambda: not mesh.virtual_services())
        ref = ObjectRef(kind="VirtualService", namespace=mesh.namespace, name="a")
        assert mesh.ingest.observations.get(ref) is None


@pytest.mark.usefixtures("crds")
async def test_a_change_of_a_mesh_kind_arrives_in_a_fraction_of_a_second(follow: Follow) -> None:
    async with follow() as mesh:
        await mesh.create(VIRTUAL_SERVICES, "a", spec=route("h"))
        await mesh.until(lambda: mesh.hosts("a"))
        await asyncio.sleep(3)  # kopf's own start
        delays = []
        for number in range(10):
            host = f"h{number}"
            began = time.monotonic()
            await mesh.change(VIRTUAL_SERVICES, "a", spec=route(host))
            await mesh.until(lambda host=host: mesh.hosts("a") == (host,))  # type: ignore[misc]
            delays.append(time.monotonic() - began)
        assert sorted(delays)[5] < 0.3, delays


@pytest.mark.usefixtures("crds")
async def test_follows_kubernetes_own_kinds(follow: Follow) -> None:
    async with follow() as mesh:
        key = (mesh.namespace, "a")
        await mesh.create(SERVICES, "a", spec=ports())
        pod = {"containers": [{"name": "app", "image": "app", "ports": [{"name": "http", "containerPort": 8080}]}]}
        await mesh.create(SERVICE_ACCOUNTS, "app")
        await mesh.create(PODS, "a", spec=pod | {"serviceAccountName": "app"})
        await mesh.create(
            SLICES,
            "a",
            metadata={"name": "a", "labels": {"kubernetes.io/service-name": "a"}},
            addressType="IPv4",
            endpoints=[{"addresses": ["10.0.0.1"]}],
            ports=[{"name": "http", "port": 8080}],
        )
        await mesh.until(lambda: mesh.services() and key in mesh.db.pods and key in mesh.db.endpoint_slices)
        assert mesh.db.endpoint_slices.by("service", key)
        await mesh.change(SERVICES, "a", spec=ports(81))
        await mesh.until(lambda: [p.port for p in mesh.db.services.peek(key).spec.ports] == [81])  # type: ignore[union-attr]
        await mesh.api.patch(PODS, "a", {"status": {"phase": "Succeeded"}}, mesh.namespace, subresource="status")
        await mesh.delete(SERVICES, "a")
        await mesh.delete(SLICES, "a")
        await mesh.until(lambda: not mesh.services() and key not in mesh.db.pods and key not in mesh.db.endpoint_slices)


@pytest.mark.usefixtures("crds")
async def test_secrets_are_those_of_gateways_and_of_the_namespaces_that_are_named(
    follow: Follow, namespace: str
) -> None:
    async with follow(credentials_namespaces=(namespace,)) as mesh:
        await mesh.api.create(SECRETS, {"metadata": {"name": f"x-{namespace}"}, "data": {"ca.crt": "eA=="}}, "default")
        await mesh.create(SECRETS, "password", data={"password": encoded("x")})
        await mesh.create(SECRETS, "tls", data={"tls.crt": encoded("a"), "tls.key": encoded("b"), "x": encoded("c")})
        await mesh.until(lambda: len(mesh.db.secrets))
        assert list(mesh.db.secrets) == [(namespace, "tls")]
        row = mesh.db.secrets.peek((namespace, "tls"))
        assert row is not None
        assert set(row.data or {}) == {"tls.crt", "tls.key"}
        await mesh.api.delete(SECRETS, f"x-{namespace}", "default")


@pytest.mark.usefixtures("crds")
async def test_settings_are_applied_as_their_config_map_changes(follow: Follow) -> None:
    async with follow() as mesh:
        assert mesh.db.mesh_config.peek(MESH) is None
        data = {"mesh": "trustDomain: a.example", "injection": "image: x"}
        await mesh.create(CONFIG_MAPS, "weft", data=data)
        await mesh.until(lambda: mesh.db.mesh_config.peek(MESH))
        assert mesh.injections == ["image: x"]
        await mesh.change(CONFIG_MAPS, "weft", data={"mesh": "trustDomain: [a"})
        await mesh.until(lambda: mesh.problems[-1])
        config = mesh.db.mesh_config.peek(MESH)
        assert config is not None
        assert config.trust_domain == "a.example"


async def fill(mesh: Mesh) -> None:
    for name in ("stays", "changes", "goes"):
        await mesh.create(SERVICES, name, spec=ports())
        await mesh.create(VIRTUAL_SERVICES, name, spec=route(name))
    await mesh.until(lambda: len(mesh.services()) == len(mesh.virtual_services()) == 3)
    await asyncio.sleep(3)  # until kopf watches: what comes after is an interruption of watches


async def change_unseen(mesh: Mesh) -> None:
    for resource in (SERVICES, VIRTUAL_SERVICES):
        await mesh.delete(resource, "goes")
    await mesh.create(SERVICES, "comes", spec=ports())
    await mesh.create(VIRTUAL_SERVICES, "comes", spec=route("comes"))
    await mesh.change(SERVICES, "changes", spec=ports(81))
    await mesh.change(VIRTUAL_SERVICES, "changes", spec=route("other"))


def port_of(mesh: Mesh, name: str) -> int:
    row = mesh.db.services.peek((mesh.namespace, name))
    return row.spec.ports[0].port if row else 0


async def caught_up(mesh: Mesh) -> float:
    present = {"stays", "changes", "comes"}
    return await mesh.until(
        lambda: (
            mesh.services() == mesh.virtual_services() == present
            and port_of(mesh, "changes") == 81
            and mesh.hosts("changes") == ("other",)
        )
    )


@pytest.mark.usefixtures("crds")
async def test_after_a_cut_line_nothing_has_vanished_and_nothing_stale_stays(follow: Follow) -> None:
    async with follow() as mesh:
        await fill(mesh)
        await mesh.line.cut()
        await change_unseen(mesh)
        await asyncio.sleep(2)
        assert mesh.services() == mesh.virtual_services() == {"stays", "changes", "goes"}
        await mesh.line.mend()
        assert await caught_up(mesh) < 10


@pytest.mark.usefixtures("crds")
async def test_after_history_was_lost_what_vanished_meanwhile_is_removed(follow: Follow, outage: Outage) -> None:
    """A restarted API server knows no history from before its start: every watch is answered with 410."""
    async with follow() as mesh:
        await fill(mesh)
        await mesh.line.cut()
        await change_unseen(mesh)
        await asyncio.to_thread(_restart, outage)
        assert mesh.services() == mesh.virtual_services() == {"stays", "changes", "goes"}
        await mesh.line.mend()
        await caught_up(mesh)
        vanished = {"kind": "Service", "type": "vanished"}
        assert (mesh.metrics.get_sample_value("weft_ingest_events_total", vanished) or 0) >= 1


def _restart(outage: Outage) -> None:
    with outage():
        pass


async def test_kinds_that_are_not_served_are_found_when_they_come_and_forgotten_when_they_go(
    follow: Follow, api_server: Cluster, crds: None
) -> None:
    path = CRDS / "networking.istio.io_workloadentries.yaml"
    await asyncio.to_thread(api_server.kubectl, "delete", "-f", path)
    async with follow() as mesh:
        key = (mesh.namespace, "a")
        await asyncio.to_thread(api_server.kubectl, "apply", "--server-side", "-f", path)
        await asyncio.to_thread(api_server.kubectl, "wait", "--for=condition=Established", "-f", path)
        await mesh.create(WORKLOAD_ENTRIES, "a", spec={"address": "10.0.0.1"})
        await mesh.until(lambda: key in mesh.db.workload_entries)
        await asyncio.to_thread(api_server.kubectl, "delete", "-f", path)
        await mesh.until(lambda: key not in mesh.db.workload_entries)
        await mesh.create(VIRTUAL_SERVICES, "a", spec=route("one"))
        await mesh.until(lambda: mesh.hosts("a") == ("one",))
