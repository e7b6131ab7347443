"""Keys and certificates of a cluster, as kubeadm lays them out: an authority, its leaves, and the files that hold them.

All keys are ECDSA P-256, made anew for each cluster; a key is written once, readable to its owner alone.
"""

import base64
import datetime
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=30)
CLOCK_SKEW = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A key and what goes with it (a certificate, or a public key), as PEM files `NAME.key` and `NAME.crt`/`.pub`."""

    key: Path
    public: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority and the folder that it writes to."""

    folder: Path
    files: Pair
    _key: ec.EllipticCurvePrivateKey
    _certificate: x509.Certificate

    @classmethod
    def create(cls, folder: Path, name: str) -> "Authority":
        """A self-signed authority in `NAME.key` and `NAME.crt`."""
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, subject, key.public_key(), is_authority=True)
        certificate = builder.sign(key, hashes.SHA256())
        return cls(folder, _write(folder, name, key, certificate), key, certificate)

    def server(self, name: str, addresses: Sequence[str], *, subject: str = "", group: str = "") -> Pair:
        """A server's certificate for `addresses`: DNS names and IP addresses."""
        return self._leaf(name, subject or name, group, ExtendedKeyUsageOID.SERVER_AUTH, addresses)

    def client(self, name: str, subject: str, group: str = "") -> Pair:
        """A client's certificate: Kubernetes takes the user from the common name, its group from the organisation."""
        return self._leaf(name, subject, group, ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def _leaf(self, name: str, subject: str, group: str, usage: x509.ObjectIdentifier, sans: Sequence[str]) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, subject)]
        if group:
            attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        builder = _builder(x509.Name(attributes), self._certificate.subject, key.public_key(), is_authority=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if sans:
            names = x509.SubjectAlternativeName([_general_name(name) for name in sans])
            builder = builder.add_extension(names, critical=False)
        return _write(self.folder, name, key, builder.sign(self._key, hashes.SHA256()))


def signing_pair(folder: Path, name: str) -> Pair:
    """A bare key pair, for ServiceAccount tokens: `NAME.key` and `NAME.pub`."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = folder / f"{name}.pub"
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(encoding, form))
    return Pair(_write_key(folder / f"{name}.key", key), public)


def kubeconfig(path: Path, server: str, authority: Pair, client: Pair) -> Path:
    """A kubeconfig at `path` with everything in it, so that the file alone is enough to log in."""

    def inline(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    user = {"client-certificate-data": inline(client.public), "client-key-data": inline(client.key)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "test", "cluster": {"server": server, "certificate-authority-data": inline(authority.public)}}
        ],
        "users": [{"name": client.key.stem, "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": client.key.stem}}],
        "current-context": "test",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(document, indent=2))  # JSON is YAML
    return path


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, is_authority: bool
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder(issuer_name=issuer, subject_name=subject, public_key=key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Pair:
    public = folder / f"{name}.crt"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Pair(_write_key(folder / f"{name}.key", key), public)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    path.touch(mode=0o600)
    form = serialization.PrivateFormat.TraditionalOpenSSL  # kube-apiserver reads the ServiceAccount key in this form
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return path
