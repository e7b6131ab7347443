"""What Istio's own admission refuses or warns of is refused or warned of here: its users rely upon it."""

# ruff: noqa: E501  (tables of YAML read best with a case on a line)

from collections.abc import Callable

import pytest

from weft_core.model.decode import decode
from weft_core.problems import Severity

Listed = Callable[[str, str], list[tuple[str, str, str]]]
VS, DR, GW, SE = "VirtualService", "DestinationRule", "Gateway", "ServiceEntry"
WE, SC, PA, RA, AP = "WorkloadEntry", "Sidecar", "PeerAuthentication", "RequestAuthentication", "AuthorizationPolicy"
ROUTE = "route: [{destination: {host: web}}]"
PORTS = "ports: [{number: 80, name: http, protocol: HTTP}]"
TLS = "hosts: [a.b], port: {number: 443, name: https, protocol: HTTPS}, tls:"


def rule(text: str) -> str:
    return f"{{hosts: [web], http: [{{{text}}}]}}"


def policy(text: str) -> str:
    return f"{{host: web, trafficPolicy: {{{text}}}}}"


REFUSED = {
    "half a format": (VS, rule(f"{ROUTE}, headers: {{request: {{set: {{a: 50%}}}}}}"), "spec.http[0].headers.request.set.a"),
    "format of a destination": (
        VS,
        rule("route: [{destination: {host: web}, headers: {response: {add: {a: '%REQ(x%'}}}}]"),
        "spec.http[0].route[0].headers.response.add.a",
    ),
    "host twice": (VS, rule(f"{ROUTE}, rewrite: {{authority: a}}, headers: {{request: {{set: {{Host: b}}}}}}"), "spec.http[0].headers.request"),
    "prefix without prefix": (VS, rule("match: [{uri: {exact: /a}}], redirect: {prefixRewrite: /b}"), "spec.http[0].match[0].uri"),
    "rewrite with nothing": (VS, rule(f"{ROUTE}, rewrite: {{uriRegexRewrite: {{match: a}}}}"), "spec.http[0].rewrite.uriRegexRewrite.rewrite"),
    "no try, and where": (VS, rule(f"{ROUTE}, retries: {{retryRemoteLocalities: false}}"), "spec.http[0].retries.attempts"),
    "a try of nothing": (VS, rule(f"{ROUTE}, retries: {{attempts: 1, perTryTimeout: 900us}}"), "spec.http[0].retries.perTryTimeout"),
    "large body": (VS, rule(f"directResponse: {{status: 200, body: {{string: {'a' * (1024 * 1024 + 1)}}}}}"), "spec.http[0].directResponse.body"),
    "no base64": (VS, rule("directResponse: {status: 200, body: {bytes: a}}"), "spec.http[0].directResponse.body.bytes"),
    "header of cors": (VS, rule(f"{ROUTE}, corsPolicy: {{exposeHeaders: ['']}}"), "spec.http[0].corsPolicy.exposeHeaders[0]"),
    "origin of cors": (VS, rule(f"{ROUTE}, corsPolicy: {{allowOrigins: [{{}}]}}"), "spec.http[0].corsPolicy.allowOrigins[0]"),
    "gateway of all": (VS, f"{{hosts: [web], gateways: ['*/front'], http: [{{{ROUTE}}}]}}", "spec.gateways[0]"),
    "gateway with a slip": (VS, f"{{hosts: [web], gateways: [fr@nt], http: [{{{ROUTE}}}]}}", "spec.gateways[0]"),
    "claims in sidecars": (
        VS,
        rule(f"match: [{{withoutHeaders: {{'@request.auth.claims.sub': {{exact: a}}}}}}], {ROUTE}"),
        "spec.http[0].match[0].withoutHeaders[@request.auth.claims.sub]",
    ),
    "roots and no verification": (DR, policy("tls: {mode: SIMPLE, insecureSkipVerify: true, credentialName: a}"), "spec.trafficPolicy.tls.insecureSkipVerify"),
    "two protocols": (DR, policy("connectionPool: {http: {useClientProtocol: true, h2UpgradePolicy: UPGRADE}}"), "spec.trafficPolicy.connectionPool.http"),
    "uncounted failures": (DR, policy("outlierDetection: {consecutiveLocalOriginFailures: 3}"), "spec.trafficPolicy.outlierDetection.consecutiveLocalOriginFailures"),
    "attribute twice": (
        DR,
        policy("loadBalancer: {consistentHash: {httpCookie: {name: a, attributes: [{name: b}, {name: b}]}}}"),
        "spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.attributes[1].name",
    ),
    "part of a name": (GW, "{servers: [{hosts: ['*shop.com'], port: {number: 80, name: h, protocol: HTTP}}]}", "spec.servers[0].hosts[0]"),
    "three certificates": (
        GW,
        f"{{servers: [{{{TLS} {{mode: SIMPLE, tlsCertificates: [{', '.join(['{serverCertificate: a, privateKey: b}'] * 3)}]}}}}]}}",
        "spec.servers[0].tls.tlsCertificates",
    ),
    "endpoint's port": (SE, f"{{hosts: [a.b], {PORTS}, resolution: STATIC, endpoints: [{{address: 192.0.2.1, ports: {{grpc: 1}}}}]}}", "spec.endpoints[0].ports.grpc"),
    "service's port": (SE, "{hosts: [a.b], ports: [{number: 80, name: a_b, protocol: HTTP}]}", "spec.ports[0].name"),
    "workload's port": (WE, "{address: 192.0.2.1, ports: {'a/b': 80}}", "spec.ports[a/b]"),
    "socket's folder": (WE, "{address: 'unix:///run/'}", "spec.address"),
    "listener twice": (
        SC,
        "{egress: [{port: {number: 80}, hosts: ['./*']}, {port: {number: 80}, hosts: ['*/*']}]}",
        "spec.egress[1].port",
    ),
    "captured socket": (SC, "{egress: [{port: {protocol: HTTP}, bind: 'unix:///a', captureMode: IPTABLES, hosts: ['./*']}]}", "spec.egress[0].captureMode"),
    "part of a host": (SC, "{egress: [{hosts: ['./*shop.com']}]}", "spec.egress[0].hosts[0]"),
    "proxy for nothing": (SC, "{outboundTrafficPolicy: {egressProxy: {host: a.b, port: {number: 80}}}}", "spec.outboundTrafficPolicy.egressProxy"),
    "proxy without port": (SC, "{outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: a.b}}}", "spec.outboundTrafficPolicy.egressProxy.port"),
    "tls of plain text": (SC, "{ingress: [{port: {number: 80, protocol: HTTP}, tls: {mode: ISTIO_MUTUAL}}]}", "spec.ingress[0].tls"),
    "no port": (GW, "{servers: [{hosts: ['*'], port: {name: h, protocol: HTTP}}]}", "spec.servers[0].port.number"),
    "one host": (SE, f"{{hosts: [a.b], {PORTS}, resolution: DYNAMIC_DNS}}", "spec.hosts[0]"),
    "address of any host": (SE, f"{{hosts: ['*.b'], {PORTS}, addresses: [192.0.2.1], resolution: DYNAMIC_DNS}}", "spec.addresses"),
    "no port's mode": (PA, "{selector: {matchLabels: {a: b}}, portLevelMtls: {}}", "spec.portLevelMtls"),
    "claim's header": (RA, "{jwtRules: [{issuer: a, jwks: '{\"keys\": []}', outputClaimToHeaders: [{header: a%b, claim: c}]}]}", "spec.jwtRules[0].outputClaimToHeaders[0].header"),
    "strange target": (AP, "{targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: a}]}", "spec.targetRefs[0].kind"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "spec", "path"), REFUSED.values(), ids=REFUSED)
