"""Secrets of gateways: certificates and roots from Kubernetes Secrets, for SDS.

Only those in the gateway pod's own namespace, and only those that its servers name: a Gateway object, which may be
anybody's, must not fetch other people's keys. What is missing is not sent, and the server refuses connections
meanwhile.
"""

import base64
import binascii
from dataclasses import dataclass

from weft_core.graph import query
from weft_core.ir.secret import Secret, TlsCertificate, TrustedRoots
from weft_core.model import kubernetes as k8s
from weft_core.registry import Registry

CERTIFICATE_PREFIX = "kubernetes://"
ROOTS_SUFFIX = "-cacert"
_CHAIN = ("tls.crt", "cert")
_KEY = ("tls.key", "key")
_ROOTS = ("ca.crt", "cacert")
_REVOKED = ("ca.crl", "crl")
_STAPLE = ("tls.ocsp-staple",)


@dataclass(frozen=True, slots=True, order=True)
class SecretId:
    """A Secret of a namespace, as SDS names it."""

    namespace: str
    name: str
    """`kubernetes://NAME`, or `kubernetes://NAME-cacert` for roots."""


@query
def secret(db: Registry, key: SecretId) -> Secret | None:
    """The secret's contents; None where the Secret is missing or lacks what is needed.

    Roots are in the Secret whose name has the suffix, or else beside the certificate.
    """
    if not key.name.startswith(CERTIFICATE_PREFIX):
        return None
    name = key.name.removeprefix(CERTIFICATE_PREFIX)
    if not name.endswith(ROOTS_SUFFIX):
        return _certificate(key, db.secrets.get((key.namespace, name)))
    own = _roots(key, db.secrets.get((key.namespace, name)))
    return own or _roots(key, db.secrets.get((key.namespace, name.removesuffix(ROOTS_SUFFIX))))


def _certificate(key: SecretId, row: k8s.Secret | None) -> TlsCertificate | None:
    chain, private_key = _value(row, _CHAIN), _value(row, _KEY)
    if row is None or not chain or not private_key:
        return None
    return TlsCertificate(
        name=key.name, chain=chain, private_key=private_key, ocsp_staple=_value(row, _STAPLE), origins=(row.ref,)
    )


def _roots(key: SecretId, row: k8s.Secret | None) -> TrustedRoots | None:
    certificates = _value(row, _ROOTS)
    if row is None or not certificates:
        return None
    return TrustedRoots(name=key.name, certificates=certificates, revoked=_value(row, _REVOKED), origins=(row.ref,))


def _value(row: k8s.Secret | None, names: tuple[str, ...]) -> bytes:
    """The first of these entries; empty where there is none, or it is no base64."""
    for name in names if row else ():
        if row and row.string_data and name in row.string_data:
            return row.string_data[name].encode()
        if row and row.data and name in row.data:
            try:
                return base64.b64decode(row.data[name], validate=True)
            except binascii.Error:
                return b""
    return b""
