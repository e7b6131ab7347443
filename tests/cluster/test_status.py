"""Status on a real API server: conditions that kubectl waits for, Events, and pods without their sidecar."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from bringup import Cluster
from prometheus_client import CollectorRegistry

from weft_cli.control_plane import ControlPlane
from weft_core.problems import ObjectRef
from weft_core.proxy import ProxyId, ProxyKind
from weft_core.registry import Registry
from weft_kube.client import Api
from weft_kube.login import Login, login
from weft_operator.coverage import CoverageWatch, Scope
from weft_operator.events import EventRecorder
from weft_operator.ingest.run import Ingest, IngestOptions
from weft_operator.status.findings import View
from weft_operator.status.peers import Peers
from weft_operator.status.replica import Local
from weft_operator.status.writer import StatusWriter
from weft_xds.delta import Session
from weft_xds.fanout import Fanout, Marks
from weft_xds.types import CDS, EDS, LDS, RDS, SDS, VHDS
from weft_xds.wire import Request

CRDS = Path(__file__).parents[2] / "charts/weft/files/crds"
SECONDS = 20.0
"""For anything to happen; what is measured is far below."""

Outage = Callable[[], AbstractContextManager[None]]


class Proxy:
    """A proxy without Envoy: asks for all there is, and answers as it is told to."""

    def __init__(self, fanout: Fanout, namespace: str, name: str) -> None:
        self._fanout = fanout
        self._proxy = ProxyId(ProxyKind.SIDECAR, namespace, name)
        self.silent: set[str] = set()
        self.refuses = ""
        self._waiting: list[Request] = []
        self._view = fanout.join(self._proxy, self)
        self._session = Session(self._view)
        for type_url in (CDS, EDS, SDS, LDS, RDS, VHDS):
            names: Collection[str] = ()
            if type_url in (EDS, SDS, RDS):
                names = [name for full in self._view.full(type_url) for name in full.versions]
            self._session.receive(Request(type_url=type_url, subscribe=tuple(names), held={}))
            self._poll()

    def mark(self, marks: Marks) -> None:
        for type_url, names in marks.items():
            self._session.mark(type_url, names)
        asyncio.get_running_loop().call_soon(self._poll)

    def acknowledged(self, type_url: str, name: str, version: str) -> bool:
        found = self._session.subscription(type_url)
        return found is not None and found.acknowledged(name, version)

    def has(self, type_url: str, name: str, version: str) -> bool:
        return self._session.has(type_url, name, version)

    def settled(self) -> bool:
        return self._session.complete and self._session.settled

    def speak(self) -> None:
        """Answer what was left without an answer, and all that comes from now on."""
        self.silent.clear()
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            self._answer(request)
        self._poll()

    def _poll(self) -> None:
        while (response := self._session.poll(asyncio.get_running_loop().time())) is not None:
            error = "no such thing" if self.refuses and response.type_url == self.refuses else None
            request = Request(type_url=response.type_url, nonce=response.nonce, error=error, held={})
            if response.type_url in self.silent:
                self._waiting.append(request)
            else:
                self._answer(request)

    def _answer(self, request: Request) -> None:
        self._session.receive(request)
        self._fanout.answered()


class Plane:
    """A control plane with everything that writes."""

    def __init__(self, api: Api, who: Login, namespace: str) -> None:
        self.db = Registry()
        self.control = ControlPlane(self.db, tell=lambda _problem: None)
        self.fanout = self.control.fanout
        self.ingest = Ingest(
            api,
            who,
            self.db,
            IngestOptions(namespace=namespace, credentials_namespaces=(), resync=600, poll=0.3),
            changed=self.fanout.schedule,
            injection=lambda _text: None,
            settings_problems=lambda _problems: None,
            metrics=CollectorRegistry(),
        )
        self.recorder = EventRecorder(api, instance="weft-0")
        self.coverage = CoverageWatch(
            self.db, lambda: Scope(own_namespace="weft-system"), self.fanout.commit, metrics=CollectorRegistry()
        )
        local = Local(
            observations=self.ingest.observations,
            progress=self.fanout.progress,
            refused=lambda: (ref for each in self.fanout.rejections() for ref in each.origins),
            ready=lambda: self.ingest.barrier.is_open,
        )
        self.peers = Peers(local, list)
        findings = View(self.db, self.fanout.commit)
        self.writer = StatusWriter(
            api,
            self.ingest.observations,
            findings,
            self.peers.ask,
            self.recorder,
            served=self.ingest.served,
            warm_up=0.0,
        )
        self.fanout.answered = self.writer.answered

    def proxy(self, namespace: str, name: str) -> Proxy:
        return Proxy(self.fanout, namespace, name)


@pytest.fixture(scope="module", autouse=True)
def crds(api_server: Cluster) -> None:
    """The mesh's kinds, served."""
    api_server.kubectl("apply", "--server-side", "--force-conflicts", "-f", CRDS)
    api_server.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", CRDS)


