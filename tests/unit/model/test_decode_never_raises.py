"""Whatever is written, decoding answers with an object or with problems, and never raises."""

# ruff: noqa: E501  (tables of YAML read best with a case on a line)

import copy
import random
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from weft_core.model.decode import decode
from weft_core.model.kinds import KINDS, MESH_KINDS
from weft_core.problems import Severity

JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 2**40), st.floats(), st.text(max_size=12),
    st.sampled_from(["*", "(", "1s", "5", "-1s", "a/b", "unix://", "~/*", "[::1]:99999", "\x00", "{*", "😀", " "]),
    st.lists(st.one_of(st.none(), st.text(max_size=3), st.integers()), max_size=3),
    st.dictionaries(st.text(max_size=5), st.one_of(st.none(), st.text(max_size=3), st.lists(st.none(), max_size=2)), max_size=3),
)  # fmt: skip

GOOD = [
    ("VirtualService", """
hosts: [reviews]
gateways: [mesh]
exportTo: [.]
http:
- match: [{uri: {prefix: /a}, headers: {x: {regex: a.*}}, port: 80, gateways: [mesh]}]
  route: [{destination: {host: r, subset: s, port: {number: 80}}, weight: 1, headers: {request: {set: {a: b}}}}]
  timeout: 1s
  retries: {attempts: 1, retryOn: 5xx}
  fault: {delay: {fixedDelay: 1s, percentage: {value: 1}}}
  corsPolicy: {allowOrigins: [{exact: a}], maxAge: 1s}
- redirect: {uri: /, port: 1}
tls: [{match: [{sniHosts: [a]}], route: [{destination: {host: a}}]}]
tcp: [{match: [{destinationSubnets: [10.0.0.0/8]}], route: [{destination: {host: a}}]}]
"""),
    ("DestinationRule", """
host: r
trafficPolicy:
  loadBalancer: {consistentHash: {httpCookie: {name: a, ttl: 1s}, maglev: {tableSize: 7}}, localityLbSetting: {distribute: [{from: a, to: {b: 100}}]}}
  connectionPool: {tcp: {tcpKeepalive: {time: 1s}}, http: {maxRetries: 1}}
  outlierDetection: {interval: 1s, consecutiveErrors: 1}
  tls: {mode: SIMPLE}
  portLevelSettings: [{port: {number: 80}}]
subsets: [{name: a, labels: {a: b}}]
workloadSelector: {matchLabels: {a: b}}
"""),
    ("Gateway", "{selector: {a: b}, servers: [{port: {number: 443, protocol: HTTPS, name: a}, hosts: [a/b.c], tls: {mode: SIMPLE, credentialName: a}}]}"),
    ("ServiceEntry", "{hosts: [a.b], addresses: [10.0.0.0/8], ports: [{number: 1, name: a, protocol: TCP}], resolution: STATIC, endpoints: [{address: 1.2.3.4, ports: {a: 1}}]}"),
    ("WorkloadEntry", "{address: 10.0.0.1, ports: {a: 1}, labels: {a: b}, weight: 1}"),
    ("Sidecar", "{workloadSelector: {labels: {a: b}}, ingress: [{port: {number: 1, protocol: HTTP}, defaultEndpoint: '127.0.0.1:1'}], egress: [{hosts: [./*], bind: 1.2.3.4, port: {number: 2, protocol: TCP}}]}"),
    ("PeerAuthentication", "{selector: {matchLabels: {a: b}}, mtls: {mode: STRICT}, portLevelMtls: {80: {mode: DISABLE}}}"),
    ("RequestAuthentication", "{jwtRules: [{issuer: a, jwksUri: 'https://a:1/b', fromHeaders: [{name: a}], timeout: 1s}]}"),
    ("AuthorizationPolicy", "{action: DENY, rules: [{from: [{source: {namespaces: [a], ipBlocks: [10.0.0.0/8]}}], to: [{operation: {paths: [/a], ports: ['1']}}], when: [{key: source.ip, values: [1.2.3.4]}]}]}"),
    ("Service", "{ports: [{port: 1, targetPort: a}], selector: {a: b}, clusterIP: 10.0.0.1}"),
    ("Pod", "{containers: [{name: a, ports: [{containerPort: 1}]}], serviceAccountName: a}"),
    ("Deployment", "{replicas: 1, template: {metadata: {labels: {a: b}}, spec: {containers: []}}}"),
]  # fmt: skip
API = {kind.kind: kind.api_versions[0] for kind in KINDS}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


def mutated(document: Any, junk: Any, seed: int) -> Any:
    """The document with one place replaced, removed, renamed, wrapped or doubled."""
    chance = random.Random(seed)
    path = chance.choice(places(document)[1:])
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    last = path[-1]
    match chance.randrange(5):
        case 0:
            parent[last] = junk
        case 1:
            del parent[last]
        case 2 if isinstance(parent, dict):
            parent[str(junk)[:10]] = parent.pop(last)
        case 3:
            parent[last] = [parent[last]]
        case _:
            parent[last] = {"a": parent[last], str(last): junk}
    return document


def document(kind: str, spec: str) -> dict[str, Any]:
    return {
        "apiVersion": API[kind],
        "kind": kind,
        "metadata": {"name": "a", "namespace": "b", "labels": {"a": "b"}, "annotations": {"c": "d"}},
        "spec": yaml.safe_load(spec),
    }


@pytest.mark.parametrize(("kind", "spec"), GOOD, ids=[kind for kind, _ in GOOD])
def test_the_seeds_are_good(kind: str, spec: str) -> None:
    assert decode(document(kind, spec)).object is not None, decode(document(kind, spec)).problems


def test_every_mesh_kind_is_mutated() -> None:
    assert {kind.kind for kind in MESH_KINDS} <= {kind for kind, _ in GOOD}


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(GOOD), st.lists(st.tuples(JUNK, st.integers(0, 2**30)), min_size=1, max_size=4))
def test_mutated_objects(good: tuple[str, str], changes: list[tuple[Any, int]]) -> None:
    broken = document(*good)
    for junk, seed in changes:
        broken = mutated(broken, copy.deepcopy(junk), seed)
        if len(places(broken)) < 2:
            break
    decoded = decode(broken)
    refused = any(p.severity is Severity.ERROR for p in decoded.problems)
    assert (decoded.object is None) or not refused
    for problem in decoded.problems:
        assert problem.message
        assert str(problem).isprintable()
    if decoded.object is not None and good[0] in {kind.kind for kind in MESH_KINDS}:
        assert hash(decoded.object) == hash(decode(broken).object)


@given(st.recursive(JUNK, lambda inner: st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8))
def test_junk(value: object) -> None:
    decode(value)


def test_nesting_without_end_is_refused() -> None:
    spec: Any = "end"
    for _ in range(3000):
        spec = {"http": [spec]}
    decoded = decode({**document(*GOOD[0]), "spec": spec})
    assert decoded.rejected
