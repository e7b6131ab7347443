"""ServiceEntry and WorkloadEntry: what is accepted, and what is refused or warned about."""

# ruff: noqa: E501  (tables of YAML read best with a case on a line)

from collections.abc import Callable

import pytest

from weft_core.problems import Code

Listed = Callable[[str, str], list[tuple[str, str, str]]]
PORTS = "ports: [{number: 80, name: http, protocol: HTTP}]"


@pytest.mark.parametrize(
    "spec",
    [
        f"hosts: [api.example.com], {PORTS}, resolution: DNS",
        f"hosts: ['*.example.com'], {PORTS}, resolution: NONE, location: MESH_EXTERNAL",
        f"hosts: ['*.example.com'], {PORTS}, resolution: DYNAMIC_DNS",
        f"hosts: ['*.example.com'], {PORTS}, resolution: DNS, endpoints: [{{address: api.example.com}}]",
        f"hosts: [db.local], addresses: [10.1.0.0/16], {PORTS}, resolution: STATIC, location: MESH_INTERNAL, "
        "endpoints: [{address: 10.0.0.1, ports: {http: 8080}, labels: {a: b}, locality: r/z/s, weight: 2, "
        "serviceAccount: db}], subjectAltNames: [x]",
        f"hosts: [db.local], {PORTS}, resolution: STATIC, workloadSelector: {{labels: {{app: db}}}}",
        f"hosts: [db.local], {PORTS}, resolution: STATIC, endpoints: [{{address: 'unix:///var/run/db'}}]",
        "hosts: [db.local], addresses: [10.1.0.0/16], ports: [{number: 27017, name: m, protocol: mongo, targetPort: 1}]",
    ],
)
def test_accepted(warnings: Listed, spec: str) -> None:
    assert warnings("ServiceEntry", f"{{{spec}}}") == []


def test_a_network_beside_an_address_is_warned_about(warnings: Listed) -> None:
    found = warnings("WorkloadEntry", "{address: 10.0.0.1, network: other}")
    assert [(path, code) for path, code, _ in found] == [("spec.network", Code.UNSUPPORTED_FIELD)]


REFUSED = {
    "no hosts": (f"{PORTS}", "spec.hosts", "missing"),
    "star": (f"hosts: ['*'], {PORTS}", "spec.hosts[0]", "no service"),
    "static with names": (
        f"hosts: [a], {PORTS}, resolution: STATIC, endpoints: [{{address: b.example.com}}]",
        "spec.endpoints[0].address",
        "is a name",
    ),
    "none with endpoints": (
        f"hosts: [a], {PORTS}, endpoints: [{{address: 10.0.0.1}}]",
        "spec.endpoints",
        "endpoints have no place",
    ),
    "dns of a wildcard": (f"hosts: ['*.a.b'], {PORTS}, resolution: DNS", "spec.hosts[0]", "cannot be resolved"),
    "dns of a socket": (
        f"hosts: [a], {PORTS}, resolution: DNS, endpoints: [{{address: 'unix:///a'}}]",
        "spec.endpoints[0].address",
        "cannot be resolved",
    ),
    "round robin": (
        f"hosts: [a], {PORTS}, resolution: DNS_ROUND_ROBIN, endpoints: [{{address: b.c}}, {{address: d.e}}]",
        "spec.endpoints",
        "one endpoint at most",
    ),
    "range and dns": (
        f"hosts: [a], addresses: [10.0.0.0/8], {PORTS}, resolution: DNS",
        "spec.addresses[0]",
        "range of addresses",
    ),
    "not an address": (f"hosts: [a], addresses: [there], {PORTS}", "spec.addresses[0]", "neither"),
    "selector and endpoints": (
        f"hosts: [a], {PORTS}, resolution: STATIC, endpoints: [{{address: 10.0.0.1}}], workloadSelector: {{labels: {{a: b}}}}",
        "spec.workloadSelector",
        "exclude each other",
    ),
    "port name twice": (
        "hosts: [a], ports: [{number: 80, name: x, protocol: HTTP}, {number: 81, name: x, protocol: HTTP}]",
        "spec.ports[1].name",
        "already used",
    ),
    "port number twice": (
        "hosts: [a], ports: [{number: 80, name: x, protocol: HTTP}, {number: 80, name: y, protocol: HTTP}]",
        "spec.ports[1].number",
        "already used",
    ),
}


@pytest.mark.parametrize(("spec", "path", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(errors: Listed, spec: str, path: str, words: str) -> None:
    [(at, message, fix)] = errors("ServiceEntry", f"{{{spec}}}")
    assert at == path
    assert words in message
    assert fix


def test_tcp_without_addresses_takes_the_whole_port(warnings: Listed) -> None:
    [(path, code, _)] = warnings("ServiceEntry", "{hosts: [a], ports: [{number: 1, name: x, protocol: TCP}]}")
    assert (path, code) == ("spec.ports[0]", Code.SERVICE_ENTRY_ADDRESSES_REQUIRED)


@pytest.mark.parametrize(
    "spec",
    ["{address: 10.0.0.1}", "{address: vm.example.com}", "{network: far, labels: {a: b}}", "{address: 'unix:///a'}"],
)
def test_workload_entries(warnings: Listed, spec: str) -> None:
    assert warnings("WorkloadEntry", spec) == []


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ("{labels: {a: b}}", "spec.address"),
        ("{address: 'a b'}", "spec.address"),
        ("{address: 'unix://relative'}", "spec.address"),
        ("{address: 'unix:///a', ports: {http: 80}}", "spec.ports"),
        ("{address: 10.0.0.1, ports: {http: 0}}", "spec.ports.http"),
    ],
)
def test_workload_entries_refused(errors: Listed, spec: str, path: str) -> None:
    assert [at for at, *_ in errors("WorkloadEntry", spec)] == [path]


def test_endpoints_may_come_later(warnings: Listed) -> None:
    """Istio takes a STATIC one without, and so did clusters that come from there."""
    assert [at for at, *_ in warnings("ServiceEntry", f"{{hosts: [a], {PORTS}, resolution: STATIC}}")] == [
        "spec.endpoints"
    ]
