"""What users are told about Services, ServiceEntries and WorkloadEntries."""

from collections.abc import Callable

import pytest

from weft_core.problems import Code, Problem, Severity
from weft_core.registry import Registry
from weft_core.view.problems import all_problems
from weft_core.view.service_entry_problems import service_entry_problems, workload_entry_problems
from weft_core.view.service_problems import service_problems

Make = Callable[..., Registry]


def entry(spec: str, name: str = "a", namespace: str = "shop", kind: str = "ServiceEntry") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: {kind}
metadata: {{name: {name}, namespace: {namespace}}}
spec: {spec}
"""


def service(spec: str, name: str = "ext") -> str:
    return f"{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: shop}}, spec: {spec}}}"


def short(problems: tuple[Problem, ...]) -> list[tuple[str, str]]:
    assert all(problem.message and problem.fix for problem in problems)
    return [(problem.code, problem.path) for problem in problems]


def entries(db: Registry, name: str = "a", namespace: str = "shop") -> list[tuple[str, str]]:
    return short(service_entry_problems(db, (namespace, name)))


PORT = "ports: [{number: 80, name: http, protocol: HTTP}]"


def test_dynamic_dns_is_not_served(registry: Make) -> None:
    db = registry(entry(f"{{hosts: ['*.example.com'], resolution: DYNAMIC_DNS, {PORT}}}"))
    assert entries(db) == [(Code.UNSUPPORTED_FIELD, "spec.resolution")]


def test_an_endpoint_behind_another_network(registry: Make) -> None:
    db = registry(entry(f"{{hosts: [a.com], resolution: STATIC, endpoints: [{{network: far}}], {PORT}}}"))
    assert entries(db) == [(Code.UNSUPPORTED_FIELD, "spec.endpoints[0].network")]


@pytest.mark.parametrize(("namespace", "words"), [("shop", "all clients"), ("other", "clients outside of other")])
def test_a_host_that_is_a_kubernetes_services(registry: Make, shop: str, namespace: str, words: str) -> None:
    db = registry(shop, entry(f"{{hosts: [web.shop.svc.cluster.local], {PORT}}}", namespace=namespace))
    (problem,) = service_entry_problems(db, (namespace, "a"))
    assert (problem.code, problem.path) == (Code.SHADOWED_SERVICE, "spec.hosts[0]")
    assert words in problem.message


def test_two_entries_of_one_namespace_and_host(registry: Make) -> None:
    younger = (
        "{hosts: [a.com], location: MESH_INTERNAL, resolution: DNS, "
        "ports: [{number: 80, name: tcp, protocol: TCP}, {number: 81, name: http, protocol: HTTP}]}"
    )
    db = registry(entry(f"{{hosts: [a.com], {PORT}}}"), entry(younger, "b"))
    assert entries(db) == []
    assert entries(db, "b") == [
        (Code.SHADOWED_SERVICE, "spec.resolution"),
        (Code.SHADOWED_SERVICE, "spec.location"),
        (Code.SHADOWED_SERVICE, "spec.ports[0]"),
    ]


def test_two_entries_of_two_namespaces(registry: Make) -> None:
    public = f"{{hosts: [a.com], {PORT}}}"
    db = registry(entry(public), entry(public, "b", "other"))
    assert (entries(db), entries(db, "b", "other")) == ([], [(Code.SHADOWED_SERVICE, "spec.hosts[0]")])
    private = entry(f"{{hosts: [a.com], exportTo: ['.'], {PORT}}}", "b", "other")
    assert entries(registry(entry(public), private), "b", "other") == []


def test_a_selector_that_picks_nothing(registry: Make, shop: str) -> None:
    spec = f"{{hosts: [a.com], resolution: STATIC, workloadSelector: {{labels: {{app: vm}}}}, {PORT}}}"
    assert entries(registry(shop, entry(spec))) == [(Code.NO_MATCHING_WORKLOADS, "spec.workloadSelector.labels")]
    vm = entry("{address: 1.2.3.4, labels: {app: vm}}", kind="WorkloadEntry")
    assert entries(registry(shop, entry(spec), vm)) == []


def test_strict_pods_declared_as_outside(registry: Make, shop: str) -> None:
    spec = f"{{hosts: [a.com], resolution: STATIC, workloadSelector: {{labels: {{app: web}}}}, {PORT}}}"
    strict = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: shop}
spec: {mtls: {mode: STRICT}}
"""
    assert entries(registry(shop, entry(spec))) == []
    assert entries(registry(shop, strict, entry(spec))) == [(Code.MTLS_POLICY_CONFLICT, "spec.location")]


