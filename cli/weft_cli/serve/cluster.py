"""One replica of the control plane in a cluster: everything is made here, given to each other, and run in one loop.

The order of the start: read the cluster, whole; then the root, whose trust domain is among what was read; then the
servers. So nobody is served from half a registry, and a replica counts as ready when it can do all that its roles ask.
"""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

import structlog
from aiohttp import web

from weft_cli import garbage, http
from weft_cli.control_plane import ControlPlane
from weft_cli.news import News
from weft_cli.serve.address import split_address
from weft_cli.serve.certificates import Certificates
from weft_cli.serve.options import ClusterOptions, Role
from weft_cli.serve.readiness import Readiness, webhooks_known
from weft_cli.serve.reporting import Reporting
from weft_cli.serve.surroundings import CurrentFeatures, CurrentSettings, Namespaces
from weft_core.errors import EnvironmentFault
from weft_core.problems import ObjectRef, Problem, Severity
from weft_core.registry import Registry, Settings
from weft_core.view.mesh import mesh, trust_domains
from weft_core.view.mesh_namespaces import mesh_namespaces
from weft_injector.delivery.names import Release
from weft_injector.delivery.release import find_release
from weft_injector.serving import ServingMaterial
from weft_injector.webhook import InjectionMetrics, Injector
from weft_kube import admission
from weft_kube.client import Api
from weft_kube.errors import ApiError
from weft_kube.login import Login, login
from weft_operator.admission import validation
from weft_operator.coverage.uncovered import Scope
from weft_operator.ingest.run import Ingest, IngestOptions
from weft_operator.leader import Leader
from weft_xds.server import ServerOptions, TlsMaterial

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

T = TypeVar("T")

_CONNECTION_AGE = 1800.0
"""Seconds after which a proxy is asked to connect again: to another replica perhaps, with its newest certificate."""


def serve_cluster(options: ClusterOptions) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Raises EnvironmentFault where it cannot start."""
    for address in (options.xds, options.http, options.webhooks):
        split_address(address)
    try:
        return asyncio.run(_serve(options))
    except ExceptionGroup as group:
        fault = next(leafs(group, EnvironmentFault), None)
        if fault is None:
            raise
        raise fault from None


def leafs(group: BaseExceptionGroup[BaseException], kind: type[T]) -> Iterator[T]:
    """The exceptions of a kind in a group, however deep."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leafs(error, kind)
        elif isinstance(error, kind):
            yield error


async def _serve(options: ClusterOptions) -> int:
    access = await asyncio.to_thread(login, options.kubeconfig)
    async with Api(access) as api:
        release = await _patiently(lambda: find_release(api, options.name, options.namespace))
        await _Replica(api, access, release, options).run()
    return 0