def test_refused(errors: Listed, kind: str, spec: str, path: str) -> None:
    [(at, message, fix)] = errors(kind, spec)
    assert at == path
    assert message
    assert fix


WARNED = {
    "selects all": (AP, "{selector: {}}", "spec.selector"),
    "selects all callers": (DR, "{host: web, workloadSelector: {}}", "spec.workloadSelector"),
    "selects all sidecars": (SC, "{egress: [{hosts: ['*/*']}], workloadSelector: {}}", "spec.workloadSelector"),
    "sets nothing": (SC, "{}", "spec"),
    "all and more": (SC, "{egress: [{hosts: ['*/*', ./a.b]}]}", "spec.egress[0].hosts[1]"),
    "a namespace and more": (SC, "{egress: [{hosts: [./a.b, './*']}]}", "spec.egress[0].hosts[0]"),
    "requests of tcp": (
        SC,
        "{ingress: [{port: {number: 80, protocol: TCP}, connectionPool: {http: {maxRetries: 1}}}]}",
        "spec.ingress[0].connectionPool.http",
    ),
    "selector of nothing": (SE, f"{{hosts: [a.b], {PORTS}, workloadSelector: {{labels: {{a: b}}}}}}", "spec.workloadSelector"),
    "no such suite": (GW, f"{{servers: [{{{TLS} {{mode: SIMPLE, credentialName: a, cipherSuites: [ROT13]}}}}]}}", "spec.servers[0].tls.cipherSuites[0]"),
    "empty suite": (GW, f"{{servers: [{{{TLS} {{mode: SIMPLE, credentialName: a, cipherSuites: ['']}}}}]}}", "spec.servers[0].tls.cipherSuites[0]"),
    "suite twice": (GW, f"{{servers: [{{{TLS} {{mode: SIMPLE, credentialName: a, cipherSuites: [AES128-SHA, AES128-SHA]}}}}]}}", "spec.servers[0].tls.cipherSuites[1]"),
    "unused roots": (GW, f"{{servers: [{{{TLS} {{mode: PASSTHROUGH, caCrl: a}}}}]}}", "spec.servers[0].tls.caCrl"),
    "unused certificate": (GW, f"{{servers: [{{{TLS} {{mode: SIMPLE, credentialName: a, serverCertificate: b}}}}]}}", "spec.servers[0].tls.privateKey"),
    "private key": (RA, "{jwtRules: [{issuer: a, jwks: '{\"keys\": [{\"kty\": \"EC\", \"d\": \"a\"}]}'}]}", "spec.jwtRules[0].jwks"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "spec", "path"), WARNED.values(), ids=WARNED)
