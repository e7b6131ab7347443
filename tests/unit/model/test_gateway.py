"""Gateway: what is accepted, and what is refused or warned about."""

# ruff: noqa: E501  (tables of YAML read best with a case on a line)

from collections.abc import Callable

import pytest

Listed = Callable[[str, str], list[tuple[str, str, str]]]
HTTP = "port: {number: 80, name: http, protocol: HTTP}"
HTTPS = "port: {number: 443, name: https, protocol: HTTPS}"


@pytest.mark.parametrize(
    "server",
    [
        f"{HTTP}, hosts: ['*']",
        f"{HTTP}, hosts: [shop/*.example.com, ./a.example.com, '*/b.example.com', 10.0.0.1], tls: {{httpsRedirect: true}}",
        f"{HTTPS}, hosts: [a.example.com], tls: {{mode: SIMPLE, credentialName: cert}}",
        f"{HTTPS}, hosts: [a.example.com], tls: {{mode: MUTUAL, serverCertificate: a, privateKey: b, caCertificates: c}}",
        f"{HTTPS}, hosts: [a.example.com], tls: {{mode: OPTIONAL_MUTUAL, credentialNames: [rsa, ecdsa], "
        "minProtocolVersion: TLSV1_2, cipherSuites: [ECDHE-RSA-AES256-GCM-SHA384]}",
        f"{HTTPS}, hosts: [a.example.com], tls: {{mode: ISTIO_MUTUAL}}",
        "port: {number: 443, name: tls, protocol: tls}, hosts: ['*.example.com'], tls: {mode: PASSTHROUGH}",
        "port: {number: 15443, name: tls, protocol: TLS}, hosts: ['*.local'], tls: {mode: AUTO_PASSTHROUGH}",
        "port: {number: 9000, name: tcp, protocol: TCP}, hosts: ['*'], bind: 127.0.0.1, name: raw",
        f"{HTTP}, hosts: ['*'], bind: 'unix:///run/edge.sock'",
        "port: {number: 0, name: h, protocol: HTTP}, hosts: ['*'], bind: 'unix://@edge'",
    ],
)
def test_accepted(warnings: Listed, server: str) -> None:
    assert warnings("Gateway", f"{{selector: {{istio: ingress}}, servers: [{{{server}}}]}}") == []


