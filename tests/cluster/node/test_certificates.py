"""Certificates of pods: whose key they have, how they are renewed under load, by the kubelet and by Secrets."""

import socket
import ssl
import time
from collections.abc import Iterator

import pytest
from bringup import Cluster
from bringup.node import Node
from cryptography import x509
from shop import ROOT, SYSTEM, Load, Shop, eventually


def certificate(pod: str) -> x509.Certificate:
    """What the proxy of a pod shows to a peer of the mesh."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["istio-http/1.1", "istio", "http/1.1"])
    with (
        socket.create_connection((pod, 9080), timeout=5) as connection,
        context.wrap_socket(connection) as secured,
    ):
        found = secured.getpeercert(binary_form=True)
    assert found is not None
    return x509.load_der_x509_certificate(found)


def address(shop: Shop, app: str) -> str:
    """The address of an app's only pod."""
    pods = shop.pods(f"app={app}")
    assert len(pods) == 1
    return str(pods[0]["status"]["podIP"])


def page_of(shop: Shop) -> Load:
    """Requests that reach details over mutual TLS."""
    return Load(lambda: shop.page("/api/v1/products/0"))


def test_the_kubelet_makes_the_key_and_no_secret_has_one(shop: Shop) -> None:
    assert shop.cluster.get("secrets", namespace=shop.namespace)["items"] == []
    names = certificate(address(shop, "details")).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        "spiffe://cluster.local/ns/shop/sa/bookshop-details"
    ]
    assert names.get_values_for_type(x509.DNSName) == ["details-v1.shop.workload"]


@pytest.fixture
def regardless_of_readiness(shop: Shop) -> Iterator[None]:
    """Services keep pods that are not ready: a kubelet that starts anew takes all for unready until it has asked."""
    services = ("bookshop-gateway", "productpage", "details")
    for wanted in ("true", "false"):
        for service in services:
            shop.kubectl("patch", "service", service, "-p", f'{{"spec": {{"publishNotReadyAddresses": {wanted}}}}}')
        if wanted == "true":
            yield


@pytest.mark.usefixtures("regardless_of_readiness")
def test_a_new_key_and_certificate_of_the_kubelet_are_used_without_a_failed_request(shop: Shop, node: Cluster) -> None:
    """A kubelet that starts anew has lost the keys of its pods, and makes new ones: a renewal at once."""
    if not isinstance(node, Node):
        pytest.skip("the kubelet of a given cluster is not restarted")
    pod = address(shop, "details")
    before = certificate(pod)
    with page_of(shop) as load:
        node.restart_kubelet()
        eventually(lambda: _differs(pod, before), 150)
        time.sleep(2)
    assert certificate(pod).public_key() != before.public_key()
    assert load.failures == []
    assert load.total > 50


def _differs(pod: str, before: x509.Certificate) -> None:
    assert certificate(pod).serial_number != before.serial_number


@pytest.fixture
def by_secrets(shop: Shop, system: Shop) -> Iterator[Shop]:
    """The shop, with its certificates in Secrets."""
    chart = ROOT / "charts/weft"
    change = ("upgrade", "weft", chart, "-n", SYSTEM, "--wait", "--reuse-values", "--set")
    system.cluster.helm(*change, "certificates.delivery=secrets")
    shop.kubectl("rollout", "restart", "deployment")
    shop.ready()
    yield shop
    system.cluster.helm(*change, "certificates.delivery=auto")
    shop.kubectl("rollout", "restart", "deployment")
    shop.ready()


def test_the_secret_way_serves_and_renews_without_a_failed_request(by_secrets: Shop) -> None:
    shop = by_secrets
    secrets = shop.cluster.get("secrets", namespace=shop.namespace)["items"]
    workloads = {secret["metadata"]["annotations"]["weft.dev/workload"]: secret for secret in secrets}
    assert workloads.keys() >= {"details-v1", "reviews-v1", "reviews-v2", "productpage-v1", "bookshop-gateway"}
    eventually(lambda: address(shop, "details"))
    pod = address(shop, "details")
    before = certificate(pod)
    with page_of(shop) as load:
        # What somebody deletes is made anew; the kubelet brings it into the pod with its next look, a minute or so.
        shop.kubectl("delete", "secret", workloads["details-v1"]["metadata"]["name"])
        eventually(lambda: _differs(pod, before), 180)
        time.sleep(2)
    assert load.failures == []
    assert load.total > 50
