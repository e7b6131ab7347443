"""VirtualService: what is accepted, and what is refused or warned about."""

# ruff: noqa: E501  (tables of YAML read best with a case on a line)

from collections.abc import Callable
from datetime import timedelta

import pytest
import yaml

from weft_core.model.decode import Decoded
from weft_core.model.virtual_service import HTTPRoute, VirtualService
from weft_core.problems import Code

Listed = Callable[[str, str], list[tuple[str, str, str]]]
ROUTE = "route: [{destination: {host: r}}]"

EVERYTHING = """
hosts: [reviews, "*.example.com", 10.0.0.1]
gateways: [mesh, shop/front, edge]
exportTo: [., other]
http:
- name: first
  match:
  - name: a
    uri: {prefix: /api}
    scheme: {exact: https}
    method: {regex: GET|POST}
    authority: {exact: shop}
    headers: {end-user: {exact: jason}, x-any: {}, x-group: {exact: dev}}
    withoutHeaders: {x-debug: {regex: "*"}}
    queryParams: {q: {prefix: a}}
    port: 80
    ignoreUriCase: true
    sourceLabels: {app: web}
    sourceNamespace: shop
    gateways: [mesh]
    statPrefix: p
  route:
  - destination: {host: reviews, subset: v1, port: {number: 80}}
    weight: 90
    headers: {request: {set: {a: b}, add: {c: d}, remove: [e]}, response: {set: {f: g}}}
  - {destination: {host: reviews, subset: v2}, weight: 10}
  rewrite: {uriRegexRewrite: {match: ^/a/(.*)$, rewrite: '/\\1'}, authority: other}
  timeout: 1m30s
  retries:
    attempts: 3
    perTryTimeout: 2s
    retryOn: 5xx,503, connect-failure
    retryRemoteLocalities: true
    retryIgnorePreviousHosts: false
    backoff: 25ms
  fault:
    delay: {fixedDelay: 5s, percentage: {value: 0.1}}
    abort: {httpStatus: 503, percentage: {value: 50}}
  mirrors: [{destination: {host: copy}, percentage: {value: 1}}]
  corsPolicy:
    allowOrigins: [{prefix: https://}]
    allowMethods: [GET]
    allowHeaders: [x]
    exposeHeaders: [y]
    maxAge: 24h
    allowCredentials: true
    unmatchedPreflights: IGNORE
  headers: {response: {remove: [server]}}
- match: [{uri: {exact: /old}}]
  redirect: {uri: /new, authority: new, port: 8080, scheme: https, redirectCode: 308}
- match: [{uri: {exact: /teapot}}]
  directResponse: {status: 418, body: {string: short}}
- match: [{uri: {prefix: /team}}]
  delegate: {name: team, namespace: team}
- route: [{destination: {host: reviews}}]
  mirror: {host: copy}
  mirrorPercentage: {value: 5}
tls:
- match: [{sniHosts: ["*.example.com"], port: 443, destinationSubnets: [10.0.0.0/8], sourceLabels: {a: b}, gateways: [mesh]}]
  route: [{destination: {host: db}}]
tcp:
- match: [{port: 27017, sourceNamespace: shop}]
  route: [{destination: {host: db}, weight: 1}, {destination: {host: db2}, weight: 3}]
"""


def test_every_field_is_read(read: Callable[[str, str], Decoded]) -> None:
    decoded = read("VirtualService", EVERYTHING)
    assert decoded.problems == ()
    assert decoded.object is not None
    spec = decoded.object.spec  # type: ignore[union-attr]
    assert isinstance(spec, VirtualService)
    rule = spec.http[0]
    assert rule.timeout == timedelta(seconds=90)
    assert rule.retries is not None
    assert rule.retries.backoff == timedelta(milliseconds=25)
    assert rule.match[0].headers["end-user"].exact == "jason"
    assert rule.match[0].headers["x-any"].is_present_match
    assert [r.weight for r in rule.route] == [90, 10]
    assert spec.tls[0].match[0].sni_hosts == ("*.example.com",)
    assert hash(spec) == hash(VirtualService.model_validate(spec.model_dump()))


