"""Aliases: an ExternalName Service is no service of its own, but another name of some other host."""

from weft_core.graph import query
from weft_core.ir.service import ServiceRef
from weft_core.names import service_host
from weft_core.registry import Key, Registry
from weft_core.view.services import refs_of_host

_LONGEST_CHAIN = 8


@query
def aliases(db: Registry) -> tuple[tuple[str, ServiceRef], ...]:
    """(host that is meant in the end, service that is another name of it), for all ExternalName Services."""
    domain = db.settings.domain
    named = (key for key in db.services.all_keys() if external_name(db, key))
    refs = (ServiceRef(key[0], service_host(key[1], key[0], domain)) for key in named)
    return tuple(sorted((real_host(db, ref.host), ref) for ref in refs))


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
