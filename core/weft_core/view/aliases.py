"""Aliases: an ExternalName Service is no service of its own, but another name of some other host."""

from weft_core.graph import query
from weft_core.ir.service import ServiceRef
from weft_core.names import service_host
from weft_core.registry import Key, Registry
from weft_core.view.services import refs_of_host

_LONGEST_CHAIN = 8


@query
def external_names(db: Registry) -> tuple[tuple[str, ServiceRef], ...]:
    """(host that is meant, service that is another name of it), for all ExternalName Services."""
    named = ((external_name(db, key), key) for key in db.services.all_keys())
    domain = db.settings.domain
    return tuple(
        sorted((host, ServiceRef(key[0], service_host(key[1], key[0], domain))) for host, key in named if host)
    )


@query
def external_name(db: Registry, key: Key) -> str:
    """The host that an ExternalName Service is another name of; empty for other Services."""
    row = db.services.get(key)
    return row.spec.external_name if row else ""


@query
def alias_target(db: Registry, ref: ServiceRef) -> str:
    """The host that a service is another name of; empty where it is a service in its own right."""
    keys = (key for key in db.services.by("host", ref.host) if key[0] == ref.namespace)
    return next((external_name(db, key) for key in keys), "")


@query
def real_host(db: Registry, host: str) -> str:
    """The host that a name leads to in the end: of the service that it is an alias of, if the mesh knows one.

    Every other name leads to itself; so does an alias of a host outside of the mesh, and one of a circle of aliases.
    """
    end = host
    for _ in range(_LONGEST_CHAIN):
        refs = refs_of_host(db, end)
        if not refs:
            return host
        target = next(filter(None, (alias_target(db, ref) for ref in refs)), "")
        if not target:
            return end
        end = target
    return host
