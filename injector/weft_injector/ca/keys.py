"""Keys and certificates between PEM and objects, and which kinds of key the mesh works with.

Envoy's TLS library (BoringSSL) accepts ECDSA on the NIST curves and RSA from 2,048 bits; everything else is
refused here, where the message can say so, and not in a proxy's handshake.
"""

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from weft_core.errors import CertificateFault

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_MIN_RSA_BITS = 2048


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh ECDSA P-256 key: what the mesh's own roots and leafs use (0.02 ms to make)."""
    return ec.generate_private_key(ec.SECP256R1())


def usable_public_key(key: object, origin: str) -> PublicKey:
    """`key`, when Envoy can verify signatures with it. Raises `CertificateFault`, naming where the key comes from."""
    match key:
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, _CURVES):
            return key
        case rsa.RSAPublicKey() if key.key_size >= _MIN_RSA_BITS:
            return key
    raise CertificateFault(
        f"{origin}: Envoy does not accept this kind of key ({type(key).__name__}); "
        f"use ECDSA on P-256, P-384 or P-521, or RSA of {_MIN_RSA_BITS} bits or more"
    )


def parse_private_key(pem: bytes, origin: str) -> SigningKey:
    """Read one unencrypted private key. Raises `CertificateFault` naming `origin` (a file, a Secret's key)."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise CertificateFault(f"{origin}: the key is encrypted; store it without a pass phrase") from error
    except ValueError as error:
        raise CertificateFault(f"{origin}: not a private key in PEM form ({error})") from error
    usable_public_key(key.public_key(), origin)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)  # noqa: S101 - narrowed by the line above
    return key


def parse_certificates(pem: bytes, origin: str) -> tuple[x509.Certificate, ...]:
    """Read all certificates of a PEM text, in order; none if it is blank. Raises `CertificateFault` naming `origin`."""
    if not pem.strip():
        return ()
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError as error:
        raise CertificateFault(f"{origin}: not a certificate in PEM form ({error})") from error


def private_key_pem(key: SigningKey) -> bytes:
    """The key as unencrypted PKCS #8, which Envoy and gRPC read alike."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificates_pem(certificates: tuple[x509.Certificate, ...]) -> bytes:
    """The certificates one after another, each ending in a newline."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def subject_text(certificate: x509.Certificate) -> str:
    """How messages name a certificate: its subject, or its serial number where the subject is empty."""
    return certificate.subject.rfc4514_string() or f"serial {certificate.serial_number:x}"
