"""Shares: a client's services in parts, nearly all of which are the same for all clients.

The services that everybody sees are dealt out to a fixed number of buckets, by namespace. A bucket in which nothing is
particular to a client is that of nobody in particular: listed once, its first response put together once. What a client
sees alone is a share of its own. So a rule that is added lists one bucket anew, not every client's mesh.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from zlib import crc32

from weft_core.graph import query
from weft_core.ir.service import ServiceRef
from weft_core.registry import Registry
from weft_core.view.shared_hosts import nobody, particular_namespaces
from weft_core.view.visibility import Client, disputed_hosts, find_service, public_services, visible_services

BUCKETS: Final = 16
"""More of them would make a change cheaper and each connected proxy dearer."""
OWN: Final = -1
"""In place of a bucket: what only this client sees so."""


@dataclass(frozen=True, slots=True, order=True)
class Share:
    """A part of a client's services. Proxies with equal shares are sent the same for it."""

    client: Client
    bucket: int


@query
def shares(db: Registry, client: Client) -> tuple[Share, ...]:
    """All parts of what a client sees. Under a Sidecar resource everything is its own."""
    if client.sidecar is not None and not client.gateway:
        return (Share(client, OWN),)
    filled = [bucket for bucket in range(BUCKETS) if bucket_services(db, bucket)]
    return (*(Share(_viewer(db, client, bucket), bucket) for bucket in filled), Share(client, OWN))


@query
def share_services(db: Registry, share: Share) -> tuple[ServiceRef, ...]:
    """The services of a share."""
    if share.bucket != OWN:
        return bucket_services(db, share.bucket)
    if share.client.sidecar is not None and not share.client.gateway:
        return visible_services(db, share.client)
    found = (find_service(db, share.client, host) for host in disputed_hosts(db))
    return tuple(ref for ref in found if ref)


@query
def bucket_services(db: Registry, bucket: int) -> tuple[ServiceRef, ...]:
    """The services of a bucket: some of those that everybody sees."""
    return tuple(ref for ref in public_services(db) if _bucket(ref.namespace) == bucket)


@query
def _particular_to(db: Registry, bucket: int) -> frozenset[str] | None:
    """The namespaces to whose clients some host of the bucket may mean something of its own; None: perhaps to all."""
    found: set[str] = set()
    for ref in bucket_services(db, bucket):
        namespaces = particular_namespaces(db, ref.host)
        if namespaces is None:
            return None
        found |= namespaces
    return frozenset(found)


def _viewer(db: Registry, client: Client, bucket: int) -> Client:
    particular = _particular_to(db, bucket)
    return client if particular is None or client.namespace in particular else nobody(client)


@lru_cache(maxsize=4096)
def _bucket(namespace: str) -> int:
    """The same on every replica: Python's own hash of a text is not."""
    return crc32(namespace.encode()) % BUCKETS
