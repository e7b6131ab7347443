"""Small random meshes: objects as users write them, edits of them, and proxies that watch.

Objects are put together from the features in `fragments.yaml`; whatever is drawn is decoded as a file's content would
be. Nothing that is drawn is refused, so that every example is a mesh that Weft has to serve, but for security policies
now and then, which leave their guards.
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import settings
from hypothesis import strategies as st

from weft_core.ingest import CONFIG_KINDS
from weft_core.model.decode import decode
from weft_core.model.guard import PROTECTIVE_KINDS, Guard
from weft_core.model.kinds import KINDS
from weft_core.model.mesh_config import MeshConfig
from weft_core.problems import ObjectRef
from weft_core.proxy import LocalPorts, ProxyId, ProxyKind
from weft_core.registry import MESH, Registry, Settings

settings.register_profile("default", deadline=None, derandomize=True, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=500, print_blob=True)
settings.load_profile(os.environ.get("WEFT_HYPOTHESIS_PROFILE", "default"))

PROXIES = (
    ProxyId(ProxyKind.SIDECAR, "shop", "web-0"),
    ProxyId(ProxyKind.SIDECAR, "shop", "api-0"),
    ProxyId(ProxyKind.SIDECAR, "bank", "api-0"),
    ProxyId(ProxyKind.GATEWAY, "edge", "gw-0"),
)
TABLES: Mapping[str, str] = {
    **CONFIG_KINDS,
    "Service": "services",
    "EndpointSlice": "endpoint_slices",
    "Pod": "pods",
    "Node": "nodes",
    "Secret": "secrets",
    "MeshConfig": "mesh_config",
    "LocalPorts": "local_ports",
}
"""Kind → the registry's table of it."""
API_VERSIONS = {kind.kind: kind.api_versions[0] for kind in KINDS}
FRAGMENTS: Mapping[str, list[Any]] = yaml.safe_load(
    Path(__file__).with_name("fragments.yaml").read_text(encoding="utf-8")
)
Document = dict[str, Any]  # an object without apiVersion, kind and name


class Address(NamedTuple):
    """Which object."""

    kind: str
    namespace: str
    name: str


class Edit(NamedTuple):
    """An object's new content, or None where it is removed."""

    address: Address
    content: Any


# how objects are drawn


def one(name: str) -> st.SearchStrategy[Any]:
    """One of these fragments."""
    return st.sampled_from(FRAGMENTS[name])


def maybe(name: str) -> st.SearchStrategy[Any]:
    """One of these fragments, or None."""
    return st.sampled_from([None, *FRAGMENTS[name]])


def some(name: str, at_most: int = 2, *, at_least: int = 0) -> st.SearchStrategy[list[Any]]:
    """A few of these fragments, none twice."""
    items = FRAGMENTS[name]
    indexes = st.lists(st.sampled_from(range(len(items))), min_size=at_least, max_size=at_most, unique=True)
    return indexes.map(lambda chosen: [items[index] for index in chosen])


def present(**fields: Any) -> dict[str, Any]:
    """The fields that have a value; a final underscore hides Python's own words."""
    return {key.rstrip("_"): value for key, value in fields.items() if value not in (None, "", [], {})}


def spec(of: st.SearchStrategy[Any]) -> st.SearchStrategy[Document]:
    """Documents with this spec."""
    return of.map(lambda drawn: {"spec": drawn})


@st.composite
def destinations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """One destination, or two with weights: services with or without subset and port, known or not."""
    weights = draw(st.sampled_from([(None,), (None,), (90, 10), (1, 0)]))
    hosts = st.sampled_from([*FRAGMENTS["hosts"], FRAGMENTS["outside"][0], "nowhere"])
    subsets, ports = st.sampled_from([None, "v1", "v2", "missing"]), st.sampled_from([None, 80, 6379])
    return [
        present(
            weight=weight,
            destination=present(host=draw(hosts), subset=draw(subsets), port=present(number=draw(ports))),
        )
        for weight in weights
    ]


@st.composite
def http_rule(draw: st.DrawFn) -> dict[str, Any]:
    """One HTTP rule: it sends requests on, or answers them."""
    match = draw(some("matches"))
    if draw(st.integers(0, 5)) == 0:
        answer: dict[str, Any] = draw(one("answers"))
        return present(match=match) | answer
    features = {key: value for feature in draw(some("features", 3)) for key, value in feature.items()}
    if "mirror" in features:
        features.pop("mirrors", None)
    return present(match=match, route=draw(destinations()), **features)


