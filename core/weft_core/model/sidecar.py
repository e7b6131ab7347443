"""Sidecar (networking.istio.io): what a sidecar accepts, and which services it knows."""

from collections.abc import Iterator
from enum import StrEnum

from pydantic import Field

from weft_core.model.base import Model, WorkloadSelector
from weft_core.model.connection_pool import ConnectionPoolSettings
from weft_core.model.destination import Destination
from weft_core.model.export import is_namespace
from weft_core.model.mistake import Mistake
from weft_core.model.port import HTTP_PROTOCOLS, TLS_PROTOCOLS, SidecarPort
from weft_core.model.scalars import is_host, is_ip
from weft_core.model.server_tls import ServerTLSSettings
from weft_core.problems import Code, Severity

__all__ = [
    "CaptureMode", "IstioEgressListener", "IstioIngressListener", "OutboundMode", "OutboundTrafficPolicy", "Sidecar",
    "SidecarPort",
]  # fmt: skip


class CaptureMode(StrEnum):
    """How traffic gets to a listener."""

    DEFAULT = "DEFAULT"
    IPTABLES = "IPTABLES"
    NONE = "NONE"


class OutboundMode(StrEnum):
    """What happens to traffic to unknown destinations."""

    REGISTRY_ONLY = "REGISTRY_ONLY"
    ALLOW_ANY = "ALLOW_ANY"


class OutboundTrafficPolicy(Model):
    """Traffic to destinations that the mesh does not know. A block without mode means REGISTRY_ONLY."""

    mode: OutboundMode = Field(OutboundMode.REGISTRY_ONLY, description="REGISTRY_ONLY drops it, ALLOW_ANY lets it go.")
    egress_proxy: Destination | None = Field(None, description="Service that unknown traffic is sent through.")

    def check(self) -> Iterator[Mistake]:
        """A proxy for what is let go, with its port."""
        if self.egress_proxy is None:
            return
        if self.mode is not OutboundMode.ALLOW_ANY:
            yield Mistake(
                path=("egressProxy",),
                message=f"{self.mode} drops unknown traffic, so nothing is sent to the proxy",
                fix="write mode: ALLOW_ANY",
            )
        elif self.egress_proxy.port is None:
            yield Mistake(path=("egressProxy", "port"), message="the proxy has no port", fix="add port.number")


class IstioIngressListener(Model):
    """A port on which the sidecar accepts traffic."""

    port: SidecarPort = Field(description="Port of the workload.")
    bind: str = Field("", description="Address to listen on, without capture.")
    capture_mode: CaptureMode = Field(CaptureMode.DEFAULT, description="How traffic gets here.")
    default_endpoint: str = Field("", description="127.0.0.1:PORT, 0.0.0.0:PORT or unix:///path of the application.")
    tls: ServerTLSSettings | None = Field(None, description="TLS, where the mesh's own is off on this port.")
    connection_pool: ConnectionPoolSettings | None = Field(None, description="Limits towards the application.")

    def check(self) -> Iterator[Mistake]:
        """A numbered port, and an endpoint that is the application itself."""
        if not self.port.number:
            yield Mistake(path=("port", "number"), message="an ingress port needs a number", fix="write the port")
        if self.bind and not is_ip(self.bind):
            yield Mistake(path=("bind",), message=f"`{self.bind}` is not an IP address", fix="write an IP address")
        if self.default_endpoint and not _is_own_endpoint(self.default_endpoint):
            yield Mistake(
                path=("defaultEndpoint",),
                message=f"`{self.default_endpoint}` is not the application",
                fix="write 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///path",
            )
        spoken = self.port.protocol
        if self.connection_pool and self.connection_pool.http and spoken and spoken not in HTTP_PROTOCOLS:
            yield Mistake(
                path=("connectionPool", "http"),
                severity=Severity.WARNING,
                code=Code.SCHEMA_WARNING,
                message=f"limits of HTTP requests have no effect on {spoken}",
                fix="remove it, or write protocol: HTTP",
            )
        if self.tls is not None and self.port.protocol not in TLS_PROTOCOLS:
            yield Mistake(
                path=("tls",),
                message="the port's protocol is not TLS",
                fix="write protocol: HTTPS (or TLS), or remove tls",
            )


