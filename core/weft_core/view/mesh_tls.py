"""Mutual TLS as the mesh's own listeners offer it, sidecars' and ISTIO_MUTUAL gateways'."""

from weft_core.graph import query
from weft_core.ir.downstream_tls import AltName, AltNameKind, ClientCertificate, DownstreamTls, TlsVersion
from weft_core.ir.string_match import MatchKind, StringMatch
from weft_core.ir.tls import MeshSecret
from weft_core.names import CERTIFICATE_SECRET, ROOT_SECRET
from weft_core.registry import Registry
from weft_core.view.mesh import trust_domains

HTTP_ALPN = ("h2", "http/1.1")
TCP_ALPN = ("istio-peer-exchange", "h2", "http/1.1")
"""What servers choose from. Names that only the mesh knows are matched on, never chosen, where HTTP is spoken."""
ISTIO_HTTP_PROTOCOLS = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
ISTIO_TCP_PROTOCOLS = ("istio-peer-exchange", "istio")
ISTIO_PROTOCOLS = (*ISTIO_TCP_PROTOCOLS, *ISTIO_HTTP_PROTOCOLS)
"""What clients of the mesh offer: by these alone a PERMISSIVE listener tells its mutual TLS from an application's."""
CIPHER_SUITES = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
)
"""For TLS 1.2; those of 1.3 are not a matter of choice."""


@query
def mesh_tls(db: Registry, alpn: tuple[str, ...]) -> DownstreamTls:
    """The workload's certificate, and only peers of the mesh's trust domain or its aliases."""
    return DownstreamTls(
        certificates=(MeshSecret(name=CERTIFICATE_SECRET),),
        client_certificate=ClientCertificate.REQUIRED,
        trust=MeshSecret(name=ROOT_SECRET),
        alt_names=tuple(
            AltName(AltNameKind.URI, StringMatch(MatchKind.PREFIX, f"spiffe://{domain}/"))
            for domain in trust_domains(db)
        ),
        alpn=alpn,
        min_version=TlsVersion.TLS1_2,
        max_version=TlsVersion.TLS1_3,
        cipher_suites=CIPHER_SUITES,
    )