def test_a_timeout_of_zero_switches_it_off(errors: Listed) -> None:
    assert errors("VirtualService", f"{{hosts: [r], http: [{{timeout: 0s, {ROUTE}}}]}}") == []


REFUSED = {
    "no rules": ("{hosts: [r]}", "spec", "there are no rules"),
    "no action": ("{hosts: [r], http: [{name: a}]}", "spec.http[0]", "says nothing about what to do"),
    "two actions": (f"{{hosts: [r], http: [{{{ROUTE}, redirect: {{uri: /}}}}]}}", "spec.http[0]", "route and redirect"),
    "redirect changes nothing": ("{hosts: [r], http: [{redirect: {}}]}", "spec.http[0].redirect", "changes nothing"),
    "redirect code": (
        "{hosts: [r], http: [{redirect: {uri: /, redirectCode: 200}}]}",
        "spec.http[0].redirect.redirectCode",
        "200 does not redirect",
    ),
    "fault on a redirect": (
        "{hosts: [r], http: [{redirect: {uri: /}, fault: {abort: {httpStatus: 500, percentage: {value: 1}}}}]}",
        "spec.http[0].fault",
        "no effect on a redirect",
    ),
    "weights of zero": (
        "{hosts: [r], http: [{route: [{destination: {host: a}}, {destination: {host: b}}]}]}",
        "spec.http[0].route",
        "sum to 0",
    ),
    "negative weight": (
        "{hosts: [r], http: [{route: [{destination: {host: a}, weight: -1}]}]}",
        "spec.http[0].route[0].weight",
        "-1 is below 0",
    ),
    "star for the mesh": (f"{{hosts: ['*'], http: [{{{ROUTE}}}]}}", "spec.hosts[0]", "every sidecar"),
    "host twice": (f"{{hosts: [r, R], http: [{{{ROUTE}}}]}}", "spec.hosts[1]", "listed twice"),
    "url as host": (f"{{hosts: ['http://r'], http: [{{{ROUTE}}}]}}", "spec.hosts[0]", "not a host name"),
    "star as destination": (
        "{hosts: [r], http: [{route: [{destination: {host: '*'}}]}]}",
        "spec.http[0].route[0].destination.host",
        "no service",
    ),
    "empty header prefix": (
        f"{{hosts: [r], http: [{{match: [{{headers: {{a: {{prefix: ''}}}}}}], {ROUTE}}}]}}",
        "spec.http[0].match[0].headers.a.prefix",
        "empty",
    ),
    "empty regex": (
        f"{{hosts: [r], http: [{{match: [{{uri: {{regex: ''}}}}], {ROUTE}}}]}}",
        "spec.http[0].match[0].uri.regex",
        "empty",
    ),
    "look-ahead": (
        f"{{hosts: [r], http: [{{match: [{{uri: {{regex: '(?!a)b'}}}}], {ROUTE}}}]}}",
        "spec.http[0].match[0].uri.regex",
        "look-ahead",
    ),
    "two matchers": (
        f"{{hosts: [r], http: [{{match: [{{uri: {{exact: a, prefix: b}}}}], {ROUTE}}}]}}",
        "spec.http[0].match[0].uri",
        "exact and prefix exclude each other",
    ),
    "uri without matcher": (
        f"{{hosts: [r], http: [{{match: [{{uri: {{}}}}], {ROUTE}}}]}}",
        "spec.http[0].match[0].uri",
        "matched with nothing",
    ),
    "header name": (
        f"{{hosts: [r], http: [{{match: [{{headers: {{'a b': {{exact: c}}}}}}], {ROUTE}}}]}}",
        "spec.http[0].match[0].headers[a b]",
        "not a header name",
    ),
    "retry condition": (
        f"{{hosts: [r], http: [{{retries: {{attempts: 1, retryOn: sometimes}}, {ROUTE}}}]}}",
        "spec.http[0].retries.retryOn",
        "`sometimes` is not a retry condition",
    ),
    "retries off and described": (
        f"{{hosts: [r], http: [{{retries: {{attempts: 0, retryOn: 5xx}}, {ROUTE}}}]}}",
        "spec.http[0].retries.attempts",
        "switched off",
    ),
    "percentage": (
        f"{{hosts: [r], http: [{{fault: {{abort: {{httpStatus: 500, percentage: {{value: 101}}}}}}, {ROUTE}}}]}}",
        "spec.http[0].fault.abort.percentage.value",
        "101 is above 100",
    ),
    "empty fault": (f"{{hosts: [r], http: [{{fault: {{}}, {ROUTE}}}]}}", "spec.http[0].fault", "empty"),
    "abort without status": (
        f"{{hosts: [r], http: [{{fault: {{abort: {{percentage: {{value: 1}}}}}}, {ROUTE}}}]}}",
        "spec.http[0].fault.abort",
        "no status",
    ),
    "grpc status": (
        f"{{hosts: [r], http: [{{fault: {{abort: {{grpcStatus: Broken, percentage: {{value: 1}}}}}}, {ROUTE}}}]}}",
        "spec.http[0].fault.abort.grpcStatus",
        "no gRPC status",
    ),
    "method": (
        f"{{hosts: [r], http: [{{corsPolicy: {{allowMethods: [get]}}, {ROUTE}}}]}}",
        "spec.http[0].corsPolicy.allowMethods[0]",
        "no HTTP method",
    ),
    "mirror twice": (
        f"{{hosts: [r], http: [{{mirror: {{host: a}}, mirrors: [{{destination: {{host: b}}}}], {ROUTE}}}]}}",
        "spec.http[0]",
        "mirror and mirrors",
    ),
    "delegate with gateways": (f"{{gateways: [g], http: [{{{ROUTE}}}]}}", "spec.gateways", "a delegate has no"),
    "delegate of a delegate": ("{http: [{delegate: {name: a}}]}", "spec.http[0].delegate", "cannot delegate again"),
    "gateway name": (f"{{hosts: [r], gateways: [a/b/c], http: [{{{ROUTE}}}]}}", "spec.gateways[0]", "not the name"),
    "export": (f"{{hosts: [r], exportTo: ['*', a], http: [{{{ROUTE}}}]}}", "spec.exportTo", "stand alone"),
    "sni missing": (
        f"{{hosts: [r], tls: [{{match: [{{port: 443}}], {ROUTE}}}]}}",
        "spec.tls[0].match[0].sniHosts",
        "missing",
    ),
    "empty tcp route": ("{hosts: [r], tcp: [{route: []}]}", "spec.tcp[0].route", "it is empty"),
    "port": (
        f"{{hosts: [r], http: [{{match: [{{port: 70000}}], {ROUTE}}}]}}",
        "spec.http[0].match[0].port",
        "70000 is above 65535",
    ),
    "rewrite changes nothing": (
        f"{{hosts: [r], http: [{{rewrite: {{}}, {ROUTE}}}]}}",
        "spec.http[0].rewrite",
        "nothing",
    ),
    "status": (
        "{hosts: [r], http: [{directResponse: {status: 42}}]}",
        "spec.http[0].directResponse.status",
        "below 200",
    ),
}


