"""Transport sockets of listeners: TLS towards whoever connects."""

from envoy.config.core.v3.base_pb2 import DataSource, TransportSocket
from envoy.extensions.transport_sockets.tls.v3 import common_pb2 as common
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, DownstreamTlsContext
from google.protobuf.wrappers_pb2 import BoolValue

from weft_core.ir import downstream_tls as ir
from weft_core.ir.tls import CertificateFiles, RootsFile
from weft_xds.build.extension import packed
from weft_xds.build.string_match import build_string_match
from weft_xds.build.upstream_tls import TLS_SOCKET, secret_config

_VERSIONS = {
    ir.TlsVersion.AUTO: common.TlsParameters.TLS_AUTO,
    ir.TlsVersion.TLS1_0: common.TlsParameters.TLSv1_0,
    ir.TlsVersion.TLS1_1: common.TlsParameters.TLSv1_1,
    ir.TlsVersion.TLS1_2: common.TlsParameters.TLSv1_2,
    ir.TlsVersion.TLS1_3: common.TlsParameters.TLSv1_3,
}
_ALT_NAMES = {
    ir.AltNameKind.URI: common.SubjectAltNameMatcher.URI,
    ir.AltNameKind.DNS: common.SubjectAltNameMatcher.DNS,
}


def build_downstream_tls(tls: ir.DownstreamTls) -> TransportSocket:
    """The transport socket of a filter chain."""
    context = DownstreamTlsContext(
        common_tls_context=_common(tls),
        require_client_certificate=BoolValue(value=tls.client_certificate is ir.ClientCertificate.REQUIRED),
    )
    return TransportSocket(name=TLS_SOCKET, typed_config=packed(context))


def _common(tls: ir.DownstreamTls) -> CommonTlsContext:
    context = CommonTlsContext(
        tls_params=common.TlsParameters(
            tls_minimum_protocol_version=_VERSIONS[tls.min_version],
            tls_maximum_protocol_version=_VERSIONS[tls.max_version],
            cipher_suites=tls.cipher_suites,
            ecdh_curves=tls.ecdh_curves,
        ),
        alpn_protocols=tls.alpn,
    )
    for certificate in tls.certificates:
        if isinstance(certificate, CertificateFiles):
            context.tls_certificates.add(
                certificate_chain=DataSource(filename=certificate.certificate),
                private_key=DataSource(filename=certificate.private_key),
            )
        else:
            context.tls_certificate_sds_secret_configs.append(secret_config(certificate))
    if tls.client_certificate is not ir.ClientCertificate.NOT_ASKED:
        _set_validation(context, tls)
    return context


def _set_validation(context: CommonTlsContext, tls: ir.DownstreamTls) -> None:
    validation = common.CertificateValidationContext(
        match_typed_subject_alt_names=[
            common.SubjectAltNameMatcher(san_type=_ALT_NAMES[name.kind], matcher=build_string_match(name.matcher))
            for name in tls.alt_names
        ],
        verify_certificate_hash=tls.certificate_hashes,
        verify_certificate_spki=tls.spki_hashes,
    )
    if isinstance(tls.trust, RootsFile):
        validation.trusted_ca.filename = tls.trust.path
    if tls.trust is not None and tls.trust.revoked:
        # Roots of a secret are merged into this: a list that the secret itself has goes before the file.
        validation.crl.filename = tls.trust.revoked
    if tls.trust is None or isinstance(tls.trust, RootsFile):
        context.validation_context.CopyFrom(validation)
        return
    context.combined_validation_context.CopyFrom(
        CommonTlsContext.CombinedCertificateValidationContext(
            default_validation_context=validation, validation_context_sds_secret_config=secret_config(tls.trust)
        )
    )