@pytest.mark.parametrize("spec", ["{address: 1.2.3.4}", "{address: 1.2.3.4, labels: {app: other}}"])
def test_a_workload_entry_that_nobody_selects(registry: Make, shop: str, spec: str) -> None:
    db = registry(shop, entry(spec, kind="WorkloadEntry"))
    assert short(workload_entry_problems(db, ("shop", "a"))) == [(Code.SELECTED_BY_NOTHING, "spec.labels")]


def test_a_workload_entry_that_a_service_selects(registry: Make, shop: str) -> None:
    db = registry(shop, entry("{address: 1.2.3.4, labels: {app: web}}", kind="WorkloadEntry"))
    assert workload_entry_problems(db, ("shop", "a")) == ()


def test_a_port_name_that_tells_no_protocol_is_worth_a_notice(registry: Make, shop: str) -> None:
    (problem,) = service_problems(registry(shop), ("shop", "web"))
    assert (problem.code, problem.severity) == (Code.PORT_NAME_NOT_UNDER_CONVENTION, Severity.INFO)
    assert problem.path == "spec.ports[2].name"


def endpoint_slice(address_type: str, address: str) -> str:
    return f"""
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: legacy-1, namespace: shop, labels: {{kubernetes.io/service-name: legacy}}}}
addressType: {address_type}
endpoints: [{{addresses: [{address}]}}]
ports: [{{name: http, port: 80}}]
"""


def test_endpoints_that_are_names_are_passed_over_aloud(registry: Make) -> None:
    legacy = service("{ports: [{name: http, port: 80}]}", "legacy")
    (problem,) = service_problems(registry(legacy, endpoint_slice("FQDN", "db.example.com")), ("shop", "legacy"))
    assert (problem.code, problem.severity, problem.path) == (Code.UNSUPPORTED_FIELD, Severity.WARNING, "spec")
    assert "legacy-1" in problem.message
    assert service_problems(registry(legacy, endpoint_slice("IPv4", "10.0.0.9")), ("shop", "legacy")) == ()


def test_an_external_name_that_nobody_knows(registry: Make) -> None:
    ext = service("{type: ExternalName, externalName: api.example.com, ports: [{name: tcp, port: 5432}]}")
    (tcp, unknown) = sorted(service_problems(registry(ext), ("shop", "ext")), key=lambda problem: problem.code)
    assert (tcp.code, tcp.path) == (Code.EXTERNAL_NAME_PORT, "spec.ports[0].name")
    assert (unknown.code, unknown.path) == (Code.UNKNOWN_EXTERNAL_NAME, "spec.externalName")
    assert (unknown.severity, "pass through" in unknown.message) == (Severity.INFO, True)
    closed = registry(ext, settings="outboundTrafficPolicy: {mode: REGISTRY_ONLY}")
    assert [p.severity for p in service_problems(closed, ("shop", "ext")) if p.path == unknown.path] == ["warning"]


def test_an_external_name_of_a_service(registry: Make, shop: str) -> None:
    ext = service("{type: ExternalName, externalName: web.shop.svc.cluster.local}")
    assert service_problems(registry(shop, ext), ("shop", "ext")) == ()


def test_all_kinds_are_asked(registry: Make, shop: str) -> None:
    db = registry(
        shop,
        entry(f"{{hosts: ['*.example.com'], resolution: DYNAMIC_DNS, {PORT}}}"),
        entry("{address: 1.2.3.4}", kind="WorkloadEntry"),
        entry("{egress: [{hosts: [./gone.com]}]}", kind="Sidecar"),
    )
    assert {problem.object.kind for problem in all_problems(db)} == {
        "Service",
        "ServiceEntry",
        "WorkloadEntry",
        "Sidecar",
    }
