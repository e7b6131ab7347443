"""The root as a Secret: the four files of Istio's `cacerts`, and back to an authority."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from weft_core.errors import CertificateFault
from weft_injector.ca.authority import Authority
from weft_injector.ca.bundle import TrustBundle
from weft_injector.ca.keys import certificates_pem, private_key_pem
from weft_injector.ca.plugged_in import CA_CERT, CA_KEY, CERT_CHAIN, ROOT_CERT, PluggedInCertificates
from weft_injector.delivery.names import JOINED_AT_ANNOTATION, PREVIOUS_ROOT, REPLACED_BY_ANNOTATION, Release
from weft_injector.delivery.times import instant, timestamp

_TLS_CERT, _TLS_KEY, _TLS_ROOT = "tls.crt", "tls.key", "ca.crt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """What signed before a root was replaced, with all roots trusted then.

    `replaced_by` is the `fingerprint` of the roots that take over, `joined_at` when they joined the trust bundle.
    """

    authority: Authority
    joined_at: datetime
    replaced_by: str


def fingerprint(bundle: TrustBundle) -> str:
    """A short hash of the roots: the same roots, the same text."""
    return hashlib.sha256(bundle.pem).hexdigest()[:32]


def root_secret(authority: Authority, release: Release, name: str) -> dict[str, Any]:
    """The Secret that `parse_root` reads."""
    files = {
        CA_CERT: certificates_pem((authority.certificate,)),
        CA_KEY: private_key_pem(authority.key),
        ROOT_CERT: authority.bundle.pem,
        CERT_CHAIN: certificates_pem(authority.intermediates),
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": release.metadata(name),
        "type": "Opaque",
        "data": {key: base64.b64encode(content).decode() for key, content in files.items()},
    }


def parse_root(secret: Mapping[str, Any], *, trust_domain: str, now: datetime) -> Authority:
    """The authority in a Secret: Istio's four keys, or the three of a `kubernetes.io/tls` Secret, as cert-manager does.

    Raises CertificateFault that names the Secret, its key and what is wrong.
    """
    meta = secret["metadata"]
    where = f"Secret {meta.get('namespace', '')}/{meta['name']}"
    data = secret.get("data") or {}
    if CA_CERT not in data and _TLS_CERT in data:
        chain = _content(data, _TLS_CERT, where)
        files = PluggedInCertificates(
            ca_cert=chain,
            ca_key=_content(data, _TLS_KEY, where),
            root_cert=_content(data, _TLS_ROOT, where),
            cert_chain=chain,
        )
    else:
        files = PluggedInCertificates(
            ca_cert=_content(data, CA_CERT, where),
            ca_key=_content(data, CA_KEY, where),
            root_cert=_content(data, ROOT_CERT, where),
            cert_chain=_content(data, CERT_CHAIN, where) if CERT_CHAIN in data else b"",
        )
    try:
        return files.authority(trust_domain=trust_domain, now=now)
    except (CertificateFault, ValueError) as fault:  # an extension that cannot be read is a ValueError
        raise CertificateFault(f"{where}: {fault}") from fault


def previous_secret(previous: Previous, release: Release) -> dict[str, Any]:
    """The Secret that `parse_previous` reads."""
    secret = root_secret(previous.authority, release, PREVIOUS_ROOT)
    secret["metadata"]["annotations"] = {
        JOINED_AT_ANNOTATION: timestamp(previous.joined_at),
        REPLACED_BY_ANNOTATION: previous.replaced_by,
    }
    return secret


def parse_previous(secret: Mapping[str, Any], *, trust_domain: str, now: datetime) -> Previous:
    """Raises CertificateFault."""
    notes = secret["metadata"].get("annotations") or {}
    joined_at = instant(notes.get(JOINED_AT_ANNOTATION, ""))
    if joined_at is None:
        where = f"Secret {secret['metadata'].get('namespace', '')}/{secret['metadata']['name']}"
        raise CertificateFault(f"{where}: the annotation {JOINED_AT_ANNOTATION} is no time")
    authority = parse_root(secret, trust_domain=trust_domain, now=now)
    return Previous(authority=authority, joined_at=joined_at, replaced_by=notes.get(REPLACED_BY_ANNOTATION, ""))


def _content(data: Mapping[str, str], key: str, where: str) -> bytes:
    if key not in data:
        raise CertificateFault(
            f"{where}: the key {key} is missing; it needs {CA_CERT}, {CA_KEY}, {ROOT_CERT} and {CERT_CHAIN}"
        )
    try:
        return base64.b64decode(data[key] or "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise CertificateFault(f"{where}: {key} is not base64 ({error})") from error