class _Replica:
    """The parts, and their way from start to end."""

    def __init__(self, api: Api, access: Login, release: Release, options: ClusterOptions) -> None:
        self._api = api
        self._release = release
        self._options = options
        self._roles = options.roles
        ref = ObjectRef(kind="ConfigMap", namespace=options.namespace, name=options.name)
        self._settings = CurrentSettings(ref)
        self._features = CurrentFeatures(api)
        self._registry = Registry(Settings(domain=options.cluster_domain))
        self._control_plane = ControlPlane(self._registry, _tell)
        self._mesh_problems = News()
        self._written = asyncio.Event()
        self._readiness = Readiness({"ingest", "settings", *_servers(self._roles)})
        self._ingest = Ingest(
            api,
            access,
            self._registry,
            IngestOptions(
                namespace=options.namespace,
                name=options.name,
                revision=options.revision,
                credentials_namespaces=options.credential_namespaces,
            ),
            changed=self._changed,
            injection=self._settings.read,
            settings_problems=self._tell_settings,
            metrics=self._control_plane.metrics,
        )
        self._leader = Leader(
            api,
            name=options.name,
            namespace=options.namespace,
            identity=options.pod_name,
            owners=lambda: release.owner_references,
        )
        self._reporting = Reporting(
            api,
            self._control_plane,
            self._ingest,
            options,
            scope=self._scope,
        )

    async def run(self) -> None:
        """From the start to SIGTERM."""
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            app = http.make_app(self._control_plane.metrics, lambda: self._readiness.ready)
            app.add_routes(self._reporting.routes())
            runner = await http.start(app, *split_address(self._options.http))
            stack.push_async_callback(runner.cleanup)
            running = [tasks.create_task(self._ingest.run(), name="ingest")]
            starting = tasks.create_task(self._start(tasks, running, stack), name="start")
            await stopped.wait()
            _log.info("ending")
            self._readiness.ending = True
            for task in (starting, *reversed(running)):
                task.cancel()

    async def _start(
        self, tasks: asyncio.TaskGroup, running: list[asyncio.Task[Any]], stack: contextlib.AsyncExitStack
    ) -> None:
        """Everything after the first full reading of the cluster."""

        def run(part: Coroutine[Any, Any, object], name: str) -> None:
            running.append(tasks.create_task(part, name=name))

        await asyncio.gather(self._ingest.barrier.wait(), _patiently(self._features.look))
        self._readiness.done("ingest")
        self._control_plane.fanout.commit()
        garbage.keep_what_is_there()
        certificates = Certificates(
            self._api,
            self._release,
            trust_domain=trust_domains(self._registry)[0],
            settings=lambda: self._settings.value,
            features=lambda: self._features.value,
            namespaces=self._mesh_namespaces,
            known_pod=self._registry.pods.peek,
            leads=lambda: self._leader.leading,
            metrics=self._control_plane.metrics,
        )
        await _patiently(certificates.root.load)
        material = await certificates.serving.issue()
        self._readiness.done("settings")
        if Role.XDS in self._roles:
            await self._start_xds(certificates, material, stack)
        if self._roles & {Role.OPERATOR, Role.INJECTOR}:
            await self._start_webhooks(certificates, material, stack)
        for part, name in certificates.everybodys(self._roles):
            run(part(), name)
        run(self._features.run(), "features")
        run(self._watch_namespaces(certificates), "namespaces")
        run(self._leader.run(*certificates.leaders(self._roles), *self._leaders_reports()), "leader")
        if "webhooks known" in self._readiness.missing:
            await webhooks_known(self._api, self._release)
            self._readiness.done("webhooks known")
        for part, name in self._reporting.everybodys():  # whose first look at all pods nobody's readiness waits for
            run(part(), name)

    async def _start_xds(
        self, certificates: Certificates, material: ServingMaterial, stack: contextlib.AsyncExitStack
    ) -> None:
        options = ServerOptions(address=self._options.xds, max_connection_age=_CONNECTION_AGE)
        server = self._control_plane.server(options, _tls(material))
        certificates.serving.used_by(lambda following: server.rotate(_tls(following)))
        await server.start()
        stack.push_async_callback(server.stop)
        self._readiness.done("xds")

    async def _start_webhooks(
        self, certificates: Certificates, material: ServingMaterial, stack: contextlib.AsyncExitStack
    ) -> None:
        context = certificates.webhook_context(material)
        app = web.Application()
        if Role.INJECTOR in self._roles:
            app.router.add_post("/inject", admission.handler(self._injector(certificates).inject))
        if Role.OPERATOR in self._roles:
            app.router.add_post("/validate", validation(self._registry, lambda: self._readiness.ready))
        runner = await http.start(app, *split_address(self._options.webhooks), tls=context)
        stack.push_async_callback(runner.cleanup)
        self._readiness.done("webhooks")

    def _injector(self, certificates: Certificates) -> Injector:
        return Injector(
            settings=lambda: self._settings.value,
            features=lambda: self._features.value,
            mesh=lambda: mesh(self._registry),
            namespace_labels=Namespaces(self._api, self._registry).labels,
            credentials=certificates.secrets,
            trust_bundles=certificates.bundles,
            metrics=InjectionMetrics(self._control_plane.metrics),
        )

    def _leaders_reports(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        return self._reporting.leaders() if Role.OPERATOR in self._roles else ()

    # changes

    def _changed(self) -> None:
        self._control_plane.fanout.schedule()
        self._written.set()

    def _scope(self) -> Scope:
        options, settings = self._options, self._settings.value
        return Scope(
            own_namespace=options.namespace,
            revision=options.revision,
            istio_labels=settings.istio_labels,
            istio_pod_labels=settings.istio_pod_labels,
        )

    def _mesh_namespaces(self) -> frozenset[str]:
        self._control_plane.fanout.commit()
        scope = self._scope()
        return mesh_namespaces(self._registry, scope.revision, scope.own_namespace, scope.istio_labels)

    async def _watch_namespaces(self, certificates: Certificates) -> None:
        """Tell the keeper of trust bundles as soon as a namespace joins the mesh or leaves it."""
        known: frozenset[str] = frozenset()
        while True:
            self._written.clear()
            found = self._mesh_namespaces()
            if found != known:
                known = found
                certificates.bundles.look()
            await self._written.wait()
            await asyncio.sleep(0.05)

    def _tell_settings(self, problems: tuple[Problem, ...]) -> None:
        for problem in self._mesh_problems.of(problems):
            _tell(problem)


def _servers(roles: frozenset[Role]) -> set[str]:
    webhooks = {"webhooks", "webhooks known"} if roles & {Role.OPERATOR, Role.INJECTOR} else set()
    return webhooks | ({"xds"} if Role.XDS in roles else set())


async def _patiently(step: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Do this once the API server lets us."""
    while True:
        try:
            return await step()
        except ApiError as fault:
            _log.warning("start_delayed", reason=str(fault))
            await asyncio.sleep(1)


def _tls(material: ServingMaterial) -> TlsMaterial:
    return TlsMaterial(
        certificate_chain=material.certificate_chain,
        private_key=material.private_key,
        client_roots=material.client_roots,
    )


def _tell(problem: Problem) -> None:
    tell = _log.error if problem.severity is Severity.ERROR else _log.warning
    tell("problem", code=problem.code, text=str(problem))
