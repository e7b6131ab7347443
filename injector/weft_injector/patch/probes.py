"""Probes and HTTP hooks of applications, led through the proxy.

The kubelet speaks no mutual TLS. So it asks at the proxy's probe port instead, at a path of the probe's own, and the
proxy asks the application (`bootstrap.probes`). What is left as it is: `exec` probes, which need no network; those with
a `host`, which are not about the pod; those of the proxy's own ports.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

from weft_core.injection import SIDECAR_CONTAINER
from weft_core.model.scalars import is_host
from weft_core.problems import Code, ObjectRef, Problem, Severity
from weft_injector.bootstrap.probes import PROBE_PORT, GrpcProbe, HttpProbe, TcpProbe
from weft_injector.bootstrap.probes import Probe as Served
from weft_injector.capture.settings import PROXY_PORTS
from weft_injector.patch.pod import Container, HttpGet, Pod, Probe

_PROBES: Final = (("livenessProbe", "livez"), ("readinessProbe", "readyz"), ("startupProbe", "startupz"))
_HOOKS: Final = (("postStart", "poststart"), ("preStop", "prestop"))
_HANDLERS: Final = ("httpGet", "tcpSocket", "grpc")
_IN_A_PATH: Final = "/%?&=+,;:@!$'()*~[]"
"""Characters of a path and its query that Go's URLs, and so the kubelet, leave as they are."""


@dataclass(slots=True, kw_only=True)
class ProbeRewriter:
    """Rewrites the probes of one pod, and gathers what the proxy is to serve for them."""

    ref: ObjectRef
    early: Collection[str]
    """Init containers that start before the proxy."""
    served: list[Served] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def rewrite(self, pod: Pod, spec: dict[str, Any]) -> None:
        """Rewrite the containers of `spec`, the document that `pod` is the view of."""
        for index, container in enumerate(pod.spec.containers):
            self._container(container, spec["containers"][index], f"spec.containers[{index}]")
        for index, container in enumerate(pod.spec.init_containers):
            if container.keeps_running:
                before = container.name in self.early
                self._container(
                    container, spec["initContainers"][index], f"spec.initContainers[{index}]", before=before
                )

    def _container(self, container: Container, document: dict[str, Any], path: str, *, before: bool = False) -> None:
        """`before`: the container starts before the proxy, so its start can't wait for an answer of the proxy's."""
        if container.name == SIDECAR_CONTAINER:
            return
        probes = (container.liveness_probe, container.readiness_probe, container.startup_probe)
        for (name, at), probe in zip(_PROBES, probes, strict=True):
            if probe is not None and not (before and name == "startupProbe"):
                where = f"/app-health/{container.name}/{at}"
                served = self._served(container, probe, where, f"{path}.{name}")
                if served is not None:
                    self.served.append(served)
                    document[name] = _redirected(document[name], where)
        lifecycle = container.lifecycle
        for (name, at), hook in zip(_HOOKS, (lifecycle.post_start, lifecycle.pre_stop), strict=True):
            if hook is not None and hook.http_get is not None and not (before and name == "postStart"):
                where = f"/app-lifecycle/{container.name}/{at}"
                served = self._http(container, hook.http_get, where, None, f"{path}.lifecycle.{name}")
                if served is not None:
                    self.served.append(served)
                    hooks = document["lifecycle"] = dict(document["lifecycle"])
                    hooks[name] = _redirected(hooks[name], where)

    def _served(self, container: Container, probe: Probe, where: str, path: str) -> Served | None:
        """What the proxy does in place of the kubelet; None where the probe stays as it is."""
        timeout = timedelta(seconds=max(1, probe.timeout_seconds))
        period = timedelta(seconds=max(1, probe.period_seconds))
        if probe.http_get is not None:
            return self._http(container, probe.http_get, where, timeout, path)
        if probe.tcp_socket is not None:
            if probe.tcp_socket.host:
                return None
            port = self._port(container, probe.tcp_socket.port, f"{path}.tcpSocket.port")
            return None if port is None else TcpProbe(path=where, port=port, timeout=timeout, period=period)
        if probe.grpc is not None:
            port = self._port(container, probe.grpc.port, f"{path}.grpc.port")
            service = probe.grpc.service
            if port is not None:
                return GrpcProbe(path=where, port=port, service=service, timeout=timeout, period=period)
        return None

    def _http(
        self, container: Container, get: HttpGet, where: str, timeout: timedelta | None, path: str
    ) -> HttpProbe | None:
        if get.host:
            return None
        port = self._port(container, get.port, f"{path}.httpGet.port")
        if port is None:
            return None
        return HttpProbe(
            path=where,
            port=port,
            target=_target(get.path),
            tls=get.scheme.upper() == "HTTPS",
            server_name=_server_name(get),
            timeout=timeout,
        )

    def _port(self, container: Container, written: int | str, path: str) -> int | None:
        port = container.port(written)
        if port is None:
            self.problems.append(
                Problem(
                    code=Code.SCHEMA_WARNING,
                    severity=Severity.WARNING,
                    object=self.ref,
                    path=path,
                    message=f"container {container.name} has no port {str(written)[:80]!r}: the probe stays as it is",
                    fix="name one of the container's ports, or write its number",
                )
            )
        return None if port in PROXY_PORTS else port


def _redirected(handler: dict[str, Any], where: str) -> dict[str, Any]:
    """The probe or hook with another place to ask at; headers, periods and thresholds stay."""
    changed = {name: value for name, value in handler.items() if name not in _HANDLERS}
    get: dict[str, Any] = {"path": where, "port": PROBE_PORT}
    if headers := (handler.get("httpGet") or {}).get("httpHeaders"):
        get["httpHeaders"] = headers
    return {**changed, "httpGet": get}


def _target(path: str) -> str:
    """The application's path as it goes over the wire: absolute, without fragment, percent-encoded."""
    text = path.partition("#")[0]
    return quote(text if text.startswith("/") else f"/{text}", safe=_IN_A_PATH)


def _server_name(get: HttpGet) -> str:
    """The name for TLS: the Host header's, as the kubelet takes it."""
    host = next((header.value for header in get.http_headers if header.name.lower() == "host"), "")
    name = host.rpartition(":")[0] or host
    return name if is_host(name, wildcard=False) else ""
