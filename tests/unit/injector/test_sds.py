"""The SDS documents, read back through Envoy's own protobuf."""

from pathlib import PurePosixPath

import pytest
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import json_format

from weft_core.names import CERTIFICATE_SECRET, ROOT_SECRET, SECRET_FILES
from weft_injector.sds import WORKLOAD_SECRETS, SecretFolder


def read(folder: SecretFolder, secret: str) -> secret_pb2.Secret:
    """The one secret of a document, found by the path that clusters name it by."""
    document = folder.documents()[PurePosixPath(folder.document(secret)).name]
    (resource,) = json_format.Parse(document, discovery_pb2.DiscoveryResponse()).resources
    message = secret_pb2.Secret()
    assert resource.Unpack(message)
    return message


@pytest.mark.parametrize("folder", [WORKLOAD_SECRETS, SecretFolder("/var/run/secrets/weft.dev")])
def test_the_documents_lead_to_the_files_and_are_reloaded_with_them(folder: SecretFolder) -> None:
    identity = read(folder, CERTIFICATE_SECRET)
    assert identity.name == "default"
    certificate = identity.tls_certificate
    assert certificate.private_key.filename == f"{folder.path}/credentials.pem"
    assert certificate.certificate_chain.filename == f"{folder.path}/credentials.pem"
    assert certificate.watched_directory.path == folder.path

    roots = read(folder, ROOT_SECRET)
    assert roots.name == "ROOTCA"
    assert roots.validation_context.trusted_ca.filename == f"{folder.path}/root.pem"
    assert roots.validation_context.watched_directory.path == folder.path


def test_a_tls_context_refers_to_a_document_by_path() -> None:
    config = secret_pb2.SdsSecretConfig()
    json_format.ParseDict(WORKLOAD_SECRETS.secret_config(ROOT_SECRET), config)
    assert config.name == "ROOTCA"
    assert config.sds_config.path_config_source.path == SECRET_FILES[ROOT_SECRET]
    assert config.sds_config.path_config_source.watched_directory.path == "certs"


def test_documents_are_the_same_bytes_each_time() -> None:
    assert WORKLOAD_SECRETS.documents() == SecretFolder(WORKLOAD_SECRETS.path).documents()
