"""Hosts that mean the same to nearly all clients: computed once, for nobody in particular, and shared.

Most services look alike from every namespace but their own. To find that out for a host once costs little; to compute
its virtual hosts anew for each namespace would make the cost of a mesh the product of its services and namespaces.
"""

from weft_core.graph import query
from weft_core.names import MESH_GATEWAY
from weft_core.registry import Registry
from weft_core.view.aliases import aliases
from weft_core.view.destination_rules import rule_scopes
from weft_core.view.domains import addresses_of, host_domains, shared_addresses
from weft_core.view.services import refs_of_host, service
from weft_core.view.virtual_services import attachment, client_needs, http_destination_hosts, mesh_candidates
from weft_core.view.visibility import Client


def is_ordinary(db: Registry, client: Client, host: str) -> bool:
    """Whether a host means to this client what it means to anybody. Never so under a Sidecar resource."""
    if client.sidecar is not None:
        return False
    particular = particular_namespaces(db, host)
    return particular is not None and client.namespace not in particular


def nobody(client: Client) -> Client:
    """Nobody in particular, with a proxy of the same kind."""
    return Client(namespace="", gateway=client.gateway, local=client.local)


@query
def particular_namespaces(db: Registry, host: str) -> frozenset[str] | None:
    """The namespaces to which a host may mean something of its own; None where any client's view may differ.

    To be in the set costs only work. So whatever is rare or hard to tell counts as particular.
    """
    if _asks_for_clients(db, host) or _contends_for_names(db, host):
        return None
    found: set[str] = set()
    hosts = {host}
    for candidate in mesh_candidates(db, host):
        hosts |= set(http_destination_hosts(db, candidate.key))
    for each in hosts:
        namespaces = _namespaces_with_a_say(db, each)
        if namespaces is None:
            return None
        found |= namespaces
    return frozenset(found)


@query
def _namespaces_with_a_say(db: Registry, host: str) -> frozenset[str] | None:
    """Those that declare the host, or rule their own clients' traffic to it; None where something is not public."""
    found: set[str] = set()
    for ref in refs_of_host(db, host):
        declared = service(db, ref)
        if declared is None or "*" not in declared.export_to:
            return None
        found.add(ref.namespace)
    for scope in rule_scopes(db, host):
        if scope.selector is not None or "*" not in scope.export_to:
            return None
        found.add(scope.namespace)
    return frozenset(found)


def _asks_for_clients(db: Registry, host: str) -> bool:
    """Whether a VirtualService over the host is not for everybody, or asks who the client is."""
    for candidate in mesh_candidates(db, host):
        needs = client_needs(db, candidate.key)
        if "*" not in candidate.export_to or needs.label_keys or needs.namespace:
            return True
    return False


def _contends_for_names(db: Registry, host: str) -> bool:
    """Whether the host has further names, or names and addresses that others could have too."""
    if any(target == host for target, _ in aliases(db)):
        return True
    short = [name for name in host_domains(host, same_namespace=False, domain=db.settings.domain) if name != host]
    if any(refs_of_host(db, name) or _is_routed(db, name) for name in short):
        return True
    claimed = {address for address, _ in shared_addresses(db)}
    return bool(claimed) and any(not claimed.isdisjoint(addresses_of(db, ref)) for ref in refs_of_host(db, host))


def _is_routed(db: Registry, name: str) -> bool:
    found = (attachment(db, key) for key in db.virtual_services.by("host", name))
    return any(one and MESH_GATEWAY in one.gateways for one in found)
