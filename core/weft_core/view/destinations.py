"""Destinations: which cluster a rule's host, subset and port come to for a client, and who shares the answer."""

from collections.abc import Iterable

from weft_core.graph import query
from weft_core.ir.traffic_policy import HashPolicy
from weft_core.model.destination import Destination
from weft_core.names import outbound_cluster
from weft_core.registry import Registry
from weft_core.view.destination_rules import destination_rules_for
from weft_core.view.load_balancing import hash_policies
from weft_core.view.services import service
from weft_core.view.visibility import Client, find_service


@query
def destination_port(db: Registry, client: Client, host: str, dialled: int) -> int:
    """The port of a destination that names none: its service's only one, else the one that the client dialled."""
    ref = find_service(db, client, host)
    found = service(db, ref) if ref else None
    return found.ports[0].number if found and len(found.ports) == 1 else dialled


def destination_cluster(db: Registry, client: Client, destination: Destination, dialled: int) -> str:
    """The name of a destination's cluster. Unknown hosts and subsets have one too: requests then fail with 503 NC."""
    port = destination.port.number if destination.port else destination_port(db, client, destination.host, dialled)
    return outbound_cluster(port, destination.subset or "", destination.host)


def destination_hash_policies(
    db: Registry, client: Client, destination: Destination, dialled: int
) -> tuple[HashPolicy, ...]:
    """What is hashed to choose the destination's endpoint; empty unless its load balancer is a consistent hash."""
    ref = find_service(db, client, destination.host)
    if ref is None:
        return ()
    port = destination.port.number if destination.port else destination_port(db, client, destination.host, dialled)
    return hash_policies(db, client, ref, port, destination.subset or "")


def shared_client(db: Registry, client: Client, hosts: Iterable[str]) -> Client:
    """Nobody in particular where these hosts mean to the client what they mean to anybody, else the client itself.

    What is built for nobody in particular is built once and sent to all.
    """
    anyone = Client(namespace="", gateway=client.gateway)
    for host in hosts:
        ref = find_service(db, client, host)
        if ref != find_service(db, anyone, host):
            return _itself(client)
        if ref is not None and destination_rules_for(db, client, ref) != destination_rules_for(db, anyone, ref):
            return _itself(client)
    return anyone


def _itself(client: Client) -> Client:
    """The client without what no route depends on."""
    return Client(
        namespace=client.namespace, labels=client.labels, sidecar=client.sidecar, gateway=client.gateway, local=False
    )
