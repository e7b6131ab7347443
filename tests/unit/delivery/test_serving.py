"""The control plane's own certificate, in real handshakes."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from structlog.testing import capture_logs

from weft_core.errors import CertificateFault
from weft_injector.ca.authority import Authority
from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.names import Release
from weft_injector.delivery.rollout import Phase
from weft_injector.delivery.root_keeper import RootKeeper
from weft_injector.delivery.root_secret import root_secret
from weft_injector.renewer import Clock
from weft_injector.serving import ServingCertificate, ServingMaterial, ServingOptions, reload, webhook_context
from weft_kube.client import Api
from weft_kube.resource import SECRETS

Background = Callable[[Awaitable[object]], "asyncio.Future[object]"]
Turn = Callable[[timedelta], Awaitable[None]]
Eventually = Callable[[Callable[[], object]], Awaitable[None]]
NAMES = ["weft.weft-system.svc", "weft.weft-system.svc.cluster.local", "weft.weft-system"]


@pytest.fixture
def given() -> list[ServingMaterial]:
    """What a server was given, in order."""
    return []


@pytest.fixture
def serving(
    root: RootKeeper, clock: Clock, metrics: CertificateMetrics, given: list[ServingMaterial]
) -> ServingCertificate:
    """The certificate of the Service weft."""
    options = ServingOptions(service="weft", namespace="weft-system")
    return ServingCertificate(root, options, clock=clock, metrics=metrics, use=(given.append,))


def leaf(material: ServingMaterial) -> x509.Certificate:
    return x509.load_pem_x509_certificates(material.certificate_chain)[0]


async def test_it_names_the_service_in_all_its_forms(serving: ServingCertificate, root: RootKeeper) -> None:
    material = await serving.issue()
    names = leaf(material).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == NAMES
    assert material.client_roots == root.authority.bundle.pem
    assert b"PRIVATE" not in repr(material).encode()


async def test_it_is_replaced_at_half_of_its_life(
    serving: ServingCertificate, given: list[ServingMaterial], background: Background, turn: Turn
) -> None:
    await serving.issue()
    background(serving.run())
    await asyncio.sleep(0.01)
    await turn(timedelta(hours=11))
    assert not given
    await turn(timedelta(hours=1))
    assert len(given) == 1


async def test_it_follows_the_root(
    api: Api,
    serving: ServingCertificate,
    root: RootKeeper,
    release: Release,
    now: datetime,
    given: list[ServingMaterial],
    background: Background,
    turn: Turn,
    eventually: Eventually,
) -> None:
    await serving.issue()
    for work in (root.run(), serving.run()):
        background(work)
    await asyncio.sleep(0.05)
    other = Authority.self_made(trust_domain="cluster.local", now=now)
    await api.create(SECRETS, root_secret(other, release, "cacerts"), "weft-system")
    await eventually(lambda: given)
    assert given[-1].client_roots.count(b"BEGIN") == 2
    await turn(timedelta(minutes=6))
    await eventually(lambda: root.in_force.phase is Phase.SIGNING and len(given) > 1)
    leaf(given[-1]).verify_directly_issued_by(other.certificate)


async def test_a_server_that_refuses_it_is_given_another_soon(
    serving: ServingCertificate, given: list[ServingMaterial], background: Background, turn: Turn
) -> None:
    failures = 1

    def refuse(_material: ServingMaterial) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise CertificateFault("not this one")

    serving.used_by(refuse)
    await serving.issue()
    with capture_logs() as logs:
        background(serving.run())
        await asyncio.sleep(0.01)
        await turn(timedelta(hours=12, minutes=1))
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["serving_certificate_not_replaced"]
    assert len(given) == 2


async def test_a_webhook_shows_its_new_certificate_to_the_next_client() -> None:
    today = datetime.now(UTC)
    authority = Authority.self_made(trust_domain="cluster.local", now=today)
    leafs = [authority.issue_serving(now=today, dns_names=NAMES) for _ in range(2)]
    first, second = (
        ServingMaterial(certificate_chain=each.chain_pem, private_key=each.key_pem or b"", client_roots=b"")
        for each in leafs
    )
    context = webhook_context(first)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]

    async def serial() -> int:
        client = ssl.create_default_context(cadata=authority.bundle.pem.decode())
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=NAMES[0])
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return x509.load_der_x509_certificate(certificate).serial_number

    async with server:
        assert await serial() == leaf(first).serial_number
        reload(context, second)
        assert await serial() == leaf(second).serial_number


async def test_a_key_of_another_certificate_is_refused(serving: ServingCertificate) -> None:
    first, second = await serving.issue(), await serving.issue()
    mixed = ServingMaterial(
        certificate_chain=first.certificate_chain, private_key=second.private_key, client_roots=first.client_roots
    )
    with pytest.raises(CertificateFault, match="cannot be used"):
        webhook_context(mixed)
