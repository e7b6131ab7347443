"""Who a proxy is: proven by its certificate, claimed by its node.

The certificate's SPIFFE id says namespace and service account. The node's id says which pod. Only what the certificate
says is believed; the node merely chooses among the proxies of that namespace.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any

from weft_core.proxy import ProxyId
from weft_core.spiffe import InvalidSpiffeIdError, SpiffeId


def first_identity(uris: Iterable[bytes]) -> SpiffeId | None:
    """The workload identity among a certificate's URIs, None where there is none of Istio's form."""
    for uri in uris:
        with suppress(InvalidSpiffeIdError, UnicodeDecodeError):
            return SpiffeId.parse(uri.decode())
    return None


Authorize = Callable[[SpiffeId | None, str, Mapping[str, Any]], ProxyId | str]
"""Decides over a new stream from its identity (None on a plaintext listener), node id and node metadata: the proxy that
it is, or the reason why it is refused, which the proxy's operator reads in Envoy's log."""


def by_namespace(trust_domains: Collection[str]) -> Authorize:
    """Let a proxy be any pod of the namespace that its certificate names.

    Without an identity the node is believed: there is none on plaintext listeners only, and these are on loopback only.
    """

    def authorize(identity: SpiffeId | None, node_id: str, metadata: Mapping[str, Any]) -> ProxyId | str:
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
