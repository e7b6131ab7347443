"""How many proxies have taken what was made from an object."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from weft_core.ingest import CONFIG_KINDS
from weft_core.problems import ObjectRef
from weft_core.progress import Progress
from weft_core.proxy import ProxyId, ProxyKind
from weft_core.registry import Registry
from weft_xds.frames import Frame
from weft_xds.resources import CATALOG
from weft_xds.types import CDS, EDS, LDS, RDS, VHDS

if TYPE_CHECKING:
    from tests.unit.xds.conftest import Proxy, Section, World

    Connect = Callable[..., Proxy]
    MakeSection = Callable[[str, str], Section]
    MakeRegistry = Callable[..., Registry]


def ref(name: str, kind: str = "VirtualService") -> ObjectRef:
    """The origin of the world's resources of this name."""
    return ObjectRef(kind=kind, namespace="shop", name=name)


def test_an_object_that_shapes_nothing_concerns_nobody(world: "World") -> None:
    assert world.fanout.progress(ref("a")) == Progress()
    assert world.fanout.progress(ref("a")).complete


def test_a_proxy_counts_once_it_has_acknowledged(world: "World", section: "MakeSection", connect: "Connect") -> None:
    shared = section(CDS, "shared")
    world.put(shared, "a", "1")
    one, other = connect("one", shared), connect("other", shared)
    assert world.fanout.progress(ref("a")) == Progress(total=2)
    first = one.ask(CDS)
    assert world.fanout.progress(ref("a")).acknowledged == 0
    one.settle(first)
    assert world.fanout.progress(ref("a")) == Progress(acknowledged=1, total=2)
    other.settle(other.ask(CDS))
    assert world.fanout.progress(ref("a")).complete


def test_a_new_version_counts_anew_even_before_its_commit(
    world: "World", section: "MakeSection", connect: "Connect"
) -> None:
    shared = section(CDS, "shared")
    world.put(shared, "a", "1")
    proxy = connect("one", shared)
    proxy.settle(proxy.ask(CDS))
    world.put(shared, "a", "2")
    assert world.fanout.progress(ref("a")) == Progress(total=1)
    proxy.settle(proxy.take())
    assert world.fanout.progress(ref("a")).complete


def test_only_proxies_that_have_the_resource_are_counted(
    world: "World", section: "MakeSection", connect: "Connect"
) -> None:
    mine, others = section(CDS, "mine"), section(CDS, "others")
    world.put(mine, "a", "1")
    world.put(others, "b", "1")
    proxy = connect("one", mine)
    connect("other", others)
    proxy.settle(proxy.ask(CDS))
    assert world.fanout.progress(ref("a")) == Progress(acknowledged=1, total=1)


def test_all_resources_of_an_object_must_have_been_taken(
    world: "World", section: "MakeSection", connect: "Connect"
) -> None:
    clusters, listeners = section(CDS, "all"), section(LDS, "all")
    world.put(clusters, "a", "1")
    world.put(listeners, "a", "1")
    proxy = connect("one", clusters, listeners)
    proxy.settle(proxy.ask(CDS))
    assert world.fanout.progress(ref("a")) == Progress(total=1)
    proxy.settle(proxy.ask(LDS))
    assert world.fanout.progress(ref("a")).complete


def test_what_a_complete_proxy_does_not_ask_for_is_not_waited_for(
    world: "World", section: "MakeSection", connect: "Connect"
) -> None:
    clusters, endpoints, listeners = section(CDS, "all"), section(EDS, "all"), section(LDS, "all")
    world.put(clusters, "c", "1")
    world.put(endpoints, "a", "1")
    proxy = connect("one", clusters, endpoints, listeners)
    proxy.settle(proxy.ask(CDS))
    proxy.settle(proxy.ask(LDS))
    assert world.fanout.progress(ref("a")) == Progress(total=1), "it may be about to ask"
    proxy.now += 5.0
    proxy.settle(proxy.take())
    assert world.fanout.progress(ref("a")).complete


def test_virtual_hosts_of_routes_that_nobody_asks_for_are_not_waited_for(
    world: "World", section: "MakeSection", connect: "Connect"
) -> None:
    parts = {type_url: section(type_url, "all") for type_url in (CDS, LDS, RDS, VHDS)}
    world.put(parts[CDS], "c", "1")
    world.put(parts[VHDS], "80/a", "1")
    proxy = connect("one", *parts.values())
    for type_url in (CDS, LDS, VHDS):
        proxy.settle(proxy.ask(type_url))
    proxy.now += 5.0
    proxy.settle(proxy.take())
    assert world.fanout.progress(ref("80/a")).complete


def test_a_refused_version_is_rejected_in_envoys_words(
    world: "World", section: "MakeSection", connect: "Connect"
) -> None:
    shared = section(CDS, "shared")
    world.put(shared, "a", "1")
    proxy, other = connect("one", shared), connect("other", shared)
    for each in (proxy, other):
        each.settle(each.ask(CDS))
    world.put(shared, "a", "2")
    world.commit()
    (answer,) = proxy.take()
    proxy.settle(proxy.nack(answer, "no such thing"))
    other.settle(other.take())
    found = world.fanout.progress(ref("a"))
    assert found == Progress(acknowledged=0, total=2, rejected=(("a", "no such thing"),))
    assert not found.complete
    world.put(shared, "a", "3")
    world.commit()
    for each in (proxy, other):
        each.settle(each.take())
    assert world.fanout.progress(ref("a")).complete


