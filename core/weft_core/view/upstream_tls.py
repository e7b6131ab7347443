"""TLS towards services: what a rule demands, and automatic mutual TLS where none speaks of it."""

from weft_core.graph import query
from weft_core.ir.cluster import ClusterId, ClusterType, HttpProtocol
from weft_core.ir.service import Protocol, Service, ServiceRef
from weft_core.ir.tls import (
    CertificateFiles,
    ClientCertificate,
    MeshSecret,
    MutualTlsByEndpoint,
    PushedSecret,
    RootsFile,
    SystemRoots,
    Transport,
    TrustedRoots,
    UpstreamTls,
)
from weft_core.model.tls_settings import ClientTLSMode, ClientTLSSettings
from weft_core.names import CERTIFICATE_SECRET, ROOT_SECRET, outbound_sni
from weft_core.registry import Registry
from weft_core.view.destination_rules import merged_rule
from weft_core.view.endpoints import instances, service_accounts
from weft_core.view.gateway_secrets import CERTIFICATE_PREFIX, ROOTS_SUFFIX
from weft_core.view.mesh import trust_domains
from weft_core.view.peer_authentication import service_disables_mutual_tls
from weft_core.view.upstream_defaults import upstream_defaults

MESH_HTTP1_ALPN = ("istio-http/1.1", "istio", "http/1.1")
MESH_HTTP2_ALPN = ("istio-h2", "istio", "h2")
MESH_TCP_ALPN = ("istio-peer-exchange", "istio")
"""What sidecars offer one another. A PERMISSIVE server knows mutual TLS by these names alone, so they are Istio's; the
plain one among them tells it the version of HTTP."""
SYSTEM = "system"
"""`caCertificates: system`: what the operating system trusts."""
_NOTHING_SAID = ClientTLSSettings()


def transport(
    db: Registry,
    key: ClusterId,
    service: Service,
    settings: ClientTLSSettings | None,
    spoken: HttpProtocol,
    kind: ClusterType,
) -> Transport:
    """How connections of a cluster are secured: as its rule says, else by what the endpoints can do."""
    if settings is None:
        return _automatic(db, key, service, spoken, kind)
    if settings.mode is ClientTLSMode.DISABLE:
        return None
    if settings.mode is ClientTLSMode.ISTIO_MUTUAL:
        return _mesh_tls(db, key, service, spoken, settings)
    return _originated(db, key, service, settings, spoken)


def takes_sni_from_host(settings: ClientTLSSettings | None) -> bool:
    """Whether TLS's server name is the request's host: where a rule originates TLS and does not name one."""
    return settings is not None and settings.mode in (ClientTLSMode.SIMPLE, ClientTLSMode.MUTUAL) and not settings.sni


def checks_name_of_host(settings: ClientTLSSettings | None, service: Service) -> bool:
    """Whether the server's certificate must be for the request's host: where nothing says which name it must bear."""
    if settings is None or not takes_sni_from_host(settings):
        return False
    return not (settings.subject_alt_names or service.subject_alt_names or settings.insecure_skip_verify)


@query
def spiffe_ids(db: Registry, ref: ServiceRef, port: int) -> tuple[str, ...]:
    """The identities of a port's endpoints, in the mesh's trust domain and in each of its aliases."""
    accounts = [account.partition("/") for account in service_accounts(db, ref, port)]
    return tuple(
        f"spiffe://{domain}/ns/{namespace}/sa/{name}" for domain in trust_domains(db) for namespace, _, name in accounts
    )


@query
def all_take_mutual_tls(db: Registry, ref: ServiceRef, port: int) -> bool:
    """Whether every known endpoint of a port takes mutual TLS; False where none is known."""
    found = instances(db, ref, port)
    return bool(found) and all(instance.mutual_tls for instance in found)


def _automatic(db: Registry, key: ClusterId, service: Service, spoken: HttpProtocol, kind: ClusterType) -> Transport:
    if service.external or not upstream_defaults(db).auto_mutual_tls:
        return None
    if service_disables_mutual_tls(db, key.ref.namespace):
        return None
    tls = _mesh_tls(db, key, service, spoken)
    if kind is ClusterType.ORIGINAL_DST:
        # Envoy knows no metadata of an address that the client dialled: all endpoints, or none.
        return tls if all_take_mutual_tls(db, key.ref, key.port) else None
    return MutualTlsByEndpoint(tls=tls)


def _mesh_tls(
    db: Registry,
    key: ClusterId,
    service: Service,
    spoken: HttpProtocol,
    settings: ClientTLSSettings = _NOTHING_SAID,
) -> UpstreamTls:
    port = service.port(key.port)
    return UpstreamTls(
        certificate=MeshSecret(name=CERTIFICATE_SECRET),
        roots=MeshSecret(name=ROOT_SECRET, revoked=settings.ca_crl),
        subject_alt_names=settings.subject_alt_names or service.subject_alt_names or spiffe_ids(db, key.ref, key.port),
        sni=settings.sni or outbound_sni(key.port, key.subset, key.ref.host),
        alpn=mesh_alpn(port.protocol if port else Protocol.TCP, spoken),
    )


def mesh_alpn(protocol: Protocol, spoken: HttpProtocol) -> tuple[str, ...]:
    """What a sidecar offers another. To ports without a protocol HTTP/1.1, which listeners override by connection."""
    if spoken is HttpProtocol.HTTP2:
        return MESH_HTTP2_ALPN
    return MESH_HTTP1_ALPN if protocol.is_http or protocol is Protocol.AUTO else MESH_TCP_ALPN


def _originated(
    db: Registry, key: ClusterId, service: Service, settings: ClientTLSSettings, spoken: HttpProtocol
) -> UpstreamTls:
    """TLS to a server outside the mesh. Without proof of whom to trust, the operating system's authorities."""
    readable = key.gateway or merged_rule(db, key.rules).has_selector
    secret = settings.credential_name if readable else ""
    return UpstreamTls(
        certificate=_certificate(settings, secret),
        roots=None if settings.insecure_skip_verify else _roots(settings, secret),
        subject_alt_names=()
        if settings.insecure_skip_verify
        else settings.subject_alt_names or service.subject_alt_names,
        sni=settings.sni,
        alpn=("h2",) if spoken is HttpProtocol.HTTP2 else (),
    )


def _certificate(settings: ClientTLSSettings, secret: str) -> ClientCertificate | None:
    if settings.mode is not ClientTLSMode.MUTUAL:
        return None
    if secret:
        return PushedSecret(name=f"{CERTIFICATE_PREFIX}{secret}")
    if not settings.client_certificate:
        # credentialName that no sidecar can read: go without, so that the server refuses; never in plaintext.
        return None
    return CertificateFiles(certificate=settings.client_certificate, private_key=settings.private_key)


def _roots(settings: ClientTLSSettings, secret: str) -> TrustedRoots:
    if secret:
        return PushedSecret(name=f"{CERTIFICATE_PREFIX}{secret}{ROOTS_SUFFIX}", revoked=settings.ca_crl)
    if settings.ca_certificates and settings.ca_certificates != SYSTEM:
        return RootsFile(path=settings.ca_certificates, revoked=settings.ca_crl)
    return SystemRoots(revoked=settings.ca_crl)
