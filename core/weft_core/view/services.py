"""Services: what Kubernetes Services and ServiceEntries come to, and where one host name leads."""

from weft_core.graph import query
from weft_core.ir.service import Resolution, Service, ServicePort, ServiceRef
from weft_core.model import kubernetes as k8s
from weft_core.model.meta import Config
from weft_core.model.service_entry import ServiceEntry
from weft_core.names import service_host
from weft_core.registry import Key, Registry
from weft_core.view.mesh import mesh
from weft_core.view.protocols import entry_protocol, port_protocol

EXPORT_TO_ANNOTATION = "networking.istio.io/exportTo"
TRAFFIC_DISTRIBUTION_ANNOTATION = "networking.istio.io/traffic-distribution"

_RESOLUTIONS = {
    "STATIC": Resolution.ENDPOINTS,
    "DNS": Resolution.DNS,
    "DNS_ROUND_ROBIN": Resolution.DNS_ROUND_ROBIN,
    "DYNAMIC_DNS": Resolution.DYNAMIC_DNS,
    "NONE": Resolution.PASSTHROUGH,
}


@query
def service(db: Registry, ref: ServiceRef) -> Service | None:
    """The service declared in `ref.namespace` under this host. A Kubernetes Service goes before ServiceEntries."""
    for key in db.services.by("host", ref.host):
        if key[0] == ref.namespace and (row := db.services.get(key)):
            return _from_kubernetes(db, row)
    entries = [row for row in db.service_entries.rows("host", ref.host) if row.meta.namespace == ref.namespace]
    return _from_entries(db, ref, sorted(entries, key=lambda row: row.meta.age_key)) if entries else None


@query
def refs_of_host(db: Registry, host: str) -> tuple[ServiceRef, ...]:
    """Every namespace that declares a service of this host."""
    namespaces = {key[0] for key in db.services.by("host", host)}
    namespaces |= {key[0] for key in db.service_entries.by("host", host)}
    return tuple(ServiceRef(namespace, host) for namespace in sorted(namespaces))


@query
def hosts_of_service_object(db: Registry, key: Key) -> tuple[str, ...]:
    """The host of one Kubernetes Service: a query of its own, so that its ports may change without disturbing lists."""
    row = db.services.get(key)
    return (service_host(row.metadata.name, row.metadata.namespace, db.settings.domain),) if row else ()


@query
def hosts_of_entry(db: Registry, key: Key) -> tuple[str, ...]:
    """The hosts of one ServiceEntry."""
    row = db.service_entries.get(key)
    return tuple(row.spec.hosts) if row else ()


@query
def all_refs(db: Registry) -> tuple[ServiceRef, ...]:
    """Every service, sorted by host and namespace."""
    refs = {ServiceRef(key[0], host) for key in db.services.all_keys() for host in hosts_of_service_object(db, key)}
    refs |= {ServiceRef(key[0], host) for key in db.service_entries.all_keys() for host in hosts_of_entry(db, key)}
    return tuple(sorted(refs, key=lambda ref: (ref.host, ref.namespace)))


def _from_kubernetes(db: Registry, row: k8s.Service) -> Service:
    meta, spec = row.metadata, row.spec
    exported = row.annotations.get(EXPORT_TO_ANNOTATION, "")
    addresses = tuple(spec.cluster_ips or ([spec.cluster_ip] if spec.cluster_ip else []))
    headless = spec.cluster_ip == "None"
    return Service(
        ref=ServiceRef(meta.namespace, service_host(meta.name, meta.namespace, db.settings.domain)),
        name=meta.name,
        ports=tuple(
            ServicePort(
                number=port.port,
                name=port.name,
                protocol=port_protocol(
                    number=port.port, name=port.name, app_protocol=port.app_protocol or "", transport=port.protocol
                ),
                target=port.target_port or 0,
            )
            for port in spec.ports
        ),
        addresses=() if headless else addresses,
        resolution=Resolution.PASSTHROUGH if headless else Resolution.ENDPOINTS,
        headless=headless,
        export_to=_split(exported) or mesh(db).default_service_export_to or ("*",),
        traffic_distribution=spec.traffic_distribution or row.annotations.get(TRAFFIC_DISTRIBUTION_ANNOTATION, ""),
        external_name=spec.external_name,
        created=(meta.creation_timestamp or "", meta.name, meta.namespace),
        origins=(row.ref,),
    )


def _from_entries(db: Registry, ref: ServiceRef, rows: list[Config[ServiceEntry]]) -> Service:
    """ServiceEntries of one namespace and host are one service: ports and addresses joined, the rest the oldest's."""
    first = rows[0].spec
    ports: dict[int, ServicePort] = {}
    for row in rows:
        for port in row.spec.ports:
            protocol = entry_protocol(port.protocol)
            ports.setdefault(
                port.number,
                ServicePort(number=port.number, name=port.name, protocol=protocol, target=port.target_port or 0),
            )
    return Service(
        ref=ref,
        name=rows[0].meta.name,
        kubernetes=False,
        ports=tuple(ports.values()),
        addresses=tuple(dict.fromkeys(address for row in rows for address in row.spec.addresses)),
        resolution=_RESOLUTIONS[first.resolution],
        external=first.location == "MESH_EXTERNAL",
        export_to=tuple(first.export_to) or mesh(db).default_service_export_to or ("*",),
        subject_alt_names=tuple(dict.fromkeys(name for row in rows for name in row.spec.subject_alt_names)),
        created=rows[0].meta.age_key,
        origins=tuple(row.meta.ref for row in rows),
    )


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
