"""File-based SDS: the documents that tell Envoy where a workload's certificate and the mesh's roots lie.

Clusters and listeners name these documents by path, and the path is the same for every proxy: so the control plane
serves the same bytes to all of them, and no workload's key ever passes through it. The path is relative, in a pod as on
a laptop; each Envoy runs in a working directory of its own.

Envoy checks when it takes a configuration that the path exists (`envoy --mode validate` too), so the documents must be
there before the process starts. Each document holds one secret, as Envoy wants of an SDS response.
"""

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from weft_core.names import CERTIFICATE_SECRET, CERTIFICATES_DIRECTORY, ROOT_SECRET, SECRET_FILES

_SECRET_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - a type URL

CREDENTIALS_FILE = "credentials.pem"
ROOTS_FILE = "root.pem"


@dataclass(frozen=True, slots=True)
class SecretFolder:
    """The folder, as Envoy sees it, that holds a proxy's certificate, its roots and the two documents.

    It is one volume of the kubelet, or what `files.AtomicFolder` writes in its likeness: all files change in
    one swap of the `..data` link, which is the event that Envoy watches for. The credentials are one file,
    key first and chain behind it (a pod certificate's `credentialBundlePath`), so a key never lies beside
    another key's certificate.
    """

    path: str
    """Absolute, or relative to Envoy's working directory; without a trailing slash."""

    def document(self, secret: str) -> str:
        """The path of the document of `CERTIFICATE_SECRET` or `ROOT_SECRET`."""
        return f"{self.path}/{_document_name(secret)}"

    def secret_config(self, secret: str) -> dict[str, Any]:
        """The `SdsSecretConfig` by which a TLS context of the bootstrap asks for the secret."""
        source = {"path": self.document(secret), "watched_directory": {"path": self.path}}
        return {"name": secret, "sds_config": {"resource_api_version": "V3", "path_config_source": source}}

    def documents(self) -> dict[str, bytes]:
        """Both documents, by file name. They never change, whatever is renewed."""
        return {
            _document_name(CERTIFICATE_SECRET): _discovery_response(
                CERTIFICATE_SECRET, "tls_certificate", self._certificate()
            ),
            _document_name(ROOT_SECRET): _discovery_response(ROOT_SECRET, "validation_context", self._roots()),
        }

    def _certificate(self) -> dict[str, Any]:
        credentials = {"filename": f"{self.path}/{CREDENTIALS_FILE}"}
        return {
            "certificate_chain": credentials,
            "private_key": credentials,
            "watched_directory": {"path": self.path},
        }

    def _roots(self) -> dict[str, Any]:
        return {
            "trusted_ca": {"filename": f"{self.path}/{ROOTS_FILE}"},
            "watched_directory": {"path": self.path},
        }


WORKLOAD_SECRETS = SecretFolder(CERTIFICATES_DIRECTORY)
"""Where clusters and listeners of the mesh look."""


def _document_name(secret: str) -> str:
    """The document's file name, as the control plane knows it."""
    return PurePosixPath(SECRET_FILES[secret]).name


def _discovery_response(name: str, kind: str, content: dict[str, Any]) -> bytes:
    """A DiscoveryResponse in JSON form with one secret in it, which is what a file subscription reads."""
    resource = {"@type": _SECRET_TYPE, "name": name, kind: content}
    return (json.dumps({"resources": [resource]}, indent=1) + "\n").encode()