def test_warned_of(warnings: Listed, kind: str, spec: str, path: str) -> None:
    [(at, code, fix)] = warnings(kind, spec)
    assert at == path
    assert code
    assert fix


@pytest.mark.parametrize(
    "value", ["", "a", "100%%", "%REQ(x-user)%", "a %START_TIME(%s)% b", "%HOSTNAME%", "%REQ(a):10%"]
)
def test_formats_of_header_values(errors: Listed, value: str) -> None:
    assert errors(VS, rule(f"{ROUTE}, headers: {{request: {{set: {{x-a: '{value}'}}}}}}")) == []


def test_a_long_value_is_answered_in_time(errors: Listed) -> None:
    """A pattern that tries every way to read it would not end."""
    [(at, *_)] = errors(VS, rule(f"{ROUTE}, headers: {{request: {{set: {{x-a: '{'%A()%' * 200}%'}}}}}}"))
    assert at == "spec.http[0].headers.request.set.x-a"


@pytest.mark.parametrize(
    ("kind", "spec", "value", "severity"),
    [
        (AP, {}, "true", None),
        (AP, {}, "F", None),
        (AP, {}, "yes", Severity.ERROR),
        (AP, {"action": "AUDIT", "rules": [{}]}, "true", Severity.ERROR),
        (PA, {}, "true", Severity.WARNING),
        (RA, {}, "true", Severity.WARNING),
    ],
)
def test_what_can_be_tried_out(kind: str, spec: object, value: str, severity: Severity | None) -> None:
    """A policy that is in force anyway must not close its workloads for the sake of an annotation."""
    metadata = {"name": "a", "annotations": {"istio.io/dry-run": value}}
    found = decode({"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec})
    assert [problem.severity for problem in found.problems] == ([severity] if severity else [])
    assert found.rejected is (severity is Severity.ERROR)


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [("extensions.istio.io/v1alpha1", "TrafficExtension"), ("install.istio.io/v1alpha1", "IstioOperator")],
)
def test_kinds_of_istio_without_effect(api_version: str, kind: str) -> None:
    """They are named, and nothing else suffers from them."""
    found = decode({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": {}})
    assert [problem.severity for problem in found.problems] == [Severity.WARNING]
    assert not found.rejected
