"""Secrets for SDS."""

from envoy.config.core.v3.base_pb2 import DataSource
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from weft_core.ir.secret import Secret, TlsCertificate


def build_secret(secret: Secret) -> secret_pb2.Secret:
    """Envoy's message; the contents are inline, so that they lie in no file of the proxy."""
    message = secret_pb2.Secret(name=secret.name)
    if isinstance(secret, TlsCertificate):
        message.tls_certificate.certificate_chain.CopyFrom(DataSource(inline_bytes=secret.chain))
        message.tls_certificate.private_key.CopyFrom(DataSource(inline_bytes=secret.private_key))
        if secret.ocsp_staple:
            message.tls_certificate.ocsp_staple.CopyFrom(DataSource(inline_bytes=secret.ocsp_staple))
        return message
    message.validation_context.trusted_ca.CopyFrom(DataSource(inline_bytes=secret.certificates))
    if secret.revoked:
        message.validation_context.crl.CopyFrom(DataSource(inline_bytes=secret.revoked))
    return message
