"""ServiceEntry (networking.istio.io): a service that Kubernetes does not know."""

from collections.abc import Iterator
from enum import StrEnum

from pydantic import Field

from weft_core.model.base import Model, WorkloadSelector
from weft_core.model.export import ExportTo
from weft_core.model.mistake import Mistake
from weft_core.model.port import HTTP_PROTOCOLS, TLS_PROTOCOLS, ServicePort, port_name_mistakes
from weft_core.model.scalars import Cidr, WildcardHost, is_ip
from weft_core.model.workload_entry import WorkloadEntry
from weft_core.problems import Code, Severity

__all__ = ["Location", "Resolution", "ServiceEntry", "ServicePort", "WorkloadEntry", "WorkloadSelector"]


class Location(StrEnum):
    """Whether the service is part of the mesh."""

    MESH_EXTERNAL = "MESH_EXTERNAL"
    MESH_INTERNAL = "MESH_INTERNAL"


class Resolution(StrEnum):
    """How a proxy finds the service's endpoints."""

    NONE = "NONE"
    STATIC = "STATIC"
    DNS = "DNS"
    DNS_ROUND_ROBIN = "DNS_ROUND_ROBIN"
    DYNAMIC_DNS = "DYNAMIC_DNS"


class ServiceEntry(Model):
    """Hosts, their ports, and where their endpoints are."""

    hosts: tuple[WildcardHost, ...] = Field(min_length=1, description="Names of the service.")
    addresses: tuple[Cidr, ...] = Field((), description="Virtual addresses, or ranges of them.")
    ports: tuple[ServicePort, ...] = Field((), description="Ports of the service.")
    location: Location = Field(Location.MESH_EXTERNAL, description="In the mesh (mTLS) or outside.")
    resolution: Resolution = Field(Resolution.NONE, description="How endpoints are found.")
    endpoints: tuple[WorkloadEntry, ...] = Field((), description="Endpoints.")
    workload_selector: WorkloadSelector | None = Field(None, description="Pods and WorkloadEntries that are endpoints.")
    export_to: ExportTo = Field((), description="Namespaces that see it: `.`, `*`, or names.")
    subject_alt_names: tuple[str, ...] = Field((), description="Names of which the server must prove one.")

    def check(self) -> Iterator[Mistake]:
        """Hosts, ports and endpoints fit the resolution."""
        for index, host in enumerate(self.hosts):
            if host == "*":
                yield Mistake(path=("hosts", index), message="`*` is no service", fix="name it, or write *.example.com")
        if self.workload_selector is not None and self.endpoints:
            yield Mistake(
                path=("workloadSelector",),
                message="workloadSelector and endpoints exclude each other",
                fix="keep one of them",
            )
        yield from self._check_ports()
        yield from self._check_addresses()
        yield from self._check_endpoints()

    def _check_ports(self) -> Iterator[Mistake]:
        if not self.ports:
            yield Mistake(
                path=("ports",),
                severity=Severity.WARNING,
                code=Code.SCHEMA_WARNING,
                message="the service has no ports, so nothing can call it",
                fix="add ports",
            )
        names: dict[str, int] = {}
        numbers: dict[int, int] = {}
        for index, port in enumerate(self.ports):
            if names.setdefault(port.name, index) != index:
                yield _twice(("ports", index, "name"), f"`{port.name}`", names[port.name])
            if numbers.setdefault(port.number, index) != index:
                yield _twice(("ports", index, "number"), str(port.number), numbers[port.number])
            yield from port_name_mistakes(port.name, ("ports", index, "name"))
        for index, endpoint in enumerate(self.endpoints):
            for name in endpoint.ports:
                if name not in names:
                    yield Mistake(
                        path=("endpoints", index, "ports", name),
                        message=f"the service has no port `{name}`",
                        fix=f"write one of {', '.join(names)}" if names else "add the port to ports",
                    )

    def _check_addresses(self) -> Iterator[Mistake]:
        for index, address in enumerate(self.addresses):
            if "/" in address and self.resolution not in {Resolution.NONE, Resolution.STATIC}:
                yield Mistake(
                    path=("addresses", index),
                    message=f"a range of addresses does not go with resolution {self.resolution}",
                    fix="write a single address, or resolution: NONE or STATIC",
                )
        if not self.addresses:
            for index, port in enumerate(self.ports):
                if port.protocol not in HTTP_PROTOCOLS | TLS_PROTOCOLS:
                    spoken = port.protocol or "TCP"
                    yield Mistake(
                        path=("ports", index),
                        severity=Severity.WARNING,
                        code=Code.SERVICE_ENTRY_ADDRESSES_REQUIRED,
                        message=f"without addresses, all {spoken} traffic to port {port.number} goes here",
                        fix="add addresses: none are allocated by themselves",
                    )

    def _check_endpoints(self) -> Iterator[Mistake]:
        if self.resolution is Resolution.NONE and self.workload_selector is not None:
            yield Mistake(
                path=("workloadSelector",),
                severity=Severity.WARNING,
                code=Code.INEFFECTIVE_SELECTOR,
                message="resolution NONE calls the address that the caller chose, whatever the selector picks",
                fix="write resolution: STATIC, or remove workloadSelector",
            )
        match self.resolution:
            case Resolution.NONE if self.endpoints:
                yield Mistake(
                    path=("endpoints",),
                    message="resolution NONE calls the address that the caller chose, so endpoints have no place",
                    fix="remove endpoints, or write resolution: STATIC or DNS",
                )
            case Resolution.STATIC:
                if not self.endpoints and self.workload_selector is None:
                    yield Mistake(
                        path=("endpoints",),
                        severity=Severity.WARNING,
                        code=Code.SCHEMA_WARNING,
                        message="resolution STATIC without endpoints: requests to it fail with 503",
                        fix="add endpoints or workloadSelector",
                    )
                yield from self._check_static()
            case Resolution.DNS | Resolution.DNS_ROUND_ROBIN:
                yield from self._check_dns()
            case Resolution.DYNAMIC_DNS:
                yield from self._check_dynamic()

    def _check_dynamic(self) -> Iterator[Mistake]:
        """The host of each request is resolved, so there is nothing but wildcards to be written."""
        for name in ("endpoints", "addresses"):
            if getattr(self, name):
                yield Mistake(
                    path=(name,),
                    message="resolution DYNAMIC_DNS resolves the host of each request",
                    fix=f"remove {name}",
                )
        for index, host in enumerate(self.hosts):
            if not host.startswith("*"):
                yield Mistake(
                    path=("hosts", index),
                    message=f"resolution DYNAMIC_DNS is for wildcards, and `{host}` is one host",
                    fix="write resolution: DNS",
                )

    def _check_static(self) -> Iterator[Mistake]:
        for index, endpoint in enumerate(self.endpoints):
            if endpoint.is_unix and len(self.ports) > 1:
                yield Mistake(
                    path=("endpoints", index, "address"),
                    message="a Unix socket can serve one port only",
                    fix="leave one port",
                )
            elif endpoint.address and not endpoint.is_unix and not is_ip(endpoint.address):
                yield Mistake(
                    path=("endpoints", index, "address"),
                    message=f"resolution STATIC needs IP addresses, and `{endpoint.address}` is a name",
                    fix="write an IP address, or resolution: DNS",
                )

    def _check_dns(self) -> Iterator[Mistake]:
        if not self.endpoints and self.workload_selector is None:
            for index, host in enumerate(self.hosts):
                if host.startswith("*") and host != "*":
                    yield Mistake(
                        path=("hosts", index),
                        message="a wildcard cannot be resolved",
                        fix="add endpoints, or write resolution: NONE or DYNAMIC_DNS",
                    )
        if self.resolution is Resolution.DNS_ROUND_ROBIN and len(self.endpoints) > 1:
            yield Mistake(
                path=("endpoints",),
                message="DNS_ROUND_ROBIN takes one endpoint at most",
                fix="keep one, or write resolution: DNS",
            )
        for index, endpoint in enumerate(self.endpoints):
            if endpoint.is_unix:
                yield Mistake(
                    path=("endpoints", index, "address"),
                    message="a Unix socket cannot be resolved",
                    fix="write resolution: STATIC",
                )


def _twice(path: tuple[str | int, ...], what: str, first: int) -> Mistake:
    return Mistake(path=path, message=f"{what} is already used at ports[{first}]", fix="change or remove one of them")
