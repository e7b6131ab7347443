"""Sidecar: what is accepted, and what is refused."""

# ruff: noqa: E501  (tables of YAML read best with a case on a line)

from collections.abc import Callable

import pytest

Listed = Callable[[str, str], list[tuple[str, str, str]]]


@pytest.mark.parametrize(
    "spec",
    [
        "{egress: [{hosts: ['./*', 'istio-system/*', '*/a.shop.svc.cluster.local', '~ns/*']}]}",
        "{egress: [{hosts: ['~/*']}]}",
        "{egress: [{port: {number: 3306, protocol: MYSQL, name: db}, bind: 127.0.0.1, captureMode: NONE, hosts: ['*/*']}, "
        "{hosts: ['./*']}], outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: out, port: {number: 80}}}}",
        "{workloadSelector: {labels: {app: a}}, ingress: [{port: {number: 80, protocol: HTTP, name: h}, "
        "defaultEndpoint: '127.0.0.1:8080', connectionPool: {tcp: {maxConnections: 1}}, captureMode: IPTABLES}], "
        "inboundConnectionPool: {http: {http2MaxRequests: 5}}}",
        "{egress: [{port: {protocol: HTTP}, bind: 'unix:///a', hosts: ['./*']}]}",
        "{egress: [{hosts: ['*/*', '~/a.b', '~*/a.b', '~./a.b']}]}",
        "{ingress: [{port: {number: 80}}]}",
    ],
)
def test_accepted(warnings: Listed, spec: str) -> None:
    assert warnings("Sidecar", spec) == []


def test_a_target_port_is_warned_about(warnings: Listed) -> None:
    port = "{number: 80, protocol: HTTP, name: h, targetPort: 8080}"
    found = warnings(
        "Sidecar",
        f"{{workloadSelector: {{labels: {{a: b}}}}, ingress: [{{port: {port}, defaultEndpoint: '127.0.0.1:80'}}]}}",
    )
    assert [path for path, *_ in found] == ["spec.ingress[0].port.targetPort"]


REFUSED = {
    "no namespace": ("{egress: [{hosts: [reviews]}]}", "spec.egress[0].hosts[0]", "the namespace is missing"),
    "short name": ("{egress: [{hosts: [./reviews]}]}", "spec.egress[0].hosts[0]", "short names"),
    "no hosts": ("{egress: [{hosts: []}]}", "spec.egress[0].hosts", "it is empty"),
    "catch-all first": (
        "{egress: [{hosts: ['./*']}, {port: {number: 80, protocol: HTTP}, hosts: ['./*']}]}",
        "spec.egress[0]",
        "must be the only such one and last",
    ),
    "foreign endpoint": (
        "{workloadSelector: {labels: {a: b}}, ingress: [{port: {number: 80, protocol: HTTP}, defaultEndpoint: '10.0.0.1:80'}]}",
        "spec.ingress[0].defaultEndpoint",
        "not the application",
    ),
    "port twice": (
        "{workloadSelector: {labels: {a: b}}, ingress: [{port: {number: 80, protocol: HTTP}}, {port: {number: 80, protocol: TCP}}]}",
        "spec.ingress[1].port",
        "already set",
    ),
    "bind without port": ("{egress: [{bind: 127.0.0.1, hosts: ['./*']}]}", "spec.egress[0].port", "bind needs a port"),
}


@pytest.mark.parametrize(("spec", "path", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(errors: Listed, spec: str, path: str, words: str) -> None:
    [(at, message, fix)] = errors("Sidecar", spec)
    assert at == path
    assert words in message
    assert fix
