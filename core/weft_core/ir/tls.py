"""TLS towards upstreams: whom the client trusts, how it shows who it is, and what it asks for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSecret:
    """The workload's own certificate or the mesh's roots, by SDS name (`default`, `ROOTCA`), from files beside the proxy."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedSecret:
    """A Kubernetes Secret that the control plane sends over SDS; `name` is its resource name, `kubernetes://NAME`."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFiles:
    """A certificate chain and its key, in files of the proxy's container."""

    certificate: str
    private_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RootsFile:
    """Certificates of authorities in a file of the proxy's container, and perhaps a revocation list."""

    path: str
    revoked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemRoots:
    """The authorities that the operating system trusts."""


ClientCertificate = MeshSecret | PushedSecret | CertificateFiles
TrustedRoots = MeshSecret | PushedSecret | RootsFile | SystemRoots


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTls:
    """One side of a handshake: the client's.

    Without `sni`, `auto_sni` sends the request's host. `subject_alt_names` are exact, any one of them suffices; without any, a
    certificate of a trusted authority is enough, unless `auto_san_validation` compares it with the name that was asked for.
    """

    certificate: ClientCertificate | None = None
    roots: TrustedRoots | None = None
    """None: the server is not verified at all, by the user's explicit wish (insecureSkipVerify)."""
    subject_alt_names: tuple[str, ...] = ()
    sni: str = ""
    auto_sni: bool = False
    auto_san_validation: bool = False
    alpn: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MutualTlsByEndpoint:
    """Automatic mutual TLS: `tls` to endpoints that have a sidecar, plaintext to the others.

    Endpoints say which they are in their metadata (`envoy.transport_socket_match`, `tlsMode: istio`).
    """

    tls: UpstreamTls


Transport = UpstreamTls | MutualTlsByEndpoint | None
"""How a cluster's connections are secured; None is plaintext."""
