"""What users are told about Sidecars that do not do what they seem to."""

from collections.abc import Callable

import pytest

from weft_core.problems import Code, Problem, Severity
from weft_core.registry import Registry
from weft_core.view.sidecar_problems import sidecar_problems

Make = Callable[..., Registry]


def sidecar(spec: str, name: str = "a", namespace: str = "shop") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: {name}, namespace: {namespace}}}
spec: {spec}
"""


def found(db: Registry, name: str = "a", namespace: str = "shop") -> list[tuple[str, str]]:
    problems: tuple[Problem, ...] = sidecar_problems(db, (namespace, name))
    assert all(problem.message and problem.fix for problem in problems)
    return [(problem.code, problem.path) for problem in problems]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ("{egress: [{port: {number: 80, protocol: HTTP}, bind: 127.0.0.1, hosts: ['*/*']}]}", "egress[0].bind"),
        (
            "{egress: [{port: {number: 80, protocol: HTTP}, captureMode: NONE, hosts: ['*/*']}]}",
            "egress[0].captureMode",
        ),
        ("{egress: [{port: {number: 80, protocol: HTTP_PROXY}, hosts: ['*/*']}]}", "egress[0].port.protocol"),
        (
            "{workloadSelector: {labels: {app: web}}, ingress: [{port: {number: 1, protocol: HTTPS}, "
            "tls: {mode: SIMPLE, privateKey: /k, serverCertificate: /c}}]}",
            "ingress[0].tls",
        ),
        (
            "{workloadSelector: {labels: {app: web}}, ingress: [{port: {number: 1, protocol: HTTP}, bind: 127.0.0.1}]}",
            "ingress[0].bind",
        ),
        (
            "{workloadSelector: {labels: {app: web}}, "
            "ingress: [{port: {number: 1, protocol: HTTP}, captureMode: NONE}]}",
            "ingress[0].captureMode",
        ),
    ],
)
def test_fields_that_are_not_acted_upon_are_named(registry: Make, shop: str, spec: str, path: str) -> None:
    assert found(registry(shop, sidecar(spec))) == [(Code.UNSUPPORTED_FIELD, f"spec.{path}")]


def test_of_several_without_selector_the_first_is_in_force(registry: Make) -> None:
    db = registry(sidecar("{egress: [{hosts: ['*/*']}]}"), sidecar("{egress: [{hosts: ['./*']}]}", "b"))
    assert found(db) == []
    (problem,) = sidecar_problems(db, ("shop", "b"))
    assert (problem.code, problem.severity) == (Code.MULTIPLE_SIDECARS_WITHOUT_SELECTOR, Severity.ERROR)
    assert "Sidecar a " in problem.message


def test_the_roots_sidecar_is_no_rival(registry: Make) -> None:
    db = registry(sidecar("{}", namespace="istio-system"), sidecar("{}", "b"))
    assert found(db, "b") == found(db, "a", "istio-system") == []


def test_two_that_select_a_pod(registry: Make, shop: str) -> None:
    both = "{workloadSelector: {labels: {app: web}}}"
    db = registry(shop, sidecar(both), sidecar(both, "b"), sidecar("{}", "c"))
    assert (found(db), found(db, "c")) == ([], [])
    assert found(db, "b") == [(Code.CONFLICTING_SIDECAR_SELECTORS, "spec.workloadSelector")]


def test_a_selector_that_picks_nobody(registry: Make, shop: str) -> None:
    spec = "{workloadSelector: {labels: {app: wbe}}}"
    assert found(registry(shop, sidecar(spec))) == [(Code.NO_MATCHING_WORKLOADS, "spec.workloadSelector.labels")]


@pytest.mark.parametrize(
    "host",
    ["*/*", "./*", "istio-system/*", "~/*", "./web.shop.svc.cluster.local", "*/*.svc.cluster.local", "shop/*.local"],
)
def test_hosts_that_there_are(registry: Make, shop: str, host: str) -> None:
    assert found(registry(shop, sidecar(f"{{egress: [{{hosts: ['{host}']}}]}}"))) == []


def test_hosts_that_there_are_not(registry: Make, shop: str) -> None:
    hosts = "[./web.shop.svc.cluster.local, other/web.shop.svc.cluster.local, '*/*.example.com']"
    problems = sidecar_problems(registry(shop, sidecar(f"{{egress: [{{hosts: {hosts}}}]}}")), ("shop", "a"))
    assert [(p.code, p.path) for p in problems] == [
        (Code.EGRESS_HOST_MATCHES_NOTHING, "spec.egress[0].hosts[1]"),
        (Code.EGRESS_HOST_MATCHES_NOTHING, "spec.egress[0].hosts[2]"),
    ]
    assert problems[0].fix == "write shop/web.shop.svc.cluster.local"


def test_an_egress_proxy_that_is_not_there(registry: Make) -> None:
    proxy = "{host: out.shop.svc.cluster.local, port: {number: 80}}"
    spec = f"{{outboundTrafficPolicy: {{mode: ALLOW_ANY, egressProxy: {proxy}}}}}"
    path = "spec.outboundTrafficPolicy.egressProxy.host"
    assert found(registry(sidecar(spec))) == [(Code.REFERENCED_RESOURCE_NOT_FOUND, path)]
