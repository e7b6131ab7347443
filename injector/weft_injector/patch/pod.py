"""A typed view of what the injector reads of a pod. Fields that are absent or null have their defaults."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

import msgspec

from weft_core.problems import Code, ObjectRef, Problem, Severity

ALWAYS = "Always"

Document = dict[str, Any]
"""A pod, or a part of one, as it came."""


class _View(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The base of all views: unknown fields are passed over, and null is as good as absent."""


class Header(_View, frozen=True, kw_only=True):
    """A header of an HTTP probe."""

    name: str
    value: str = ""


class HttpGet(_View, frozen=True, kw_only=True):
    """An HTTP probe or hook."""

    port: int | str
    path: str = ""
    host: str = ""
    scheme: str = "HTTP"
    http_headers: tuple[Header, ...] = ()


class TcpSocket(_View, frozen=True, kw_only=True):
    """A TCP probe."""

    port: int | str
    host: str = ""


class Grpc(_View, frozen=True, kw_only=True):
    """A gRPC probe."""

    port: int
    service: str = ""


class Probe(_View, frozen=True, kw_only=True):
    """A probe, with Kubernetes' defaults. At most one of the handlers is set; an `exec` is none that matters here."""

    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    grpc: Grpc | None = None
    timeout_seconds: int = 1
    period_seconds: int = 10


class Hook(_View, frozen=True, kw_only=True):
    """A lifecycle hook."""

    http_get: HttpGet | None = None


class Lifecycle(_View, frozen=True, kw_only=True):
    """A container's hooks."""

    post_start: Hook | None = None
    pre_stop: Hook | None = None


class Named(_View, frozen=True, kw_only=True):
    """An entry that is known by its name: a volume, a variable, a Secret, a kernel parameter."""

    name: str = ""


class ContainerPort(_View, frozen=True, kw_only=True):
    """A declared port."""

    container_port: int
    name: str = ""
    protocol: str = "TCP"


class VolumeMount(_View, frozen=True, kw_only=True):
    """Where a volume is mounted."""

    mount_path: str
    name: str = ""


class Resources(_View, frozen=True, kw_only=True):
    """Requests and limits; quantities are text or numbers."""

    limits: Mapping[str, str | int | float] = {}
    requests: Mapping[str, str | int | float] = {}


class SecurityContext(_View, frozen=True, kw_only=True):
    """Whom processes run as. A pod's has kernel parameters besides."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    sysctls: tuple[Named, ...] = ()


class Container(_View, frozen=True, kw_only=True):
    """A container, or an init container."""

    name: str
    image: str = ""
    image_pull_policy: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[Named, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    resources: Resources = Resources()
    security_context: SecurityContext = SecurityContext()
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Lifecycle = Lifecycle()
    restart_policy: str = ""

    @property
    def keeps_running(self) -> bool:
        """Of an init container: whether it is a native sidecar, which may have probes."""
        return self.restart_policy == ALWAYS

    def port(self, port: int | str) -> int | None:
        """The number of a port, by name as the kubelet looks it up: text that names none may still be a number."""
        if isinstance(port, str):
            named = (found.container_port for found in self.ports if found.name == port)
            number = next(named, int(port) if port.isascii() and port.isdecimal() and len(port) < 6 else 0)
        else:
            number = port
        return number if 0 < number <= 65535 else None


class Owner(_View, frozen=True, kw_only=True):
    """What made the pod."""

    kind: str = ""
    name: str = ""
    controller: bool = False


class Metadata(_View, frozen=True, kw_only=True):
    """A pod's metadata. At admission a pod of a controller has no name yet, only `generateName`."""

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    owner_references: tuple[Owner, ...] = ()


class Spec(_View, frozen=True, kw_only=True):
    """A pod's spec."""

    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Named, ...] = ()
    image_pull_secrets: tuple[Named, ...] = ()
    service_account_name: str = ""
    security_context: SecurityContext = SecurityContext()
    resources: Resources = Resources()
    """Of the pod as a whole, which its containers share (Kubernetes 1.34 and later)."""
    host_network: bool = False
    termination_grace_period_seconds: int = 30
    os: Named = Named()
    node_selector: Mapping[str, str] = {}


class Pod(_View, frozen=True, kw_only=True):
    """A pod."""

    metadata: Metadata = Metadata()
    spec: Spec

    @classmethod
    def read(cls, document: Mapping[str, Any], ref: ObjectRef) -> Self | Problem:
        """The view, or what is wrong with the document; the API server stores nothing of the latter sort."""
        try:
            try:
                return msgspec.convert(document, cls)
            except msgspec.ValidationError:
                return msgspec.convert(_without_nulls(document), cls)
        except (msgspec.ValidationError, RecursionError) as error:
            message, _, where = str(error).partition(" - at ")
            return Problem(
                code=Code.SCHEMA_VALIDATION_ERROR,
                severity=Severity.ERROR,
                object=ref,
                path=where.strip("`").removeprefix("$").removeprefix("."),
                message=message[:1].lower() + message[1:] or "it is nested too deeply",
                fix="write what Kubernetes expects here",
            )

    @property
    def service_account(self) -> str:
        """Whom it runs as; Kubernetes' own default where none is written."""
        return self.spec.service_account_name or "default"

    def all_containers(self) -> Iterator[Container]:
        """Containers, then init containers."""
        yield from self.spec.containers
        yield from self.spec.init_containers


def writable(document: Document) -> tuple[Document, Document]:
    """A copy of the pod and its spec that may be written to, down to the fields of containers; the rest is shared."""
    spec = dict(document["spec"])
    for name in ("containers", "initContainers"):
        if spec.get(name):
            spec[name] = [dict(container) for container in spec[name]]
    return {**document, "spec": spec}, spec


def _without_nulls(value: Any) -> Any:
    """A copy without fields that have no value."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(item) for item in value]
    return value