class IstioEgressListener(Model):
    """The services that a sidecar knows, on one port or on all."""

    port: SidecarPort | None = Field(None, description="Only for this port; all ports without it.")
    bind: str = Field("", description="Address or unix:// path to listen on.")
    capture_mode: CaptureMode = Field(CaptureMode.DEFAULT, description="How traffic gets here.")
    hosts: tuple[str, ...] = Field(min_length=1, description="namespace/host; `.`, `*`, `~` stand for namespaces.")

    def check(self) -> Iterator[Mistake]:
        """Hosts have the form namespace/host; an address to listen on needs a port."""
        for index, host in enumerate(self.hosts):
            if reason := _egress_host_error(host):
                yield Mistake(
                    path=("hosts", index),
                    message=f"`{host}`: {reason}",
                    fix="write ./*, */*, istio-system/* or shop/reviews.shop.svc.cluster.local",
                )
        if self.bind.startswith("unix://") and self.capture_mode is CaptureMode.IPTABLES:
            yield Mistake(
                path=("captureMode",), message="nothing is captured to a Unix socket", fix="write captureMode: NONE"
            )
        for index, host in enumerate(self.hosts):
            wider = {"*/*", f"{host.partition('/')[0]}/*"} - {host}
            if (found := sorted(wider.intersection(self.hosts))) and not host.startswith("~"):
                yield Mistake(
                    path=("hosts", index),
                    severity=Severity.WARNING,
                    code=Code.SCHEMA_WARNING,
                    message=f"`{found[0]}` has it already",
                    fix="remove one of them",
                )
        if self.bind and self.port is None:
            yield Mistake(path=("port",), message="bind needs a port", fix="add port, or remove bind")
        if self.port is not None and not self.port.number and not self.bind.startswith("unix://"):
            yield Mistake(path=("port", "number"), message="the port has no number", fix="write it")


class Sidecar(Model):
    """Settings for the sidecars of a namespace, or of the workloads that the selector picks."""

    workload_selector: WorkloadSelector | None = Field(None, description="Workloads; all of the namespace without it.")
    ingress: tuple[IstioIngressListener, ...] = Field((), description="Ports that are accepted; all without it.")
    egress: tuple[IstioEgressListener, ...] = Field((), description="Services that are known; all without it.")
    inbound_connection_pool: ConnectionPoolSettings | None = Field(None, description="Limits towards the application.")
    outbound_traffic_policy: OutboundTrafficPolicy | None = Field(None, description="Unknown destinations.")

    def check(self) -> Iterator[Mistake]:
        """Each port once, and one listener at most for all other ports, which comes last."""
        seen: dict[int, int] = {}
        for index, ingress in enumerate(self.ingress):
            number = ingress.port.number
            if seen.setdefault(number, index) != index:
                yield Mistake(
                    path=("ingress", index, "port"),
                    message=f"port {number} is already set at ingress[{seen[number]}]",
                    fix="merge the two",
                )
        if not (self.ingress or self.egress or self.inbound_connection_pool or self.outbound_traffic_policy):
            yield Mistake(
                severity=Severity.WARNING,
                code=Code.SCHEMA_WARNING,
                message="the Sidecar sets nothing",
                fix="add egress, or remove it",
            )
        yield from self._check_egress()

    def _check_egress(self) -> Iterator[Mistake]:
        bound: dict[object, int] = {}
        for index, egress in enumerate(self.egress):
            place = egress.port and (egress.port.number or egress.bind)
            if place and bound.setdefault(place, index) != index:
                yield Mistake(
                    path=("egress", index, "port"),
                    message=f"{place} is already set at egress[{bound[place]}]",
                    fix="merge the two",
                )
        for index, egress in enumerate(self.egress[:-1]):
            if egress.port is None:
                yield Mistake(
                    path=("egress", index),
                    message="a listener without port takes all other ports, so it must be the only such one and last",
                    fix="move it to the end, merge it with the other one, or add a port",
                )


def _is_own_endpoint(text: str) -> bool:
    if text.startswith("unix://"):
        return len(text) > len("unix://") and not text.endswith("/")
    host, _, port = text.rpartition(":")
    return host in {"127.0.0.1", "0.0.0.0", "[::1]", "[::]", ""} and port.isdigit() and 0 < int(port) < 65536  # noqa: S104


def _egress_host_error(text: str) -> str | None:
    """Why `namespace/host` is not well-formed, or None. `~ns/host` leaves a host out again, `~/host` in all of them."""
    namespace, slash, host = text.partition("/")
    if not slash:
        return "the namespace is missing"
    owner = namespace.removeprefix("~")
    if namespace != "~" and owner not in {"*", "."} and not is_namespace(owner):
        return "the part before the slash is no namespace"
    if not is_host(host, wildcard=True):
        return "the part after the slash is not a host name"
    if host.startswith("*") and host != "*" and not host.startswith("*."):
        return "a `*` stands for whole parts of a name"
    if host != "*" and "." not in host:
        return "short names are not known here"
    return None