def test_proxies_that_leave_and_objects_that_go_are_forgotten(
    world: "World", section: "MakeSection", connect: "Connect"
) -> None:
    shared = section(CDS, "shared")
    world.put(shared, "a", "1")
    proxy = connect("one", shared)
    world.remove(shared, "a")
    world.put(shared, "b", "1")
    assert world.fanout.progress(ref("a")).total == 0
    assert world.fanout.progress(ref("b")).total == 1
    proxy.disconnect()
    assert world.fanout.progress(ref("b")).total == 0
    assert len(world.fanout._origins) == 0


def test_answers_and_departures_are_told(world: "World", section: "MakeSection", connect: "Connect") -> None:
    told: list[None] = []
    world.fanout.answered = lambda: told.append(None)
    connect("one", section(CDS, "all")).disconnect()
    assert len(told) == 1


def test_progress_of_replicas_adds_up() -> None:
    one = Progress(acknowledged=1, total=2, rejected=(("a", "why"),))
    other = Progress(acknowledged=3, total=3, rejected=(("a", "why"), ("b", "no")), silent=("10.0.0.2",))
    both = one + other
    assert (both.acknowledged, both.total) == (4, 5)
    assert both.rejected == (("a", "why"), ("b", "no"))
    assert both.silent == ("10.0.0.2",)
    assert not Progress(silent=("10.0.0.2",)).complete


MESH = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http: [{match: [{uri: {prefix: /}}], delegate: {name: part}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: part, namespace: shop}
spec: {http: [{route: [{destination: {host: web}}]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec: {host: web, trafficPolicy: {connectionPool: {tcp: {maxConnections: 3}}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: machines, namespace: shop}
spec:
  hosts: [machines.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  location: MESH_INTERNAL
  resolution: STATIC
  workloadSelector: {labels: {app: machine}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: machine, namespace: shop}
spec: {address: 10.3.0.1, labels: {app: machine}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: idle, namespace: shop}
spec: {address: 10.3.0.2, labels: {app: other}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec: {egress: [{hosts: ["*/*"]}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: own, namespace: shop}
spec: {selector: {matchLabels: {app: web}}, portLevelMtls: {8080: {mode: STRICT}}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: PERMISSIVE}}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: shop}
spec: {jwtRules: [{issuer: me, jwks: '{"keys": []}'}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers, namespace: shop}
spec: {rules: [{to: [{operation: {methods: [GET]}}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: gw-0, namespace: shop, labels: {istio: ingress}}
spec: {containers: [{name: istio-proxy, args: [proxy, router]}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: shop}
spec:
  selector: {istio: ingress}
  servers: [{port: {number: 5432, name: tcp, protocol: TCP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: database, namespace: shop}
spec: {hosts: ["*"], gateways: [front], tcp: [{route: [{destination: {host: web, port: {number: 5432}}}]}]}
"""


@pytest.fixture
def origins(registry: "MakeRegistry", shop: str) -> Callable[[str], set[ObjectRef]]:
    """All origins of what a proxy is sent, by the pod's name."""
    db = registry(shop, MESH)

    def of(pod: str) -> set[ObjectRef]:
        kind = ProxyKind.GATEWAY if pod.startswith("gw") else ProxyKind.SIDECAR
        sections = CATALOG.proxy_sections(db, ProxyId(kind, "shop", pod))
        frames = [CATALOG.frame(db, key) for section in sections for key in CATALOG.section(db, section)]
        return {origin for frame in frames if isinstance(frame, Frame) for origin in frame.origins}

    return of


def test_objects_of_every_mesh_kind_are_origins_of_what_they_shape(
    origins: Callable[[str], set[ObjectRef]],
) -> None:
    found = {str(each) for each in origins("web-0") | origins("gw-0")}
    wanted = {
        "VirtualService shop/web",
        "VirtualService shop/part",
        "VirtualService shop/database",
        "DestinationRule shop/web",
        "Gateway shop/front",
        "ServiceEntry shop/machines",
        "WorkloadEntry shop/machine",
        "Sidecar shop/default",
        "PeerAuthentication shop/own",
        "PeerAuthentication shop/default",
        "RequestAuthentication shop/tokens",
        "AuthorizationPolicy shop/readers",
    }
    assert {each.split()[0] for each in wanted} == set(CONFIG_KINDS)
    assert found >= wanted
    assert "WorkloadEntry shop/idle" not in found
    assert "PeerAuthentication istio-system/default" not in found, "the namespace's own goes before it"


def test_policies_at_a_gateway_are_origins_of_its_listeners(origins: Callable[[str], set[ObjectRef]]) -> None:
    assert ref("readers", "AuthorizationPolicy") in origins("gw-0")
    assert ref("own", "PeerAuthentication") not in origins("gw-0"), "nothing is captured on the way in"


def test_a_sidecar_resource_counts_when_everything_has_been_taken(
    world: "World", section: "MakeSection", connect: "Connect"
) -> None:
    """It decides which resources there are, so the ACK of one of them says nothing."""
    mine, more = section(CDS, "mine"), section(LDS, "more")
    world.origin_kind = "Sidecar"
    world.put(mine, "a", "1")
    world.put(more, "l", "1")
    proxy = connect("one", mine, more)
    proxy.settle(proxy.ask(CDS))
    assert world.fanout.progress(ref("a", "Sidecar")) == Progress(total=1)
    proxy.settle(proxy.ask(LDS))
    assert world.fanout.progress(ref("a", "Sidecar")).complete
