"""Domains: the names and addresses under which clients call a service, and so find its virtual host.

No two virtual hosts of a route configuration may share a domain: Envoy would refuse them all. So what a service's short
names and addresses could share with another is settled here, before anything is built.
"""

from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from weft_core.graph import query
from weft_core.ir.service import Service, ServiceRef
from weft_core.registry import Registry
from weft_core.view.aliases import aliases
from weft_core.view.services import all_refs, service
from weft_core.view.visibility import Client, find_service


def service_domains(found: Service, *, same_namespace: bool, domain: str, aliases: tuple[str, ...]) -> tuple[str, ...]:
    """All domains of a service, before any is given up: full name, short names, those of its aliases, addresses.

    The pods of a headless Service have names below its own, so each of its names is there as a wildcard too.
    """
    named = list(host_domains(found.ref.host, same_namespace=same_namespace, domain=domain))
    if found.headless:
        named += [f"*.{name}" for name in named]
    return tuple(dict.fromkeys((*named, *aliases, *map(_bracketed, service_addresses(found)))))


def host_domains(host: str, *, same_namespace: bool, domain: str) -> Iterator[str]:
    """A host's full name, with and without the root's dot, and the short names of a Kubernetes Service.

    The bare name is for callers in the same namespace.
    """
    yield host
    if host.startswith("*"):
        return
    yield f"{host}."
    suffix = f".svc.{domain}"
    if not host.endswith(suffix):
        return
    short = host.removesuffix(suffix)
    if same_namespace:
        yield short.partition(".")[0]
    yield short
    yield f"{short}.svc"


def service_addresses(found: Service) -> tuple[str, ...]:
    """The single addresses of a service; blocks of addresses are no domains."""
    return tuple(address for address in found.addresses if "/" not in address)


def with_ports(domains: Iterable[str], port: int) -> tuple[str, ...]:
    """Domains as a client of an HTTP proxy writes them: with the port, which only port 80 may lack."""
    names = tuple(domains)
    explicit = tuple(f"{name}:{port}" for name in names)
    return (*names, *explicit) if port == 80 else explicit


@query
def taken_domains(db: Registry, client: Client, ref: ServiceRef) -> tuple[str, ...]:
    """The short names and addresses that this service must leave to others, as the client sees them.

    A short name that is another service's full name stays the other's; an address of several services is the oldest's.
    """
    found = service(db, ref)
    if found is None:
        return ()
    full, *short = host_domains(ref.host, same_namespace=client.namespace == ref.namespace, domain=db.settings.domain)
    names = [name for name in short if name != f"{full}." and find_service(db, client, name) is not None]
    for claimed, claimants in shared_addresses(db):
        if claimed in found.addresses and _owner(db, client, claimants) != ref:
            names.append(_bracketed(claimed))
    return tuple(names)


@query
def shared_addresses(db: Registry) -> tuple[tuple[str, tuple[ServiceRef, ...]], ...]:
    """The addresses that services of different hosts have in common, and whose they are."""
    claims: dict[str, dict[ServiceRef, None]] = {}
    for ref in all_refs(db):
        for address in addresses_of(db, ref):
            claims.setdefault(address, {})[ref] = None
    shared = ((address, tuple(refs)) for address, refs in claims.items() if len({ref.host for ref in refs}) > 1)
    return tuple(sorted(shared))


@query
def addresses_of(db: Registry, ref: ServiceRef) -> tuple[str, ...]:
    """The single addresses of a service: a query of its own, as its ports change more often."""
    found = service(db, ref)
    return service_addresses(found) if found else ()


@query
def alias_domains(db: Registry, client: Client, host: str) -> tuple[str, ...]:
    """The names of the ExternalName Services that lead a client to this host."""
    domain = db.settings.domain
    return tuple(
        name
        for target, alias in aliases(db)
        if target == host and find_service(db, client, alias.host) == alias
        for name in host_domains(alias.host, same_namespace=client.namespace == alias.namespace, domain=domain)
    )


def _owner(db: Registry, client: Client, claimants: tuple[ServiceRef, ...]) -> ServiceRef | None:
    seen = [found for ref in claimants if find_service(db, client, ref.host) == ref and (found := service(db, ref))]
    return min(seen, key=lambda found: (found.created, found.ref)).ref if seen else None


def _bracketed(address: str) -> str:
    try:
        return f"[{address}]" if ip_address(address).version == 6 else address
    except ValueError:
        return address
