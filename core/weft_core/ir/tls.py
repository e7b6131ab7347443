"""TLS towards upstreams: whom the client trusts, how it shows who it is, and what it asks for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSecret:
    """The workload's certificate or the mesh's roots, by SDS name (`default`, `ROOTCA`), from files."""

    name: str
    revoked: str = ""
    """Roots only: a revocation list, in a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedSecret:
    """A Kubernetes Secret that the control plane sends over SDS; `name` is its resource name, `kubernetes://NAME`."""

    name: str
    revoked: str = ""
    """Roots only: a revocation list, in a file."""


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
    """The authorities that the operating system trusts, and perhaps a revocation list in a file."""

    revoked: str = ""


ClientCertificate = MeshSecret | PushedSecret | CertificateFiles
TrustedRoots = MeshSecret | PushedSecret | RootsFile | SystemRoots


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTls:
    """One side of a handshake: the client's.

    `subject_alt_names` are exact, and any one of them suffices. Without any, a certificate of a trusted authority is
    enough, unless the cluster's HTTP settings compare it with the request's host.
    """

    certificate: ClientCertificate | None = None
    roots: TrustedRoots | None = None
    """None: the server is not verified at all, by the user's explicit wish (insecureSkipVerify)."""
    subject_alt_names: tuple[str, ...] = ()
    sni: str = ""
    """Empty: none, or the request's host where the cluster's HTTP settings say so."""
    alpn: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MutualTlsByEndpoint:
    """Automatic mutual TLS: `tls` to endpoints that have a sidecar, plaintext to the others.

    Endpoints say which they are in their metadata (`envoy.transport_socket_match`, `tlsMode: istio`).
    """

    tls: UpstreamTls


Transport = UpstreamTls | MutualTlsByEndpoint | None
"""How a cluster's connections are secured; None is plaintext."""
