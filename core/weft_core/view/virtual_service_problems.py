"""What is wrong with a valid VirtualService: what it refers to and is not there, and who takes its hosts from it.

Whatever is missing is still routed to by its name, and requests fail with 503: the owner is told here, not only then.
"""

from collections.abc import Iterable, Iterator

from weft_core.graph import query
from weft_core.ir.service import ServiceRef
from weft_core.model.destination import Destination
from weft_core.model.meta import Config
from weft_core.model.mistake import Path
from weft_core.model.virtual_service import VirtualService
from weft_core.names import MESH_GATEWAY, matches_host, resolve_host
from weft_core.problems import Code, ObjectRef, Problem, Severity, by_severity
from weft_core.registry import Key, Registry
from weft_core.view.aliases import alias_target, real_host
from weft_core.view.claim_route_problems import claim_route_problems
from weft_core.view.delegates import delegate_key, exports_virtual_service
from weft_core.view.destination_rules import rules_in_force, subset_names
from weft_core.view.finding import finding
from weft_core.view.gateway_routes import meeting_hosts
from weft_core.view.gateways import gateway_servers
from weft_core.view.services import all_refs, refs_of_host, service
from weft_core.view.virtual_services import Attachment, attachment, mesh_virtual_services, used_delegates


@query
def virtual_service_problems(db: Registry, key: Key) -> tuple[Problem, ...]:
    """All findings about one VirtualService, worst first."""
    row = db.virtual_services.get(key)
    if row is None:
        return ()
    found = [problem for path, destination in _destinations(row) for problem in _missing(db, row, path, destination)]
    found += _delegates(db, row)
    attached = attachment(db, key)
    if attached is None:
        found += _unused(db, row)
    else:
        found += [
            *_unsaid_ports(db, row, attached),
            *_gateways(db, row, attached),
            *_conflicts(db, row, attached),
            *_unknown_hosts(db, row, attached),
            *claim_route_problems(db, row, attached.gateways),
        ]
    return by_severity(found)


def _destinations(row: Config[VirtualService]) -> Iterator[tuple[Path, Destination]]:
    """(field path, destination) of all rules."""
    spec = row.spec
    routes = (
        *(("http", index, [entry.destination for entry in rule.route]) for index, rule in enumerate(spec.http)),
        *(("tls", index, [entry.destination for entry in rule.route]) for index, rule in enumerate(spec.tls)),
        *(("tcp", index, [entry.destination for entry in rule.route]) for index, rule in enumerate(spec.tcp)),
    )
    for kind, index, destinations in routes:
        for position, destination in enumerate(destinations):
            yield (kind, index, "route", position, "destination"), destination
    for index, http in enumerate(spec.http):
        if http.mirror is not None:
            yield ("http", index, "mirror"), http.mirror
        for position, policy in enumerate(http.mirrors):
            yield ("http", index, "mirrors", position, "destination"), policy.destination


def _missing(db: Registry, row: Config[VirtualService], path: Path, destination: Destination) -> Iterator[Problem]:
    namespace = row.meta.namespace
    host = real_host(db, resolve_host(destination.host, namespace, db.settings.domain))
    refs = refs_of_host(db, host)
    if not refs:
        yield _error(row, (*path, "host"), f"there is no service `{host}`", _other_name(db, destination.host, host))
        return
    if target := next(filter(None, (alias_target(db, ref) for ref in refs)), ""):
        message = f"`{host}` is only another name of `{target}`, which the mesh does not know"
        yield _error(row, (*path, "host"), message, f"add a ServiceEntry with the host {target}")
        return
    yield from _missing_port(db, row, path, destination, refs)
    if destination.subset:
        yield from _missing_subset(db, row, path, destination.subset, refs)


