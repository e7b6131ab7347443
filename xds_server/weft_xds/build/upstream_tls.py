"""Transport sockets towards clusters: plaintext, TLS, or one of both by endpoint."""

import ipaddress
from typing import Final

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3 import config_source_pb2 as config_source
from envoy.config.core.v3.base_pb2 import DataSource, TransportSocket, WatchedDirectory
from envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2 import RawBuffer
from envoy.extensions.transport_sockets.tls.v3 import common_pb2 as common
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, UpstreamTlsContext
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.struct_pb2 import Struct

from weft_core.ir.tls import (
    CertificateFiles,
    MeshSecret,
    MutualTlsByEndpoint,
    PushedSecret,
    RootsFile,
    SystemRoots,
    TrustedRoots,
    UpstreamTls,
)
from weft_core.names import CERTIFICATES_DIRECTORY, SECRET_FILES
from weft_xds.build.extension import packed
from weft_xds.build.load_assignment import TLS_MODE

TLS_SOCKET: Final = "envoy.transport_sockets.tls"
SYSTEM_ROOTS_FILE: Final = "/etc/ssl/certs/ca-certificates.crt"
"""Where Envoy's images, and Debian's family, have the authorities that the system trusts."""

_PARAMETERS: Final = common.TlsParameters(
    tls_minimum_protocol_version=common.TlsParameters.TLSv1_2,
    tls_maximum_protocol_version=common.TlsParameters.TLSv1_3,
)
"""Envoy's clients would stop at 1.2."""
_SanType = common.SubjectAltNameMatcher.SanType


def build_transport_socket(tls: UpstreamTls) -> TransportSocket:
    """TLS for every connection of a cluster."""
    context = UpstreamTlsContext(common_tls_context=_common(tls), sni=tls.sni)
    return TransportSocket(name=TLS_SOCKET, typed_config=packed(context))


def build_transport_socket_matches(transport: MutualTlsByEndpoint) -> list[Cluster.TransportSocketMatch]:
    """Automatic mutual TLS, under Istio's names: the first match whose labels an endpoint's metadata has is taken."""
    return [
        Cluster.TransportSocketMatch(
            name="tlsMode-istio", match=TLS_MODE, transport_socket=build_transport_socket(transport.tls)
        ),
        _PLAINTEXT,
    ]


def secret_config(secret: MeshSecret | PushedSecret) -> SdsSecretConfig:
    """Where a secret comes from: files beside the proxy, reloaded when their directory changes, or over ADS."""
    if isinstance(secret, MeshSecret):
        return _FROM_FILES[secret.name]
    return SdsSecretConfig(
        name=secret.name,
        sds_config=config_source.ConfigSource(
            ads=config_source.AggregatedConfigSource(), resource_api_version=config_source.V3
        ),
    )


def alt_name_type(name: str) -> "_SanType.ValueType":
    """Which kind of subject alternative name a name is meant to be, by its form."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return common.SubjectAltNameMatcher.URI if ":" in name else common.SubjectAltNameMatcher.DNS
    return common.SubjectAltNameMatcher.IP_ADDRESS


def _common(tls: UpstreamTls) -> CommonTlsContext:
    context = CommonTlsContext(tls_params=_PARAMETERS, alpn_protocols=tls.alpn)
    if isinstance(tls.certificate, CertificateFiles):
        context.tls_certificates.add(
            certificate_chain=DataSource(filename=tls.certificate.certificate),
            private_key=DataSource(filename=tls.certificate.private_key),
        )
    elif tls.certificate is not None:
        context.tls_certificate_sds_secret_configs.append(secret_config(tls.certificate))
    if tls.roots is not None:
        _set_validation(context, tls.roots, tls.subject_alt_names)
    return context


def _set_validation(context: CommonTlsContext, roots: TrustedRoots, names: tuple[str, ...]) -> None:
    matchers = [
        common.SubjectAltNameMatcher(san_type=alt_name_type(name), matcher=StringMatcher(exact=name)) for name in names
    ]
    match roots:
        case MeshSecret() | PushedSecret():
            combined = context.combined_validation_context
            combined.default_validation_context.match_typed_subject_alt_names.extend(matchers)
            combined.default_validation_context.SetInParent()
            combined.validation_context_sds_secret_config.CopyFrom(secret_config(roots))
            if roots.revoked:
                combined.default_validation_context.crl.filename = roots.revoked
        case RootsFile() | SystemRoots():
            path = roots.path if isinstance(roots, RootsFile) else SYSTEM_ROOTS_FILE
            validation = context.validation_context
            validation.trusted_ca.filename = path
            validation.match_typed_subject_alt_names.extend(matchers)
            if roots.revoked:
                validation.crl.filename = roots.revoked


def _file_secret(name: str, path: str) -> SdsSecretConfig:
    source = config_source.PathConfigSource(path=path, watched_directory=WatchedDirectory(path=CERTIFICATES_DIRECTORY))
    return SdsSecretConfig(
        name=name,
        sds_config=config_source.ConfigSource(path_config_source=source, resource_api_version=config_source.V3),
    )


_FROM_FILES: Final = {name: _file_secret(name, path) for name, path in SECRET_FILES.items()}
_PLAINTEXT: Final = Cluster.TransportSocketMatch(
    name="tlsMode-disabled",
    match=Struct(),
    transport_socket=TransportSocket(name="envoy.transport_sockets.raw_buffer", typed_config=packed(RawBuffer())),
)