@pytest.fixture
def shop(api_server: Cluster, namespace: str) -> str:
    """A namespace with a Service and a pod, which no node runs."""
    api_server.kubectl("wait", "--for=create", "serviceaccount/default", "-n", namespace, "--timeout=30s")
    api_server.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "web-0", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "none"}]},
        },
        namespace=namespace,
    )
    return namespace


@asynccontextmanager
async def api_of(cluster: Cluster) -> AsyncIterator[tuple[Api, Login]]:
    who = await asyncio.to_thread(login, cluster.kubeconfig)
    async with Api(who) as api:
        yield api, who


@asynccontextmanager
async def running(*works: Any) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def plane_for(cluster: Cluster, namespace: str) -> AsyncIterator[Plane]:
    """A control plane that leads and is in sync."""
    async with api_of(cluster) as (api, who):
        found = Plane(api, who, namespace)
        async with running(found.ingest.run()), found.peers:
            await asyncio.wait_for(found.ingest.barrier.wait(), SECONDS)
            async with running(found.writer.run(), found.recorder.run()):
                yield found


def route(timeout: str = "5s", host: str = "web") -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "web"},
        "spec": {"hosts": ["web"], "http": [{"timeout": timeout, "route": [{"destination": {"host": host}}]}]},
    }


async def apply(cluster: Cluster, document: dict[str, Any], namespace: str) -> None:
    await asyncio.to_thread(cluster.apply, document, namespace=namespace)


async def wait_for(cluster: Cluster, condition: str, namespace: str) -> float:
    """What users type; returns how long it took, kubectl's own start included."""
    began = time.monotonic()
    await asyncio.to_thread(
        cluster.kubectl, "wait", "virtualservice/web", "-n", namespace, f"--for=condition={condition}", "--timeout=20s"
    )
    return time.monotonic() - began


async def conditions(cluster: Cluster, namespace: str) -> dict[str, dict[str, Any]]:
    found = await asyncio.to_thread(cluster.get, "virtualservice", "web", namespace=namespace)
    return {each["type"]: each for each in found.get("status", {}).get("conditions", ())}


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


async def test_kubectl_wait_returns_when_the_proxies_have_it(api_server: Cluster, shop: str) -> None:
    async with plane_for(api_server, shop) as plane:
        proxy = plane.proxy(shop, "web-0")
        await apply(api_server, route(), shop)
        took = await wait_for(api_server, "Programmed", shop)
        found = await conditions(api_server, shop)
        assert found["Programmed"]["message"] == "1 of 1 proxy has acknowledged generation 1"
        assert found["Accepted"]["status"] == found["ResolvedRefs"]["status"] == "True"
        assert took < 2.0
        proxy.silent = {VHDS}
        await apply(api_server, route("6s"), shop)
        await wait_for(api_server, "Programmed=False", shop)
        assert (await conditions(api_server, shop))["Programmed"]["reason"] == "Pending"
        waiting = asyncio.ensure_future(wait_for(api_server, "Programmed", shop))
        await asyncio.sleep(1.0)
        assert not waiting.done()
        spoke = time.monotonic()
        proxy.speak()
        await waiting
        assert time.monotonic() - spoke < 1.5
        found = await conditions(api_server, shop)
        assert found["Programmed"]["observedGeneration"] == 2


async def test_envoys_refusal_is_on_the_object_and_in_an_event(api_server: Cluster, shop: str) -> None:
    async with plane_for(api_server, shop) as plane:
        proxy = plane.proxy(shop, "web-0")
        await apply(api_server, route(), shop)
        await wait_for(api_server, "Programmed", shop)
        proxy.refuses = VHDS
        await apply(api_server, route("7s"), shop)
        await wait_for(api_server, "Programmed=False", shop)
        for _ in range(100):
            found = (await conditions(api_server, shop))["Programmed"]
            if found["reason"] == "Rejected":
                break
            await asyncio.sleep(0.1)
        assert "no such thing" in found["message"]
        events = []
        for _ in range(50):
            events = (await asyncio.to_thread(api_server.get, "events.events.k8s.io", namespace=shop))["items"]
            if any(event["reason"] == "RejectedByEnvoy" for event in events):
                break
            await asyncio.sleep(0.1)
        (event,) = [event for event in events if event["reason"] == "RejectedByEnvoy"]
        assert event["regarding"]["kind"] == "VirtualService"
        assert "no such thing" in event["note"]
        described = await asyncio.to_thread(api_server.kubectl, "describe", "virtualservice", "web", "-n", shop)
        assert "RejectedByEnvoy" in described


