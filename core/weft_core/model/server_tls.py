"""TLS of connections that a gateway (or a sidecar's ingress listener) accepts: ServerTLSSettings."""

from collections.abc import Iterator
from enum import StrEnum

from pydantic import Field

from weft_core.model.base import Model
from weft_core.model.mistake import Mistake
from weft_core.model.scalars import Bool, NonEmpty
from weft_core.problems import Code, Severity

CIPHER_SUITES = frozenset(
    {
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-AES128-SHA",
        "ECDHE-RSA-AES256-SHA", "AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA", "DES-CBC3-SHA",
    }
)  # fmt: skip
"""BoringSSL's names of the cipher suites of TLS 1.2 and older."""


def is_cipher_suite(text: str) -> bool:
    """Whether Envoy takes it. Expressions (`-ALL`, `[A|B]`) are not looked into."""
    return text in CIPHER_SUITES or text == "ALL" or text.startswith(("-", "!", "+", "[", "@"))


class ServerTLSMode(StrEnum):
    """Who proves what on a connection to a gateway, or that it passes through."""

    PASSTHROUGH = "PASSTHROUGH"
    SIMPLE = "SIMPLE"
    MUTUAL = "MUTUAL"
    AUTO_PASSTHROUGH = "AUTO_PASSTHROUGH"
    ISTIO_MUTUAL = "ISTIO_MUTUAL"
    OPTIONAL_MUTUAL = "OPTIONAL_MUTUAL"


class TLSProtocol(StrEnum):
    """TLS versions."""

    TLS_AUTO = "TLS_AUTO"
    TLSV1_0 = "TLSV1_0"
    TLSV1_1 = "TLSV1_1"
    TLSV1_2 = "TLSV1_2"
    TLSV1_3 = "TLSV1_3"


class TLSCertificate(Model):
    """One of several certificates of a server."""

    server_certificate: NonEmpty = Field(description="File with the certificate.")
    private_key: NonEmpty = Field(description="File with the key.")
    ca_certificates: str = Field("", description="File with the roots for clients.")


