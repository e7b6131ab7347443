"""Services as clients see them, whatever declared them: a Kubernetes Service or a ServiceEntry."""

from dataclasses import dataclass
from enum import Enum, StrEnum

from weft_core.problems import ObjectRef

Labels = tuple[tuple[str, str], ...]
"""Labels as sorted pairs: hashable, so that they can be part of a query's arguments."""


class Protocol(StrEnum):
    """What a port speaks, as its name or appProtocol says."""

    HTTP = "HTTP"
    HTTP2 = "HTTP2"
    GRPC = "GRPC"
    GRPC_WEB = "GRPC-Web"
    HTTPS = "HTTPS"
    TLS = "TLS"
    TCP = "TCP"
    MONGO = "Mongo"
    MYSQL = "MySQL"
    REDIS = "Redis"
    UDP = "UDP"
    AUTO = "auto"
    """Not said: recognised from the first bytes (HTTP/1.x, HTTP/2 preface, else TCP)."""

    @property
    def is_http(self) -> bool:
        """Known to be HTTP in clear."""
        return self in (Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB)

    @property
    def is_http2(self) -> bool:
        """Known to be HTTP/2 in clear."""
        return self in (Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB)

    @property
    def is_tls(self) -> bool:
        """The application's own TLS, which the mesh passes through."""
        return self in (Protocol.HTTPS, Protocol.TLS)

    @property
    def is_tcp(self) -> bool:
        """Bytes that the mesh does not look into."""
        return self in (Protocol.TCP, Protocol.MONGO, Protocol.MYSQL, Protocol.REDIS)


class Resolution(Enum):
    """Where a service's addresses come from, and so the type of its clusters."""

    ENDPOINTS = "endpoints"
    """Known endpoints, sent over EDS."""
    DNS = "dns"
    """Host names, resolved by the proxy, all addresses used."""
    DNS_ROUND_ROBIN = "dns-round-robin"
    """Host names, resolved by the proxy, one address at a time."""
    DYNAMIC_DNS = "dynamic-dns"
    """A wildcard host, resolved when a request names it."""
    PASSTHROUGH = "passthrough"
    """The address that the client dialled: headless Services, ServiceEntries of resolution NONE."""


@dataclass(frozen=True, slots=True, order=True)
class ServiceRef:
    """A service: the namespace it was declared in and its host name."""

    namespace: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    """One port of a service. `target` is the workload's: a number, a container port's name, or 0 for `number`."""

    number: int
    name: str
    protocol: Protocol
    target: int | str = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service and all that decides how it is reached, but not its endpoints."""

    ref: ServiceRef
    ports: tuple[ServicePort, ...]
    addresses: tuple[str, ...] = ()
    """Virtual addresses (cluster IPs, or ServiceEntry addresses, which may be CIDR blocks); empty where it has none."""
    resolution: Resolution = Resolution.ENDPOINTS
    headless: bool = False
    external: bool = False
    """Outside the mesh: no automatic mutual TLS."""
    kubernetes: bool = True
    """Declared by a Kubernetes Service; False for a ServiceEntry."""
    export_to: tuple[str, ...] = ("*",)
    subject_alt_names: tuple[str, ...] = ()
    traffic_distribution: str = ""
    external_name: str = ""
    """ExternalName Services: the host that this one is another name of."""
    name: str = ""
    """`metadata.name` of the object."""
    created: tuple[str, str, str] = ("", "", "")
    """Sort key, oldest first."""
    origins: tuple[ObjectRef, ...] = ()

    def port(self, number: int) -> ServicePort | None:
        """The port with this number. Where TCP and UDP share it, as for DNS, it is TCP's: Envoy is given no other."""
        found = [port for port in self.ports if port.number == number]
        return min(found, key=lambda port: port.protocol is Protocol.UDP, default=None)

    def exported_to(self, namespace: str) -> bool:
        """Whether clients in `namespace` may see it."""
        return is_exported(self.export_to, self.ref.namespace, namespace)


def is_exported(export_to: tuple[str, ...], owner: str, namespace: str) -> bool:
    """Istio's exportTo: `*` all, `.` the owner's namespace, `~` nobody, else names. Any `*` in the list wins."""
    if "*" in export_to:
        return True
    return namespace in export_to or ("." in export_to and owner == namespace)