def _missing_port(
    db: Registry, row: Config[VirtualService], path: Path, destination: Destination, refs: tuple[ServiceRef, ...]
) -> Iterator[Problem]:
    numbers = _ports(db, refs)
    if destination.port is not None and destination.port.number not in numbers:
        message = f"`{refs[0].host}` has no port {destination.port.number}"
        yield _error(row, (*path, "port", "number"), message, f"write one of its ports: {_listed(numbers)}")


def _unsaid_ports(db: Registry, row: Config[VirtualService], attached: Attachment) -> Iterator[Problem]:
    """Destinations without a port, of a service that has several and not the one that a gateway was called at."""
    gateways = (name.partition("/") for name in attached.gateways if name != MESH_GATEWAY)
    called = {
        server.server.port.number for namespace, _, own in gateways for server in gateway_servers(db, (namespace, own))
    }
    for path, destination in _destinations(row) if called else ():
        host = real_host(db, resolve_host(destination.host, row.meta.namespace, db.settings.domain))
        numbers = _ports(db, refs_of_host(db, host))
        if destination.port is None and len(numbers) > 1 and not called.issubset(numbers):
            yield finding(
                row.meta.ref,
                path,
                code=Code.DESTINATION_PORT_REQUIRED,
                severity=Severity.ERROR,
                message=f"`{host}` has several ports, and none is {_listed(sorted(called.difference(numbers)))}, "
                "where the gateway is called: its requests fail with 503",
                fix=f"add port.number, one of {_listed(numbers)}",
            )


def _ports(db: Registry, refs: tuple[ServiceRef, ...]) -> list[int]:
    return sorted({port.number for ref in refs if (found := service(db, ref)) for port in found.ports})


def _missing_subset(
    db: Registry, row: Config[VirtualService], path: Path, subset: str, refs: tuple[ServiceRef, ...]
) -> Iterator[Problem]:
    """A subset counts where a rule defines it for clients in the VirtualService's namespace or in the service's."""
    known: dict[str, None] = {}
    rules: list[Key] = []
    for ref in refs:
        for namespace in dict.fromkeys((row.meta.namespace, ref.namespace)):
            keys = rules_in_force(db, namespace, (), ref)
            rules += keys
            known |= dict.fromkeys(subset_names(db, keys))
    if subset in known:
        return
    host = refs[0].host
    if not rules:
        fix = f"add a DestinationRule for {host} with the subset {subset}"
    else:
        where = f"add the subset to DestinationRule {'/'.join(rules[0])}"
        fix = f"write one of {', '.join(known)}, or {where}" if known else where
    yield _error(row, (*path, "subset"), f"no DestinationRule defines the subset `{subset}` of `{host}`", fix)


def _other_name(db: Registry, written: str, host: str) -> str:
    """The full names of services that the author may have meant: those of the same short name elsewhere."""
    short = written.partition(".")[0]
    meant = sorted({ref.host for ref in all_refs(db) if ref.host.partition(".")[0] == short})
    if meant:
        return f"write {' or '.join(meant)}"
    return f"correct the name, or add a Service or a ServiceEntry with the host {host}"


def _delegates(db: Registry, row: Config[VirtualService]) -> Iterator[Problem]:
    root = (row.meta.namespace, row.meta.name)
    for index, rule in enumerate(row.spec.http):
        if rule.delegate is None:
            continue
        key = delegate_key(root, rule.delegate)
        found = db.virtual_services.get(key)
        path, name = ("http", index, "delegate"), "/".join(key)
        if found is None:
            yield _error(row, path, f"there is no VirtualService `{name}`", "create it, or correct the name")
        elif found.spec.hosts:
            yield _error(row, path, f"`{name}` has hosts, so it is no delegate", f"remove the hosts of {name}")
        elif exports_virtual_service(db, key, root[0]) is None:
            yield _error(row, path, f"`{name}` is not exported to {root[0]}", f"add {root[0]} to its exportTo")


