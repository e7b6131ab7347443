"""TLS of connections to destinations: ClientTLSSettings."""

from collections.abc import Iterator
from enum import StrEnum

from pydantic import Field

from weft_core.model.base import Model
from weft_core.model.mistake import Mistake
from weft_core.model.scalars import Bool


class ClientTLSMode(StrEnum):
    """Who proves what on a connection to a destination."""

    DISABLE = "DISABLE"
    SIMPLE = "SIMPLE"
    MUTUAL = "MUTUAL"
    ISTIO_MUTUAL = "ISTIO_MUTUAL"


class ClientTLSSettings(Model):
    """TLS of connections that a proxy opens."""

    mode: ClientTLSMode = Field(
        ClientTLSMode.DISABLE, description="DISABLE, SIMPLE, MUTUAL, or ISTIO_MUTUAL with the mesh's certificates."
    )
    client_certificate: str = Field("", description="File with the proxy's certificate (MUTUAL).")
    private_key: str = Field("", description="File with the proxy's key (MUTUAL).")
    ca_certificates: str = Field("", description="File with the roots to trust; the system's by default.")
    ca_crl: str = Field("", description="File with revoked certificates.")
    credential_name: str = Field(
        "", description="Secret with certificate, key and roots; gateways, or with a selector."
    )
    subject_alt_names: tuple[str, ...] = Field((), description="Names of which the server must prove one.")
    sni: str = Field("", description="Server name to ask for.")
    insecure_skip_verify: Bool | None = Field(None, description="Do not verify the server at all.")

    def check(self) -> Iterator[Mistake]:
        """Key material fits the mode."""
        files = {
            "clientCertificate": self.client_certificate,
            "privateKey": self.private_key,
            "caCertificates": self.ca_certificates,
        }
        given = [name for name, value in files.items() if value]
        if self.mode is ClientTLSMode.ISTIO_MUTUAL:
            for name in [*given, *(["credentialName"] if self.credential_name else [])]:
                yield Mistake(path=(name,), message="ISTIO_MUTUAL brings its own certificates", fix=f"remove {name}")
        elif self.credential_name and given:
            yield Mistake(
                path=("credentialName",),
                message=f"credentialName and {', '.join(given)} exclude each other",
                fix="keep the Secret or the files",
            )
        elif self.mode is ClientTLSMode.MUTUAL and not self.credential_name:
            for name in ("clientCertificate", "privateKey"):
                if not files[name]:
                    yield Mistake(path=(name,), message=f"MUTUAL needs {name}", fix=f"add {name} or credentialName")
        # In MUTUAL, credentialName may bring the proxy's own certificate alone.
        roots = self.mode is ClientTLSMode.SIMPLE and self.credential_name
        if self.insecure_skip_verify and (self.ca_certificates or self.ca_crl or self.subject_alt_names or roots):
            yield Mistake(
                path=("insecureSkipVerify",),
                message="insecureSkipVerify would make caCertificates, caCrl, subjectAltNames and credentialName void",
                fix="remove insecureSkipVerify",
            )
