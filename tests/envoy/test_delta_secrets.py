"""A stock Envoy and the Secrets that a cluster's TLS is made of: sent over SDS, missing at first."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from weft_core.ir.secret import TrustedRoots
from weft_core.ir.tls import PushedSecret, UpstreamTls
from weft_xds.build.secret import build_secret
from weft_xds.build.upstream_tls import build_transport_socket

if TYPE_CHECKING:
    from tests.envoy.conftest import ControlPlane, Envoy, Resources

pytestmark = pytest.mark.envoy
ROOTS = "kubernetes://bank-cacert"


def authority() -> bytes:
    """A certificate that could sign others."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(tz=UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


async def test_a_secret_that_is_missing_holds_up_nobody_and_is_taken_once_it_is_there(
    control_plane: "ControlPlane", start_envoy: "Callable[..., Awaitable[Envoy]]", resources: "Resources"
) -> None:
    tls = build_transport_socket(UpstreamTls(roots=PushedSecret(name=ROOTS), sni="bank.example"))
    control_plane.put(resources.cluster("c", transport_socket=tls), resources.endpoints("c", 9))
    envoy = await start_envoy(control_plane.bootstrap())
    await envoy.ready(seconds=5)
    await control_plane.synced()
    counter = "cluster.c.client_ssl_socket_factory.ssl_context_update_by_sds"
    before = (await envoy.stats(counter)).get(counter, 0)

    control_plane.put(build_secret(TrustedRoots(name=ROOTS, certificates=authority())))
    await control_plane.synced()
    assert (await envoy.stats(counter))[counter] == before + 1
    assert control_plane.pushes()["sds"]
