"""What is wrong with a Kubernetes Service, or worth knowing of it, as far as the mesh is concerned."""

from collections.abc import Iterator

from weft_core.graph import query
from weft_core.ir.service import Protocol, Service, ServiceRef
from weft_core.model import kubernetes as k8s
from weft_core.names import service_host
from weft_core.problems import Code, Problem, Severity
from weft_core.registry import Key, Registry
from weft_core.view.aliases import real_host
from weft_core.view.finding import finding
from weft_core.view.outbound_traffic import mesh_allows_any
from weft_core.view.services import refs_of_host, service


@query
def service_problems(db: Registry, key: Key) -> tuple[Problem, ...]:
    """All findings about one Service."""
    row = db.services.get(key)
    found = service(db, ServiceRef(key[0], service_host(key[1], key[0], db.settings.domain)))
    if row is None or found is None:
        return ()
    if found.external_name:
        return tuple(_external_name(db, row, found))
    return (*_unnamed(row, found), *_slices_of_names(db, row))


def _unnamed(row: k8s.Service, found: Service) -> Iterator[Problem]:
    """Ports whose protocol has to be detected. It works, save where the server speaks first."""
    for index, port in enumerate(found.ports):
        if port.protocol is Protocol.AUTO:
            name = f"`{port.name}` begins with no protocol" if port.name else "there is no name"
            yield finding(
                row.ref,
                ("ports", index, "name"),
                code=Code.PORT_NAME_NOT_UNDER_CONVENTION,
                severity=Severity.INFO,
                message=f"{name}: the protocol of port {port.number} is detected from the first bytes of connections",
                fix="write appProtocol, or a name that begins with the protocol: http-…, grpc-…, tcp-…",
            )


def _slices_of_names(db: Registry, row: k8s.Service) -> Iterator[Problem]:
    """EndpointSlices that list host names: the endpoints that Envoy balances over are addresses."""
    for name in slices_of_names(db, (row.namespace, row.name)):
        yield finding(
            row.ref,
            (),
            code=Code.UNSUPPORTED_FIELD,
            message=f"its EndpointSlice {name} has the addressType FQDN: endpoints that are names get no requests",
            fix="list addresses, or declare the names in a ServiceEntry with resolution: DNS",
        )


@query
def slices_of_names(db: Registry, key: Key) -> tuple[str, ...]:
    """Names of a Service's EndpointSlices of addressType FQDN; by itself, as most changes of slices concern others."""
    return tuple(row.name for row in db.endpoint_slices.rows("service", key) if row.address_type == "FQDN")


def _external_name(db: Registry, row: k8s.Service, found: Service) -> Iterator[Problem]:
    """Another name for a host: of a service, or of something outside that traffic passes through to."""
    target = real_host(db, found.ref.host)
    if not refs_of_host(db, target) or target == found.ref.host:
        allowed = mesh_allows_any(db)
        effect = "requests to it pass through" if allowed else "requests to it are refused (REGISTRY_ONLY)"
        yield finding(
            row.ref,
            ("externalName",),
            code=Code.UNKNOWN_EXTERNAL_NAME,
            severity=Severity.INFO if allowed else Severity.WARNING,
            message=f"the mesh knows no service {found.external_name}: {effect}, and no VirtualService can route to it",
            fix=f"add a ServiceEntry with the host {found.external_name}",
        )
    for index, port in enumerate(found.ports):
        if port.protocol.is_tcp:
            yield finding(
                row.ref,
                ("ports", index, "name"),
                code=Code.EXTERNAL_NAME_PORT,
                message=f"connections to port {port.number} can't be told to be for this name, which has no address",
                fix="remove the port, or name its protocol, if that is HTTP or TLS",
            )
