"""What `weft up` runs: for each Pod of the folder its process, its sidecar, and the loopback ports of both."""

import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from weft_cli.up.ports import LOOPBACK, PortAllocator
from weft_core.model import kubernetes as k8s
from weft_core.offline import is_gateway
from weft_core.problems import Code, Problem, Severity
from weft_core.proxy import LocalPorts, ProxyId, ProxyKind
from weft_core.view.proxies import owner_name

COMMAND_ANNOTATION: Final = "weft.dev/local-command"
ADDRESS_ANNOTATION: Final = "weft.dev/local-address"
_PROXY_VARIABLES: Final = frozenset(
    {"http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalWorkload:
    """One Pod on this machine."""

    proxy: ProxyId
    service_account: str
    owner: str
    labels: Mapping[str, str]
    argv: tuple[str, ...]
    """The application's command; empty where it runs already, and for a gateway."""
    env: Mapping[str, str]
    """The application's whole environment."""
    ports: LocalPorts
    admin: int
    metrics: int

    @property
    def name(self) -> str:
        """The pod's name, with its namespace where that is not `default`."""
        namespace = self.proxy.namespace
        return self.proxy.name if namespace == "default" else str(self.proxy)

    @property
    def gateway(self) -> bool:
        """Whether it is a gateway, which has no application."""
        return self.proxy.kind is ProxyKind.GATEWAY

    @property
    def listens(self) -> tuple[tuple[str, int], ...]:
        """All addresses where its proxy listens, for a check that they are free."""
        numbers = [self.admin, self.metrics, self.ports.readiness, *(port for _, port in self.ports.inbound)]
        if self.gateway:
            numbers += [port for _, port in self.ports.application]
        elif self.ports.proxy:
            numbers.append(self.ports.proxy)
        return tuple((LOOPBACK, number) for number in numbers)


@dataclass(frozen=True, slots=True)
class Plan:
    """The workloads to run, by their proxies, and what is wrong with those that can't be."""

    workloads: Mapping[ProxyId, LocalWorkload]
    problems: tuple[Problem, ...]


def make_plan(pods: Iterable[k8s.Pod], allocator: PortAllocator, environment: Mapping[str, str]) -> Plan:
    """Plan all Pods. Ports are stable: the same Pod has the same ports for as long as the allocator lives."""
    workloads: dict[ProxyId, LocalWorkload] = {}
    problems: list[Problem] = []
    for pod in pods:
        planned = _plan_one(pod, allocator, environment)
        if isinstance(planned, Problem):
            problems.append(planned)
        else:
            workloads[planned.proxy] = planned
    return Plan(workloads, tuple(problems))


def _plan_one(pod: k8s.Pod, allocator: PortAllocator, environment: Mapping[str, str]) -> LocalWorkload | Problem:
    meta = pod.metadata
    gateway = is_gateway(pod)
    proxy = ProxyId(ProxyKind.GATEWAY if gateway else ProxyKind.SIDECAR, meta.namespace, meta.name)
    command = pod.annotations.get(COMMAND_ANNOTATION, "")
    address = pod.annotations.get(ADDRESS_ANNOTATION, "")
    targets = [port.container_port for container in pod.spec.containers for port in container.ports]
    if not gateway and not command and not address:
        return _problem(
            pod,
            "says neither how to start its process here nor where it listens",
            f"annotate the pod template with {COMMAND_ANNOTATION}: 'python app.py', or with "
            f"{ADDRESS_ANNOTATION}: '127.0.0.1:9080' where it runs already",
        )
    try:
        argv = _argv(command)
        listening = _listening_port(address)
    except ValueError as error:
        return _problem(pod, str(error), "write the annotation as a shell would take it, or as HOST:PORT")
    ports = _ports(proxy, targets, listening, allocator)
    return LocalWorkload(
        proxy=proxy,
        service_account=pod.service_account,
        owner=owner_name(pod),
        labels=pod.labels,
        argv=argv,
        env=_environment(pod, ports, targets, environment),
        ports=ports,
        admin=allocator.port(f"{proxy} admin"),
        metrics=allocator.port(f"{proxy} metrics"),
    )


def _ports(proxy: ProxyId, targets: list[int], listening: int | None, allocator: PortAllocator) -> LocalPorts:
    readiness = allocator.port(f"{proxy} readiness")
    if proxy.kind is ProxyKind.GATEWAY:  # people dial a gateway, so it listens where its Service says
        return LocalPorts(application=tuple((target, target) for target in targets), readiness=readiness)
    return LocalPorts(
        inbound=tuple((target, allocator.port(f"{proxy} inbound {target}")) for target in targets),
        application=tuple((target, listening or allocator.port(f"{proxy} application {target}")) for target in targets),
        proxy=allocator.port(f"{proxy} outbound"),
        readiness=readiness,
    )


def _argv(command: str) -> tuple[str, ...]:
    """The command split as a shell would; `python` is the interpreter that runs Weft, which has its packages."""
    words = shlex.split(command)
    return tuple(
        sys.executable if word in ("python", "python3") and index == 0 else word for index, word in enumerate(words)
    )


def _listening_port(address: str) -> int | None:
    if not address:
        return None
    host, _, port = address.rpartition(":")
    if host not in (LOOPBACK, "localhost") or not port.isdecimal():
        raise ValueError(f"{ADDRESS_ANNOTATION}: {address!r} is not of the form {LOOPBACK}:PORT")
    return int(port)


def _environment(
    pod: k8s.Pod, ports: LocalPorts, targets: list[int], environment: Mapping[str, str]
) -> Mapping[str, str]:
    env = {key: value for key, value in environment.items() if key not in _PROXY_VARIABLES}
    env |= {var.name: var.value for container in pod.spec.containers[:1] for var in container.env if var.value}
    env |= {
        "HOST": LOOPBACK,
        "POD_NAME": pod.name,
        "HOSTNAME": pod.name,
        "POD_NAMESPACE": pod.metadata.namespace,
        "NO_PROXY": "",
    }
    env |= {f"PORT_{target}": str(ports.application_port(target)) for target in targets}
    env |= {"PORT": str(ports.application_port(targets[0]))} if targets else {}
    proxy = f"http://{LOOPBACK}:{ports.proxy}"
    return env | {"HTTP_PROXY": proxy, "http_proxy": proxy, "PYTHONUNBUFFERED": "1"}


def _problem(pod: k8s.Pod, message: str, fix: str) -> Problem:
    return Problem(
        code=Code.REFERENCED_RESOURCE_NOT_FOUND,
        severity=Severity.ERROR,
        object=pod.ref,
        path="metadata.annotations",
        message=message,
        fix=fix,
    )


def working_directory(folder: Path) -> Path:
    """Where applications run: the folder itself, so that commands in its YAML name files beside it."""
    return Path(os.path.abspath(folder))  # noqa: PTH100 - not resolved: a symlink's name is what the user gave