class ServerTLSSettings(Model):
    """TLS of connections that a gateway accepts."""

    https_redirect: Bool = Field(False, description="Answer plain HTTP with a redirection to https.")
    mode: ServerTLSMode = Field(ServerTLSMode.PASSTHROUGH, description="PASSTHROUGH, SIMPLE, MUTUAL …")
    server_certificate: str = Field("", description="File with the certificate.")
    private_key: str = Field("", description="File with the key.")
    ca_certificates: str = Field("", description="File with the roots for client certificates.")
    ca_crl: str = Field("", description="File with revoked client certificates.")
    credential_name: str = Field("", description="Secret with certificate, key and roots.")
    credential_names: tuple[NonEmpty, ...] = Field((), description="One RSA and one ECDSA Secret.")
    ca_cert_credential_name: str = Field("", description="Secret with the roots alone.")
    tls_certificates: tuple[TLSCertificate, ...] = Field(
        (), max_length=2, description="Several certificates from files."
    )
    subject_alt_names: tuple[str, ...] = Field((), description="Names of which a client must prove one.")
    verify_certificate_spki: tuple[str, ...] = Field((), description="Accepted hashes of client keys.")
    verify_certificate_hash: tuple[str, ...] = Field((), description="Accepted hashes of client certificates.")
    min_protocol_version: TLSProtocol = Field(TLSProtocol.TLS_AUTO, description="Oldest TLS version.")
    max_protocol_version: TLSProtocol = Field(TLSProtocol.TLS_AUTO, description="Newest TLS version.")
    cipher_suites: tuple[str, ...] = Field((), description="Cipher suites, for TLS 1.2 and older.")
    ecdh_curves: tuple[str, ...] = Field((), description="Curves for the key exchange.")
    insecure_skip_verify: Bool | None = Field(None, description="Do not verify client certificates.")

    @property
    def certificate_fields(self) -> list[str]:
        """The fields that bring a server certificate, as far as they are set."""
        fields = {
            "credentialName": self.credential_name,
            "credentialNames": self.credential_names,
            "tlsCertificates": self.tls_certificates,
            # Without its key, and beside a Secret, it is passed over, as in Istio.
            "serverCertificate": self.server_certificate and (self.private_key or not self._secrets),
        }
        return [name for name, value in fields.items() if value]

    @property
    def _secrets(self) -> bool:
        return bool(self.credential_name or self.credential_names)

    @property
    def usable_cipher_suites(self) -> tuple[str, ...]:
        """The suites that Envoy knows, each once: it would refuse the whole listener for another one."""
        return tuple(dict.fromkeys(suite for suite in self.cipher_suites if is_cipher_suite(suite)))

    def check(self) -> Iterator[Mistake]:
        """Key material fits the mode; versions and cipher suites are such that Envoy takes them."""
        given = self.certificate_fields
        for index, suite in enumerate(self.cipher_suites):
            if suite not in self.usable_cipher_suites:
                yield _passed_over(index, f"Envoy has no cipher suite `{suite}`")
            elif suite in self.cipher_suites[:index]:
                yield _passed_over(index, f"`{suite}` is listed twice")
        match self.mode:
            case ServerTLSMode.PASSTHROUGH | ServerTLSMode.AUTO_PASSTHROUGH:
                files = {"privateKey": self.private_key, "caCertificates": self.ca_certificates, "caCrl": self.ca_crl}
                for name in [*given, *(name for name, value in files.items() if value)]:
                    yield Mistake(
                        path=(name,),
                        severity=Severity.WARNING,
                        code=Code.SCHEMA_WARNING,
                        message=f"{self.mode} does not end TLS, so {name} is not used",
                        fix="remove it, or write mode: SIMPLE",
                    )
            case ServerTLSMode.ISTIO_MUTUAL:
                own = {
                    "privateKey": self.private_key,
                    "caCertificates": self.ca_certificates,
                    "caCertCredentialName": self.ca_cert_credential_name,
                }
                for name in [*given, *(name for name, value in own.items() if value)]:
                    yield Mistake(
                        path=(name,), message="ISTIO_MUTUAL brings its own certificates", fix=f"remove {name}"
                    )
            case _:
                yield from self._check_certificates(given)
                yield from self._check_clients()
        if self.insecure_skip_verify:
            yield Mistake(
                path=("insecureSkipVerify",),
                severity=Severity.WARNING,
                code=Code.UNSUPPORTED_FIELD,
                message="client certificates are verified all the same",
                fix="remove it; write mode: SIMPLE to ask for no client certificates",
            )
        order = list(TLSProtocol)
        newest = self.max_protocol_version
        if newest is not TLSProtocol.TLS_AUTO and order.index(newest) < order.index(self.min_protocol_version):
            yield Mistake(
                path=("maxProtocolVersion",),
                message="it is below minProtocolVersion",
                fix="raise it, or lower minProtocolVersion",
            )

    def _check_clients(self) -> Iterator[Mistake]:
        """What is demanded of clients, where none is asked for a certificate."""
        demands = {
            "caCrl": self.ca_crl,
            "subjectAltNames": self.subject_alt_names,
            "verifyCertificateSpki": self.verify_certificate_spki,
            "verifyCertificateHash": self.verify_certificate_hash,
        }
        for name in (name for name, value in demands.items() if value and self.mode is ServerTLSMode.SIMPLE):
            yield Mistake(
                path=(name,),
                severity=Severity.WARNING,
                code=Code.SCHEMA_WARNING,
                message=f"SIMPLE asks clients for no certificate, so {name} keeps nobody out",
                fix="write mode: MUTUAL",
            )

    def _check_certificates(self, given: list[str]) -> Iterator[Mistake]:
        if not given:
            yield Mistake(
                message=f"{self.mode} needs a certificate",
                fix="add credentialName (a Secret), or serverCertificate and privateKey (files)",
            )
        if len(given) > 1:
            yield Mistake(message=f"{' and '.join(given)} exclude each other", fix=f"keep one of {', '.join(given)}")
        if self.server_certificate and not self.private_key:
            yield Mistake(
                path=("privateKey",),
                severity=Severity.WARNING if self._secrets else Severity.ERROR,
                code=Code.SCHEMA_WARNING if self._secrets else Code.SCHEMA_VALIDATION_ERROR,
                message="the certificate has no key" + (", and the Secret's is used" if self._secrets else ""),
                fix="remove serverCertificate" if self._secrets else "add privateKey",
            )
        if len(self.credential_names) > 2:
            yield Mistake(path=("credentialNames",), message="more than two Secrets", fix="keep one RSA and one ECDSA")
        secret = self.credential_name or self.credential_names or self.ca_cert_credential_name
        if self.mode is ServerTLSMode.MUTUAL or self.mode is ServerTLSMode.OPTIONAL_MUTUAL:
            roots = secret or self.ca_certificates or any(c.ca_certificates for c in self.tls_certificates)
            if given and not roots:
                yield Mistake(
                    path=("caCertificates",),
                    message=f"{self.mode} needs roots to verify clients with",
                    fix="add caCertificates, or credentialName",
                )


def _passed_over(index: int, why: str) -> Mistake:
    return Mistake(
        path=("cipherSuites", index),
        severity=Severity.WARNING,
        code=Code.SCHEMA_WARNING,
        message=f"{why}, so it is passed over",
        fix="remove it",
    )