REFUSED = {
    "no servers": ("{servers: []}", "spec.servers", "it is empty"),
    "no hosts": (f"{{servers: [{{{HTTP}}}]}}", "spec.servers[0].hosts", "missing"),
    "short host": (f"{{servers: [{{{HTTP}, hosts: [shop]}}]}}", "spec.servers[0].hosts[0]", "short names"),
    "bad namespace": (f"{{servers: [{{{HTTP}, hosts: ['A_/x.y']}}]}}", "spec.servers[0].hosts[0]", "no namespace"),
    "https without tls": (f"{{servers: [{{{HTTPS}, hosts: ['*']}}]}}", "spec.servers[0].tls", "HTTPS needs tls"),
    "http with tls": (
        f"{{servers: [{{{HTTP}, hosts: ['*'], tls: {{mode: SIMPLE, credentialName: a}}}}]}}",
        "spec.servers[0].tls",
        "plain text",
    ),
    "no certificate": (
        f"{{servers: [{{{HTTPS}, hosts: ['*'], tls: {{mode: SIMPLE}}}}]}}",
        "spec.servers[0].tls",
        "needs a certificate",
    ),
    "two certificates": (
        f"{{servers: [{{{HTTPS}, hosts: ['*'], tls: {{mode: SIMPLE, credentialName: a, serverCertificate: b, privateKey: c}}}}]}}",
        "spec.servers[0].tls",
        "exclude each other",
    ),
    "no key": (
        f"{{servers: [{{{HTTPS}, hosts: ['*'], tls: {{mode: SIMPLE, serverCertificate: b}}}}]}}",
        "spec.servers[0].tls.privateKey",
        "no key",
    ),
    "no roots": (
        f"{{servers: [{{{HTTPS}, hosts: ['*'], tls: {{mode: MUTUAL, serverCertificate: b, privateKey: c}}}}]}}",
        "spec.servers[0].tls.caCertificates",
        "MUTUAL needs roots",
    ),
    "mesh certificate and own": (
        f"{{servers: [{{{HTTPS}, hosts: ['*'], tls: {{mode: ISTIO_MUTUAL, credentialName: a}}}}]}}",
        "spec.servers[0].tls.credentialName",
        "its own",
    ),
    "mesh certificate and roots of its own": (
        f"{{servers: [{{{HTTPS}, hosts: ['*'], tls: {{mode: ISTIO_MUTUAL, caCertCredentialName: a}}}}]}}",
        "spec.servers[0].tls.caCertCredentialName",
        "its own",
    ),
    "versions": (
        f"{{servers: [{{{HTTPS}, hosts: ['*'], tls: {{mode: ISTIO_MUTUAL, minProtocolVersion: TLSV1_3, maxProtocolVersion: TLSV1_2}}}}]}}",
        "spec.servers[0].tls.maxProtocolVersion",
        "below minProtocolVersion",
    ),
    "bind": (f"{{servers: [{{{HTTP}, hosts: ['*'], bind: localhost}}]}}", "spec.servers[0].bind", "neither an IP"),
    "relative bind": (
        f"{{servers: [{{{HTTP}, hosts: ['*'], bind: 'unix://a'}}]}}",
        "spec.servers[0].bind",
        "neither an IP",
    ),
    "port name twice": (
        f"{{servers: [{{{HTTP}, hosts: [a.b]}}, {{{HTTP}, hosts: [c.d]}}]}}",
        "spec.servers[1].port.name",
        "`http` is already",
    ),
    "protocol": (
        "{servers: [{port: {number: 80, name: a, protocol: HTTP3}, hosts: ['*']}]}",
        "spec.servers[0].port.protocol",
        "`HTTP3` is not a protocol",
    ),
    "port number": (
        "{servers: [{port: {number: 0, name: a, protocol: HTTP}, hosts: ['*']}]}",
        "spec.servers[0].port.number",
        "no number",
    ),
    "matchLabels": (
        f"{{selector: {{matchLabels: {{a: b}}}}, servers: [{{{HTTP}, hosts: ['*']}}]}}",
        "spec.selector.matchLabels",
        "text is meant",
    ),
}


@pytest.mark.parametrize(("spec", "path", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(errors: Listed, spec: str, path: str, words: str) -> None:
    [(at, message, fix)] = errors("Gateway", spec)
    assert at == path
    assert words in message
    assert fix


def test_certificates_that_passthrough_never_uses_are_warned_about(warnings: Listed) -> None:
    spec = f"{{servers: [{{{HTTPS}, hosts: ['*'], tls: {{mode: PASSTHROUGH, credentialName: a}}}}]}}"
    assert [path for path, *_ in warnings("Gateway", spec)] == ["spec.servers[0].tls.credentialName"]


@pytest.mark.parametrize(
    "field",
    [
        "mode: SIMPLE, subjectAltNames: [a]",
        "mode: SIMPLE, verifyCertificateSpki: [a]",
        "mode: SIMPLE, verifyCertificateHash: [a]",
        "mode: SIMPLE, caCrl: /crl.pem",
        "mode: MUTUAL, insecureSkipVerify: true",
    ],
)
def test_demands_that_keep_nobody_out_are_warned_about(warnings: Listed, field: str) -> None:
    spec = f"{{servers: [{{{HTTPS}, hosts: ['*'], tls: {{credentialName: c, {field}}}}}]}}"
    name = field.partition(", ")[2].partition(":")[0]
    assert [path for path, *_ in warnings("Gateway", spec)] == [f"spec.servers[0].tls.{name}"]


def test_a_target_port_is_warned_about(warnings: Listed) -> None:
    spec = "{servers: [{port: {number: 80, name: http, protocol: HTTP, targetPort: 8080}, hosts: ['*']}]}"
    assert [path for path, *_ in warnings("Gateway", spec)] == ["spec.servers[0].port.targetPort"]


def test_a_redirect_on_a_tls_server_is_warned_about(warnings: Listed) -> None:
    spec = f"{{servers: [{{{HTTPS}, hosts: ['*'], tls: {{mode: SIMPLE, credentialName: a, httpsRedirect: true}}}}]}}"
    assert [path for path, *_ in warnings("Gateway", spec)] == ["spec.servers[0].tls.httpsRedirect"]
