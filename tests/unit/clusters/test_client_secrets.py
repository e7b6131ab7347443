"""Which Secrets of DestinationRules are sent to whom, and what is said where one is missing."""

import base64
from collections.abc import Callable
from dataclasses import replace

from weft_core.model import kubernetes as k8s
from weft_core.problems import Code, Severity
from weft_core.proxy import ProxyId, ProxyKind
from weft_core.registry import Registry
from weft_core.view.client_secrets import client_secrets
from weft_core.view.gateway_listeners import gateway_secrets
from weft_core.view.gateway_secrets import SecretId
from weft_core.view.gateways import gateway_id
from weft_core.view.problems import all_problems
from weft_core.view.proxies import client_of
from weft_xds.resources.keys import Part, SectionKey
from weft_xds.resources.sections import proxy_sections, section
from weft_xds.types import SDS

RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: rule, namespace: {namespace}}}
spec:
  host: bank.example
  {selector}
  trafficPolicy: {{tls: {{mode: {mode}, credentialName: creds}}}}
"""
SELECTED = "workloadSelector: {matchLabels: {app: web}}"
Make = Callable[..., Registry]


def rule(mode: str = "MUTUAL", selector: str = SELECTED, namespace: str = "shop") -> str:
    return RULE.format(mode=mode, selector=selector, namespace=namespace)


def sent(db: Registry, proxy: ProxyId) -> tuple[SecretId, ...]:
    client = client_of(db, proxy)
    assert client is not None
    return client_secrets(db, client)


def put_secret(db: Registry, name: str, *entries: str) -> None:
    data = {entry: base64.b64encode(b"pem").decode() for entry in entries}
    db.secrets.put(("shop", name), k8s.Secret(metadata=k8s.ObjectMeta(name=name, namespace="shop"), data=data))


def test_selected_sidecars_get_the_secret_of_their_own_namespace(registry: Make, shop: str, web: ProxyId) -> None:
    expected = (SecretId("shop", "kubernetes://creds"), SecretId("shop", "kubernetes://creds-cacert"))
    db = registry(shop, rule())
    assert sent(db, web) == expected
    client = client_of(db, web)
    assert SectionKey(SDS, Part.OUTBOUND, client) in proxy_sections(db, web)
    assert [key.view for key in section(db, SectionKey(SDS, Part.OUTBOUND, client))] == list(expected)


def test_simple_needs_roots_alone(registry: Make, shop: str, web: ProxyId) -> None:
    assert sent(registry(shop, rule("SIMPLE")), web) == (SecretId("shop", "kubernetes://creds-cacert"),)


def test_nobody_else_gets_it(registry: Make, shop: str, web: ProxyId) -> None:
    other = "workloadSelector: {matchLabels: {app: other}}"
    assert sent(registry(shop, rule(selector=other)), web) == (), "the rule is for other workloads"
    assert sent(registry(shop, rule(namespace="elsewhere")), web) == (), "selectors stay in their namespace"
    assert sent(registry(shop, rule(selector="")), web) == (), "sidecars have to be selected"


def test_gateways_get_those_of_every_rule_that_reaches_them(registry: Make, shop: str, web: ProxyId) -> None:
    edge = replace(web, kind=ProxyKind.GATEWAY)
    db = registry(shop, rule(selector="", namespace="bank"))
    gateway = gateway_id(db, edge)
    assert gateway is not None
    expected = (SecretId("shop", "kubernetes://creds"), SecretId("shop", "kubernetes://creds-cacert"))
    assert gateway_secrets(db, gateway) == expected
    hidden = rule(selector="exportTo: [.]", namespace="bank")
    assert sent(registry(shop, hidden), edge) == ()


def test_a_missing_secret_is_an_error(registry: Make, shop: str) -> None:
    db = registry(shop, rule())

    def missing() -> list[str]:
        found = [p for p in all_problems(db) if p.code == Code.REFERENCED_RESOURCE_NOT_FOUND]
        assert all(p.severity is Severity.ERROR for p in found)
        assert all(p.path == "spec.trafficPolicy.tls.credentialName" for p in found)
        return [p.message.partition(" under")[0] for p in found]

    assert missing() == ["no Secret of shop has tls.crt and tls.key"]
    put_secret(db, "creds", "tls.crt", "tls.key")
    assert missing() == ["no Secret of shop has ca.crt"]
    put_secret(db, "creds-cacert", "ca.crt")
    assert missing() == []
