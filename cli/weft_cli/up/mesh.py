"""The mesh on one machine: a folder's workloads kept running, and the registry kept like the folder.

What a cluster's controllers and kubelet do is done here for a folder: Deployments become Pods, Pods become processes, a
Pod is an endpoint while its process and its sidecar are ready.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from weft_cli.control_plane import ControlPlane
from weft_cli.folder import FolderSource
from weft_cli.news import News
from weft_cli.up.events import Exited, ProcessEvent, Ready, Started, Stopped
from weft_cli.up.plan import LocalWorkload, make_plan, working_directory
from weft_cli.up.ports import LOOPBACK, PortAllocator
from weft_cli.up.specs import application_process, proxy_name, proxy_process
from weft_cli.up.state import State
from weft_cli.up.supervisor import Supervisor
from weft_core.ingest import replace_all
from weft_core.model import kubernetes as k8s
from weft_core.problems import Problem
from weft_core.proxy import ProxyId
from weft_core.registry import Key
from weft_core.spiffe import SpiffeId
from weft_core.view.mesh import trust_domains
from weft_core.view.problems import all_problems
from weft_injector.bootstrap.control_plane import ControlPlane as ControlPlaneAddress
from weft_injector.bootstrap.control_plane import MutualTls
from weft_injector.bootstrap.document import ProxyPorts, bootstrap
from weft_injector.bootstrap.node import ProxyNode
from weft_injector.ca.authority import workload_dns_name
from weft_injector.files import CredentialFolder
from weft_injector.renewer import Renewer, Workload
from weft_injector.sds import WORKLOAD_SECRETS

CONTROL_PLANE_NAME = "weft.local"
"""The DNS name in the xDS server's certificate, which sidecars insist on."""


@dataclass(slots=True, kw_only=True)
class LocalMesh:
    """Runs a folder. `tell` is given each problem once, for as long as it lasts."""

    folder: Path
    source: FolderSource
    control_plane: ControlPlane
    supervisor: Supervisor
    renewer: Renewer
    state: State
    envoy: Path
    xds_port: int
    tell: Callable[[Problem], None]
    workloads: dict[ProxyId, LocalWorkload] = field(default_factory=dict)
    _ports: PortAllocator = field(init=False)
    _ready: set[str] = field(default_factory=set)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever a process becomes ready or ends, and after each reading."""
    _news: News = field(default_factory=News)

    def __post_init__(self) -> None:
        self._ports = PortAllocator(str(working_directory(self.folder)))

    async def reload(self) -> None:
        """Bring registry and processes in line with the folder. What can't be read keeps its last good version."""
        loaded = await asyncio.to_thread(self.source.read)
        registry = self.control_plane.registry
        replace_all(registry, loaded.objects, mesh=loaded.mesh, held=loaded.held, guards=loaded.guards, injected=True)
        pods = [pod for key in registry.pods if (pod := registry.pods.peek(key)) is not None]
        plan = make_plan(pods, self._ports, os.environ)
        for proxy, workload in plan.workloads.items():
            registry.local_ports.put((proxy.namespace, proxy.name), workload.ports)
        for pod in pods:
            self._mark(pod)
        self.control_plane.fanout.commit()
        for problem in self._news.of(self.source.locate((*loaded.problems, *plan.problems, *all_problems(registry)))):
            self.tell(problem)
        await self._reconcile(plan.workloads)
        self._moved.set()

    async def wait_ready(self) -> None:
        """Until all processes of all workloads are ready; those that come and go meanwhile are taken into account."""
        while not all(self._is_ready(workload) for workload in self.workloads.values()):
            self._moved.clear()
            await self._moved.wait()

    def on_event(self, event: ProcessEvent) -> None:
        """Listen to the supervisor: a Pod is an endpoint while its process and its sidecar are ready."""
        if isinstance(event, Ready):
            self._ready.add(event.name)
        elif isinstance(event, Started | Exited | Stopped):
            self._ready.discard(event.name)
        else:
            return
        registry = self.control_plane.registry
        for proxy, workload in self.workloads.items():
            pod = registry.pods.peek((proxy.namespace, proxy.name))
            if event.name in (workload.name, proxy_name(workload)) and pod is not None:
                self._mark(pod)
        self.control_plane.fanout.schedule()
        self._moved.set()

    def _is_ready(self, workload: LocalWorkload) -> bool:
        return proxy_name(workload) in self._ready and (not workload.argv or workload.name in self._ready)

    def _mark(self, pod: k8s.Pod) -> None:
        """Write a Pod's Ready condition, as the kubelet would."""
        workload = next(
            (w for p, w in self.workloads.items() if (p.namespace, p.name) == (pod.namespace, pod.name)), None
        )
        ready = workload is not None and self._is_ready(workload)
        condition = k8s.Condition(type="Ready", status="True" if ready else "False")
        status = msgspec.structs.replace(pod.status, conditions=(condition,))
        key: Key = (pod.namespace, pod.name)
        self.control_plane.registry.pods.put(key, msgspec.structs.replace(pod, status=status))

    def urls(self) -> dict[str, str]:
        """Where people can look: the ports of the gateways."""
        return {
            workload.name: f"http://localhost:{port}"
            for workload in self.workloads.values()
            if workload.gateway
            for _, port in workload.ports.application
        }

    async def _reconcile(self, wanted: Mapping[ProxyId, LocalWorkload]) -> None:
        for proxy in [p for p, running in self.workloads.items() if wanted.get(p) != running]:
            await self._stop(self.workloads.pop(proxy))
        fresh = [workload for proxy, workload in wanted.items() if proxy not in self.workloads]
        self.workloads.update({workload.proxy: workload for workload in fresh})
        await asyncio.gather(*(self._start(workload) for workload in fresh))

    async def _start(self, workload: LocalWorkload) -> None:
        """Certificate and bootstrap first: Envoy refuses to start without the files that its configuration names."""
        trust_domain = trust_domains(self.control_plane.registry)[0]
        namespace = workload.proxy.namespace
        folder = self.state.proxy_folder(workload)
        await self.renewer.register(
            Workload(
                name=str(workload.proxy),
                identity=SpiffeId(
                    trust_domain=trust_domain, namespace=namespace, service_account=workload.service_account
                ),
                dns_names=(workload_dns_name(workload.owner, namespace),),
                destination=CredentialFolder(folder / WORKLOAD_SECRETS.path, seen_as=WORKLOAD_SECRETS),
            )
        )
        document = bootstrap(
            ProxyNode(
                proxy=workload.proxy,
                ip=LOOPBACK,
                cluster=f"{workload.labels.get('app', workload.owner)}.{namespace}",
                metadata={"NAMESPACE": namespace, "LABELS": dict(workload.labels), "WORKLOAD_NAME": workload.owner},
            ),
            ControlPlaneAddress(host=LOOPBACK, port=self.xds_port, tls=MutualTls(server_name=CONTROL_PLANE_NAME)),
            ProxyPorts(admin=workload.admin, metrics=workload.metrics, metrics_address=LOOPBACK),
        )
        self.supervisor.add(proxy_process(workload, self.envoy, self.state.write_bootstrap(workload, document)))
        if (process := application_process(workload, working_directory(self.folder))) is not None:
            self.supervisor.add(process)

    async def _stop(self, workload: LocalWorkload) -> None:
        if workload.argv:
            await self.supervisor.remove(workload.name)
        await self.supervisor.remove(proxy_name(workload))
        self.renewer.unregister(str(workload.proxy))
        self.state.forget(workload)
