"""Which proxy a certificate may be: the pods of its own service account, once they are known."""

from typing import Any

import pytest

from weft_cli.control_plane import authorizer
from weft_core.model.kubernetes import ObjectMeta, Pod, PodSpec
from weft_core.proxy import ProxyId, ProxyKind
from weft_core.registry import Registry
from weft_core.spiffe import SpiffeId

WEB = SpiffeId(trust_domain="cluster.local", namespace="edge", service_account="web")


@pytest.fixture
def registry() -> Registry:
    """The namespace `edge` with a web server and a gateway, each with an account of its own."""
    registry = Registry()
    for name, account in (("web-0", "web"), ("gateway-0", "gateway")):
        meta = ObjectMeta(name=name, namespace="edge")
        registry.pods.put(("edge", name), Pod(metadata=meta, spec=PodSpec(service_account_name=account)))
    return registry


def test_a_proxy_is_a_pod_of_its_certificates_account(registry: Registry) -> None:
    authorize = authorizer(registry)
    assert authorize(WEB, "sidecar~10.0.0.1~web-0.edge~cluster.local", {}) == ProxyId(
        ProxyKind.SIDECAR, "edge", "web-0"
    )


@pytest.mark.parametrize(
    ("identity", "node", "reason"),
    [
        ({}, "router~10.0.0.1~gateway-0.edge~cluster.local", "that pod's service account is 'gateway'"),
        ({}, "sidecar~10.0.0.1~web-0.shop~cluster.local", "it is of namespace 'edge'"),
        ({"trust_domain": "else.where"}, "sidecar~10.0.0.1~web-0.edge~cluster.local", "is not one of this mesh's"),
        ({}, "web-0.edge", "is not of the form"),
    ],
)
def test_it_is_no_other(registry: Registry, identity: dict[str, Any], node: str, reason: str) -> None:
    asked = SpiffeId(**{"trust_domain": "cluster.local", "namespace": "edge", "service_account": "web"} | identity)
    refusal = authorizer(registry)(asked, node, {})
    assert isinstance(refusal, str)
    assert reason in refusal


def test_nobody_waits_under_the_name_of_a_pod_that_is_yet_to_come(registry: Registry) -> None:
    """The name of a StatefulSet's next pod is known beforehand, and its stream would be given what the pod is."""
    authorize = authorizer(registry)
    node = "router~10.0.0.1~gateway-1.edge~cluster.local"
    assert authorize(WEB, node, {}) == "gateway-1.edge is not known here, or not yet: come again"
    registry.pods.put(
        ("edge", "gateway-1"),
        Pod(metadata=ObjectMeta(name="gateway-1", namespace="edge"), spec=PodSpec(service_account_name="gateway")),
    )
    assert "service account is 'gateway'" in str(authorize(WEB, node, {}))


def test_plaintext_has_no_identity_and_is_believed(registry: Registry) -> None:
    """It is served on loopback only, where who may connect may read everything anyway."""
    assert isinstance(authorizer(registry)(None, "sidecar~10.0.0.1~new.edge~cluster.local", {}), ProxyId)