@pytest.mark.parametrize(("spec", "path", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(errors: Listed, spec: str, path: str, words: str) -> None:
    [(at, message, fix)] = errors("VirtualService", spec)
    assert at == path
    assert words in message
    assert fix


WARNED = {
    "rule behind a catch-all": (
        f"{{hosts: [r], http: [{{{ROUTE}}}, {{match: [{{uri: {{exact: /a}}}}], {ROUTE}}}]}}",
        "spec.http[1]",
        Code.VIRTUAL_SERVICE_UNREACHABLE_RULE,
    ),
    "the same match twice": (
        f"{{hosts: [r], http: [{{match: [{{name: x, uri: {{exact: /a}}}}], {ROUTE}}}, "
        f"{{match: [{{name: y, uri: {{exact: /a}}}}], {ROUTE}}}]}}",
        "spec.http[1].match[0]",
        Code.VIRTUAL_SERVICE_INEFFECTIVE_MATCH,
    ),
    "fault without percentage": (
        f"{{hosts: [r], http: [{{fault: {{abort: {{httpStatus: 500}}}}, {ROUTE}}}]}}",
        "spec.http[0].fault.abort",
        Code.FAULT_NEVER_FIRES,
    ),
    "weight left out beside others": (
        "{hosts: [r], http: [{route: [{destination: {host: a}, weight: 9}, {destination: {host: b}}]}]}",
        "spec.http[0].route[1]",
        Code.SCHEMA_WARNING,
    ),
    "allowOrigin": (
        f"{{hosts: [r], http: [{{corsPolicy: {{allowOrigin: [a]}}, {ROUTE}}}]}}",
        "spec.http[0].corsPolicy.allowOrigin",
        Code.DEPRECATED,
    ),
    "regex in any case": (
        f"{{hosts: [r], http: [{{match: [{{uri: {{regex: a}}, ignoreUriCase: true}}], {ROUTE}}}]}}",
        "spec.http[0].match[0].ignoreUriCase",
        Code.SCHEMA_WARNING,
    ),
}


@pytest.mark.parametrize(("spec", "path", "code"), WARNED.values(), ids=WARNED)
def test_warned_about_and_accepted(warnings: Listed, spec: str, path: str, code: str) -> None:
    [(at, found, fix)] = warnings("VirtualService", spec)
    assert (at, found) == (path, code)
    assert fix


def test_all_mistakes_are_told_at_once(errors: Listed) -> None:
    spec = "{hosts: ['a b'], http: [{route: [{destination: {host: 'x y'}, weight: many}], timeout: soon}]}"
    assert [path for path, *_ in errors("VirtualService", spec)] == [
        "spec.hosts[0]",
        "spec.http[0].route[0].destination.host",
        "spec.http[0].route[0].weight",
        "spec.http[0].timeout",
    ]


@pytest.mark.parametrize(
    ("match", "expected"),
    [("[]", True), ("[{uri: {prefix: /}}]", True), ("[{uri: {prefix: ''}}]", True), ("[{uri: {regex: .*}}]", True), ("[{uri: {prefix: /a}}]", False),
     ("[{uri: {prefix: /}, port: 80}]", False), ("[{uri: {exact: /a}}, {}]", True)],
)  # fmt: skip
def test_catch_all(match: str, expected: bool) -> None:
    rule = HTTPRoute.model_validate({"match": yaml.safe_load(match)})
    assert rule.is_catch_all is expected


def test_a_destination_may_be_a_wildcard_of_a_service_entry(errors: Listed) -> None:
    """Its cluster has the same name, and the address is the one that was dialled."""
    assert errors("VirtualService", "{hosts: ['*.a.b'], http: [{route: [{destination: {host: '*.a.b'}}]}]}") == []


@pytest.mark.parametrize(
    ("rules", "path", "code"),
    [
        ("tcp: [{route: [A]}, {match: [{port: 1}], route: [B]}]", "spec.tcp[1]", Code.VIRTUAL_SERVICE_UNREACHABLE_RULE),
        ("tcp: [{match: [{}], route: [A]}, {route: [B]}]", "spec.tcp[1]", Code.VIRTUAL_SERVICE_UNREACHABLE_RULE),
        (
            "tcp: [{match: [{port: 1}], route: [A]}, {match: [{port: 2}, {port: 1}], route: [B]}]",
            "spec.tcp[1].match[1]",
            Code.VIRTUAL_SERVICE_INEFFECTIVE_MATCH,
        ),
        (
            "tls: [{match: [{sniHosts: [a.b]}], route: [A]}, {match: [{sniHosts: [a.b]}], route: [B]}]",
            "spec.tls[1].match[0]",
            Code.VIRTUAL_SERVICE_INEFFECTIVE_MATCH,
        ),
    ],
)
def test_rules_for_connections_that_nothing_reaches(warnings: Listed, rules: str, path: str, code: str) -> None:
    for letter in "AB":
        rules = rules.replace(f"[{letter}]", f"[{{destination: {{host: {letter.lower()}}}}}]")
    [(at, found, _fix)] = warnings("VirtualService", f"{{hosts: [a.b], {rules}}}")
    assert (at, found) == (path, code)