def _unused(db: Registry, row: Config[VirtualService]) -> Iterator[Problem]:
    if (row.meta.namespace, row.meta.name) not in used_delegates(db):
        yield finding(
            row.meta.ref,
            ("hosts",),
            code=Code.UNUSED_DELEGATE,
            severity=Severity.WARNING,
            message="there are no hosts, and no VirtualService delegates to this one: it routes nothing",
            fix="add the hosts, or name it as `delegate` in an HTTP rule of the VirtualService that has them",
        )


def _gateways(db: Registry, row: Config[VirtualService], attached: Attachment) -> Iterator[Problem]:
    for index, name in enumerate(attached.gateways):
        if name == MESH_GATEWAY:
            continue
        namespace, _, own = name.partition("/")
        servers = gateway_servers(db, (namespace, own))
        if not servers:
            fix = "create it, or correct the name; one in another namespace is written namespace/name"
            yield _error(row, ("gateways", index), f"there is no Gateway `{name}`", fix)
            continue
        ruled = [server for server in servers if getattr(row.spec, server.rules)]
        if any(meeting_hosts(attached, server) for server in ruled):
            continue
        hosts = sorted({text for server in ruled for text in server.server.hosts})
        kinds = " or ".join(kind for kind in ("http", "tls", "tcp") if getattr(row.spec, kind))
        yield finding(
            row.meta.ref,
            ("gateways", index),
            code=Code.VIRTUAL_SERVICE_HOST_NOT_FOUND_IN_GATEWAY,
            severity=Severity.WARNING,
            message=f"no server of Gateway `{name}` for {kinds} rules has one of the hosts {', '.join(attached.hosts)}",
            fix=f"write a host that it serves: {', '.join(hosts)}"
            if hosts
            else f"add a server of a protocol for {kinds} rules to the Gateway, with these hosts",
        )


def _conflicts(db: Registry, row: Config[VirtualService], attached: Attachment) -> Iterator[Problem]:
    """The hosts that another VirtualService has; sidecars do not merge, so this one's rules for them never apply."""
    if MESH_GATEWAY not in attached.gateways:
        return
    namespace = "" if "*" in attached.export_to else attached.key[0]
    for index, host in enumerate(attached.hosts):
        rivals = [key for key in mesh_virtual_services(db, namespace, None, host) if _has_host(db, key, host)]
        if rivals and attached.key in rivals and rivals[0] != attached.key:
            winner = ObjectRef(kind="VirtualService", namespace=rivals[0][0], name=rivals[0][1])
            yield finding(
                row.meta.ref,
                ("hosts", index),
                code=Code.CONFLICTING_VIRTUAL_SERVICE_HOSTS,
                severity=Severity.ERROR,
                message=f"sidecars take the routes of `{host}` from {winner}, which comes first, and never merge two",
                fix=f"move these rules into {winner}, or remove the host from one of them",
            )


def _has_host(db: Registry, key: Key, host: str) -> bool:
    found = attachment(db, key)
    return found is not None and host in found.hosts


def _unknown_hosts(db: Registry, row: Config[VirtualService], attached: Attachment) -> Iterator[Problem]:
    """Hosts that no service has: sidecars route them on port 80 alone."""
    if MESH_GATEWAY not in attached.gateways:
        return
    for index, host in enumerate(attached.hosts):
        known = any(matches_host(host, ref.host) for ref in all_refs(db)) if "*" in host else refs_of_host(db, host)
        if not known:
            yield finding(
                row.meta.ref,
                ("hosts", index),
                code=Code.REFERENCED_RESOURCE_NOT_FOUND,
                severity=Severity.WARNING if len(attached.gateways) == 1 else Severity.INFO,
                message=f"no service has the host `{host}`, so sidecars route it on port 80 only",
                fix="add a ServiceEntry with the host and its ports, or correct the name",
            )


def _error(row: Config[VirtualService], path: Path, message: str, fix: str) -> Problem:
    return finding(
        row.meta.ref,
        path,
        code=Code.REFERENCED_RESOURCE_NOT_FOUND,
        severity=Severity.ERROR,
        message=message,
        fix=fix,
    )


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(str(number) for number in numbers)