@st.composite
def virtual_service(draw: st.DrawFn) -> dict[str, Any]:
    """A VirtualService for the mesh, the gateway or both."""
    outside = FRAGMENTS["outside"]
    hosts = st.sampled_from([*FRAGMENTS["hosts"], *outside])
    route = [{"destination": {"host": draw(one("hosts"))}}]
    tls = [{"match": [{"port": 443, "sniHosts": outside[:1]}], "route": route}] if draw(st.booleans()) else None
    tcp_match = draw(st.sampled_from([None, [{"port": 6379}], [{"sourceLabels": {"version": "v1"}}]]))
    return present(
        hosts=outside[:1] if tls else draw(st.lists(hosts, min_size=1, max_size=2, unique=True)),
        gateways=draw(st.sampled_from([None, None, ["mesh"], ["edge/gw"], ["mesh", "edge/gw"]])),
        http=draw(st.lists(http_rule(), min_size=1, max_size=3)),
        tls=tls,
        tcp=[present(match=tcp_match, route=route)] if draw(st.booleans()) else None,
        exportTo=draw(one("exports")),
    )


@st.composite
def traffic_policy(draw: st.DrawFn, *, ports: bool = True) -> dict[str, Any]:
    """A traffic policy, perhaps with one port's own settings."""
    policy = present(
        loadBalancer=draw(maybe("balancers")),
        connectionPool=draw(maybe("pools")),
        outlierDetection=draw(maybe("outliers")),
        tls=draw(maybe("tls")),
    )
    if ports and draw(st.integers(0, 3)) == 0:
        policy["portLevelSettings"] = [{"port": {"number": 80}, **draw(traffic_policy(ports=False))}]
    return policy


@st.composite
def destination_rule(draw: st.DrawFn) -> dict[str, Any]:
    """A DestinationRule with up to two subsets."""
    hosts = [*FRAGMENTS["hosts"], FRAGMENTS["outside"][0], "*.example.com", "*.svc.cluster.local"]
    policies = st.none() | traffic_policy()
    return present(
        host=draw(st.sampled_from(hosts)),
        trafficPolicy=draw(policies),
        subsets=[
            present(name=version, labels={"version": version}, trafficPolicy=draw(policies))
            for version in draw(st.sampled_from([(), ("v1",), ("v1", "v2")]))
        ],
        exportTo=draw(one("exports")),
        workloadSelector=draw(st.sampled_from([None, None, {"matchLabels": {"app": "web"}}])),
    )