async def test_dangling_references_and_mistakes_say_so(api_server: Cluster, shop: str) -> None:
    async with plane_for(api_server, shop):
        await apply(api_server, route(host="nowhere"), shop)
        await wait_for(api_server, "ResolvedRefs=False", shop)
        assert "nowhere" in (await conditions(api_server, shop))["ResolvedRefs"]["message"]
        await apply(api_server, route(), shop)
        await wait_for(api_server, "ResolvedRefs", shop)
        wrong = route()
        wrong["spec"]["http"][0]["redirect"] = {"uri": "/"}
        await apply(api_server, wrong, shop)
        await wait_for(api_server, "Accepted=False", shop)
        found = (await conditions(api_server, shop))["Accepted"]
        assert found["reason"] == "Invalid"
        assert "spec.http[0]" in found["message"]
        assert "stays in force" in found["message"]


async def test_nothing_is_written_when_nothing_changes_not_even_after_a_restart(api_server: Cluster, shop: str) -> None:
    async def version() -> str:
        found = await asyncio.to_thread(api_server.get, "virtualservice", "web", namespace=shop)
        return str(found["metadata"]["resourceVersion"])

    async with plane_for(api_server, shop) as plane:
        plane.proxy(shop, "web-0")
        await apply(api_server, route(), shop)
        await wait_for(api_server, "Programmed", shop)
        told: list[ObjectRef] = []
        plane.ingest.observations.subscribe(told.append)
        before = await version()
        await asyncio.sleep(2.0)
        assert await version() == before
        assert not [ref for ref in told if ref.namespace == shop], "a status is no news"
    async with plane_for(api_server, shop) as plane:
        plane.proxy(shop, "web-0")
        await asyncio.sleep(2.0)
        assert await version() == before


async def test_the_conditions_of_another_controller_stay(api_server: Cluster, shop: str) -> None:
    await apply(api_server, route(), shop)
    foreign = (
        '{"type":"Reviewed","status":"True","reason":"ByHand","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}'
    )
    patch = f'{{"status":{{"conditions":[{foreign}]}}}}'
    await asyncio.to_thread(
        api_server.kubectl,
        "patch",
        "virtualservice",
        "web",
        "-n",
        shop,
        "--subresource=status",
        "--type=merge",
        "-p",
        patch,
    )
    async with plane_for(api_server, shop):
        await wait_for(api_server, "Programmed", shop)
        assert {"Reviewed", "Accepted", "Programmed"} <= (await conditions(api_server, shop)).keys()


async def test_an_outage_of_the_api_server_only_delays(api_server: Cluster, shop: str, outage: Outage) -> None:
    async with plane_for(api_server, shop) as plane:
        proxy = plane.proxy(shop, "web-0")
        proxy.silent = {VHDS}
        await apply(api_server, route(), shop)
        await wait_for(api_server, "Programmed=False", shop)
        stopping = outage()
        await asyncio.to_thread(stopping.__enter__)
        proxy.speak()
        await asyncio.sleep(1.0)
        await asyncio.to_thread(stopping.__exit__, None, None, None)
        await wait_for(api_server, "Programmed", shop)


async def test_a_pod_without_its_sidecar_is_marked(api_server: Cluster, shop: str) -> None:
    await asyncio.to_thread(api_server.kubectl, "label", "namespace", shop, "weft.dev/injection=enabled")
    async with plane_for(api_server, shop) as plane:
        await until(lambda: any(key == (shop, "web-0") for key, _ in plane.coverage.look()))
        async with running(plane.coverage.mark(plane.recorder)):
            for _ in range(50):
                found = await asyncio.to_thread(
                    api_server.kubectl, "get", "events", "-n", shop, "--field-selector", "reason=SidecarMissing"
                )
                if "web-0" in found:
                    break
                await asyncio.sleep(0.1)
    assert "web-0" in found
