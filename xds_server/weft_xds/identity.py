"""Who a proxy is: proven by its certificate, claimed by its node.

The certificate's SPIFFE id says namespace and service account. The node's id says which pod. Only what the certificate
says is believed; the node merely chooses among the proxies of that namespace.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from weft_core.proxy import ProxyId

_SPIFFE_ID: Final = re.compile(r"spiffe://(?P<trust_domain>[a-z0-9._-]+)/ns/(?P<namespace>[^/]+)/sa/(?P<account>[^/]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A workload's SPIFFE id in Istio's form, `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT`."""

    trust_domain: str
    namespace: str
    service_account: str

    @classmethod
    def from_uri(cls, uri: str) -> Self | None:
        """Read a SPIFFE id; None for one that names no workload of a mesh."""
        found = _SPIFFE_ID.fullmatch(uri)
        if found is None:
            return None
        return cls(trust_domain=found["trust_domain"], namespace=found["namespace"], service_account=found["account"])

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"


Authorize = Callable[[Identity | None, str, Mapping[str, Any]], ProxyId | str]
"""Decides over a new stream from its identity (None on a plaintext listener), node id and node metadata: the proxy that
it is, or the reason why it is refused, which the proxy's operator reads in Envoy's log."""


def by_namespace(trust_domains: Collection[str]) -> Authorize:
    """Let a proxy be any pod of the namespace that its certificate names.

    Without an identity the node is believed: there is none on plaintext listeners only, and these are on loopback only.
    """

    def authorize(identity: Identity | None, node_id: str, metadata: Mapping[str, Any]) -> ProxyId | str:
        del metadata
        try:
            proxy = ProxyId.from_node_id(node_id)
        except ValueError as error:
            return str(error)
        if identity is None:
            return proxy
        if identity.trust_domain not in trust_domains:
            return f"{identity}: trust domain {identity.trust_domain!r} is not one of this mesh's"
        if identity.namespace != proxy.namespace:
            return f"{identity} may not be proxy {proxy}: it is of namespace {identity.namespace!r}"
        return proxy

    return authorize