@st.composite
def service(draw: st.DrawFn) -> dict[str, Any]:
    """A Service with an address of its own, or headless."""
    address = draw(st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3", "None"]))
    return {"clusterIP": address, "selector": draw(one("labels")), "ports": draw(some("service_ports", 3, at_least=1))}


@st.composite
def service_entry(draw: st.DrawFn) -> dict[str, Any]:
    """A ServiceEntry of each resolution."""
    outside = FRAGMENTS["outside"]
    resolution = draw(st.sampled_from(["STATIC", "DNS", "NONE", "DNS_ROUND_ROBIN"]))
    selects = resolution == "STATIC" and draw(st.booleans())
    endpoint = present(
        address="1.1.1.1" if resolution == "STATIC" else "backend.example.com",
        locality=draw(st.sampled_from([None, "eu/a", "us"])),
        weight=draw(st.sampled_from([None, 3])),
        labels=draw(st.sampled_from([None, {"version": "v1"}])),
        serviceAccount=draw(st.sampled_from([None, "web"])),
    )
    return present(
        hosts=[draw(st.sampled_from(outside if resolution == "NONE" else outside[:2]))],
        ports=[draw(one("entry_ports"))],
        addresses=[draw(st.sampled_from(["10.9.0.1", "10.9.0.0/16"] if resolution == "NONE" else ["10.9.0.1"]))],
        resolution=resolution,
        location=draw(st.sampled_from(["MESH_EXTERNAL", "MESH_INTERNAL"])),
        endpoints=None if selects or resolution == "NONE" else [endpoint],
        workloadSelector={"labels": {"app": "web"}} if selects else None,
        exportTo=draw(one("exports")),
    )


@st.composite
def authorization_policy(draw: st.DrawFn) -> dict[str, Any]:
    """An AuthorizationPolicy with rules, with one that matches everything, or ALLOW with none, which denies all."""
    rule = present(
        from_=[{"source": source} for source in draw(some("sources"))],
        to=[{"operation": operation} for operation in draw(some("operations"))],
        when=draw(some("conditions")),
    )
    selector = draw(st.sampled_from([None, {"matchLabels": {"app": "web"}}]))
    action, rules = draw(
        st.sampled_from([("ALLOW", [rule]), ("DENY", [rule]), ("DENY", [rule, {}]), ("AUDIT", [rule]), ("ALLOW", [])])
    )
    return present(action=action, selector=selector, rules=rules)


@st.composite
def perhaps_unreadable(draw: st.DrawFn, documents: st.SearchStrategy[Document]) -> Document:
    """These documents, some with a field that no policy has."""
    document = draw(documents)
    mistake = draw(st.sampled_from([{}, {}, {}, {}, {"frobnicate": True}]))
    return {**document, "spec": {**document["spec"], **mistake}}


@st.composite
def endpoint_slice(draw: st.DrawFn) -> Document:
    """An EndpointSlice of one of the Services, with pods and bare addresses."""
    targets = st.sampled_from([None, "web-0", "api-0", "api-1"])
    ends = [
        present(
            addresses=[f"10.244.0.{index + 1}"],
            targetRef=present(kind="Pod", name=draw(targets)),
            conditions={"ready": draw(st.booleans())},
        )
        for index in range(draw(st.integers(0, 3)))
    ]
    numbers = st.sampled_from([8080, 9080])
    return {
        "metadata": {"labels": {"kubernetes.io/service-name": draw(st.sampled_from(["web", "api", "db"]))}},
        "endpoints": ends,
        "ports": [{"name": port["name"], "port": draw(numbers)} for port in draw(some("service_ports", 3))],
    }


@cache
def certificate() -> dict[str, str]:
    """A certificate of its own making with its key, as a Secret's entries; the same throughout a run."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.example.com")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, datetime(2020, 1, 1), datetime(2120, 1, 1)).sign(
        key, SHA256()
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain = made.public_bytes(Encoding.PEM)
    return {"tls.crt": chain.decode(), "tls.key": private.decode(), "ca.crt": chain.decode()}


LOCAL_PORTS = (
    LocalPorts(inbound=((8080, 30001),), application=((8080, 8888),), proxy=30010, readiness=30020),
    LocalPorts(inbound=((7001, 30002), (8080, 30001)), proxy=30011, readiness=30020),
)
DOCUMENTS: Mapping[str, tuple[st.SearchStrategy[Any], tuple[str, ...], tuple[str, ...]]] = {
    "VirtualService": (spec(virtual_service()), ("shop", "bank", "istio-system"), ("a", "b")),
    "DestinationRule": (spec(destination_rule()), ("shop", "bank", "istio-system"), ("a", "b")),
    "Service": (spec(service()), ("shop", "bank"), ("web", "api", "db")),
    "Pod": (one("pods"), ("shop", "bank", "edge"), ("web-0", "api-0", "api-1", "gw-0")),
    "EndpointSlice": (endpoint_slice(), ("shop", "bank"), ("s1", "s2")),
    "ServiceEntry": (spec(service_entry()), ("shop", "bank"), ("a", "b")),
    "Gateway": (
        spec(
            st.fixed_dictionaries(
                {"selector": st.sampled_from([{}, {"app": "web"}]), "servers": some("servers", 3, at_least=1)}
            )
        ),
        ("edge", "shop"),
        ("gw",),
    ),
    "Sidecar": (spec(one("sidecars")), ("shop", "bank", "istio-system"), ("a", "b")),
    "PeerAuthentication": (
        perhaps_unreadable(spec(one("peer_authentications"))),
        ("shop", "bank", "istio-system"),
        ("a", "b"),
    ),
    "AuthorizationPolicy": (
        perhaps_unreadable(spec(authorization_policy())),
        ("shop", "bank", "edge", "istio-system"),
        ("a", "b"),
    ),
    "RequestAuthentication": (
        perhaps_unreadable(spec(some("jwt_rules").map(lambda rules: {"jwtRules": rules}))),
        ("shop", "istio-system"),
        ("a",),
    ),
    "Node": (one("nodes"), ("",), ("node-a",)),
    "MeshConfig": (one("mesh_configs"), ("",), (MESH,)),
    "Secret": (st.sampled_from([{"stringData": {}}, {"stringData": certificate()}]), ("edge",), ("cert",)),
    "LocalPorts": (st.sampled_from(LOCAL_PORTS), ("bank",), ("api-0",)),
}
"""Kind → contents, namespaces and names."""

FREQUENT = ("VirtualService", "DestinationRule", "Service", "ServiceEntry") * 3
"""Kinds with so many features that they are worth more examples than the others."""


@st.composite
def edit(draw: st.DrawFn) -> Edit:
    """Something is written, or sometimes removed."""
    kind = draw(st.sampled_from([*DOCUMENTS, *FREQUENT]))
    contents, namespaces, names = DOCUMENTS[kind]
    address = Address(kind, draw(st.sampled_from(namespaces)), draw(st.sampled_from(names)))
    return Edit(address, None if draw(st.integers(0, 4)) == 0 else draw(contents))


@st.composite
def beginning(draw: st.DrawFn) -> list[Edit]:
    """Pods for all proxies, some Services and a Gateway, so that most examples are about something."""
    pods = [Address("Pod", proxy.namespace, proxy.name) for proxy in PROXIES]
    services = [Address("Service", "shop", "web"), Address("Service", "bank", "api"), Address("Service", "shop", "db")]
    gateway = Address("Gateway", "edge", "gw")
    return [Edit(address, draw(DOCUMENTS[address.kind][0])) for address in (*pods, *services, gateway)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategies:
    """What tests draw from."""

    edits: st.SearchStrategy[list[Edit]]
    """The edits of one commit."""
    meshes: st.SearchStrategy[list[Edit]]
    """All objects of a mesh."""


class Mesh:
    """A registry that is edited, and the rows that it should hold."""

    def __init__(self, edits: Iterable[Edit] = ()) -> None:
        self.registry = Registry(SETTINGS)
        self._rows: dict[Address, Any] = {}
        for written in edits:
            self.put(written)

    def put(self, written: Edit) -> None:
        """Write an object as a file's content would be, or remove it."""
        row = None if written.content is None else _row(written.address, written.content)
        self._rows[written.address] = row
        _write(self.registry, written.address, row)

    def write(self, kind: str, namespace: str, name: str, content: Any) -> None:
        """The same for tests that write their objects themselves."""
        self.put(Edit(Address(kind, namespace, name), content))

    def from_scratch(self) -> Registry:
        """Another registry that has never seen anything but the present rows."""
        registry = Registry(SETTINGS)
        for address in sorted(self._rows, reverse=True):
            _write(registry, address, self._rows[address])
        return registry


SETTINGS = Settings(derive_endpoints=True)


def _row(address: Address, content: Any) -> Any:
    if address.kind == "LocalPorts":
        return content
    if address.kind == "MeshConfig":
        return MeshConfig.model_validate(content)
    metadata = {"name": address.name, "namespace": address.namespace, **content.get("metadata", {})}
    decoded = decode({**content, "apiVersion": API_VERSIONS[address.kind], "kind": address.kind, "metadata": metadata})
    assert decoded.object is not None or address.kind in PROTECTIVE_KINDS, decoded.problems
    return decoded.object or decoded.guard


def _write(registry: Registry, address: Address, row: Any) -> None:
    cluster_scoped = {"MeshConfig", "Node"}
    key = address.name if address.kind in cluster_scoped else (address.namespace, address.name)
    guard = row if isinstance(row, Guard) else None
    getattr(registry, TABLES[address.kind]).put(key, None if guard else row)
    if address.kind in PROTECTIVE_KINDS:
        registry.unreadable_policies.put(
            ObjectRef(kind=address.kind, namespace=address.namespace, name=address.name), guard
        )


@pytest.fixture(scope="session")
def strategies() -> Strategies:
    """What tests draw from."""
    edits = st.lists(edit(), min_size=1, max_size=3)
    more = st.lists(edit(), min_size=8, max_size=30)
    return Strategies(edits=edits, meshes=st.builds(lambda first, then: [*first, *then], beginning(), more))


@pytest.fixture(scope="session")
def key_pair() -> Mapping[str, str]:
    """The certificate, key and root that Secrets of meshes hold, by the names of their entries."""
    return certificate()


@pytest.fixture(scope="session")
def new_mesh() -> Callable[[Iterable[Edit]], Mesh]:
    """Makes meshes."""
    return Mesh


@pytest.fixture(scope="session")
def proxies() -> Collection[ProxyId]:
    """Sidecars of two namespaces, one of them on a shared machine now and then, and a gateway."""
    return PROXIES
