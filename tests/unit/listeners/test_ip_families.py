"""In which IP families a proxy listens: those of its pod's addresses, shared by all pods that have the same."""

from collections.abc import Callable

import pytest

from weft_core.ir.listener import Listener
from weft_core.proxy import ProxyId, ProxyKind
from weft_core.registry import Registry
from weft_core.view.inbound import inbound_id
from weft_core.view.inbound_clusters import inbound_clusters
from weft_core.view.inbound_listener import inbound_listener
from weft_core.view.ip_families import IpFamilies, families_of
from weft_core.view.outbound_listener import outbound_listener
from weft_core.view.outbound_listeners import outbound_listener_ids
from weft_core.view.proxies import client_of
from weft_core.view.readiness import readiness_listener_of
from weft_xds.resources.keys import Part, SectionKey
from weft_xds.resources.sections import proxy_sections, section
from weft_xds.types import LDS

Make = Callable[..., Registry]

V4, V6 = "10.1.0.1", "fd00::1"
ANYWHERE = {IpFamilies.V4: ["0.0.0.0"], IpFamilies.V6: ["::"], IpFamilies.DUAL: ["0.0.0.0", "::"]}
ADDRESSES = {IpFamilies.V4: (V4,), IpFamilies.V6: (V6,), IpFamilies.DUAL: (V4, V6)}
every_family = pytest.mark.parametrize("families", IpFamilies, ids=lambda families: families.name)


def pod(name: str, *addresses: str) -> str:
    ips = ", ".join(f"{{ip: '{address}'}}" for address in addresses)
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, labels: {{app: web, security.istio.io/tlsMode: istio}}}}
spec: {{serviceAccountName: web, containers: [{{name: web, ports: [{{name: main, containerPort: 8080}}]}}]}}
status: {{podIPs: [{ips}]}}
"""


def services(shop: str) -> str:
    return shop[shop.index("apiVersion: v1\nkind: Service") :]


def hosts(listener: Listener) -> list[str]:
    return [address.host for address in listener.addresses]


def listeners(db: Registry, proxy: ProxyId) -> dict[str, Listener]:
    """All listeners of a sidecar, by name."""
    client, inbound = client_of(db, proxy), inbound_id(db, proxy)
    assert client
    assert inbound
    keys = outbound_listener_ids(db, client, inbound.families)
    found = [
        inbound_listener(db, inbound),
        readiness_listener_of(None, inbound.families),
        *(outbound_listener(db, key) for key in keys),
    ]
    return {listener.name: listener for listener in found}


@pytest.mark.parametrize(
    ("addresses", "families"),
    [
        ((), IpFamilies.V4),
        ((V4,), IpFamilies.V4),
        ((V6,), IpFamilies.V6),
        ((V4, V6), IpFamilies.DUAL),
        ((V6, V4), IpFamilies.DUAL),
        ((V6, "::ffff:10.0.0.1"), IpFamilies.V6),
    ],
)
def test_families_are_those_of_the_addresses(addresses: tuple[str, ...], families: IpFamilies) -> None:
    assert families_of(addresses) is families


@every_family
def test_a_sidecar_listens_in_all_families_of_its_pod(
    registry: Make, shop: str, web: ProxyId, families: IpFamilies
) -> None:
    found = listeners(registry(services(shop), pod("web-0", *ADDRESSES[families])), web)
    first = ANYWHERE[families][0]
    for name in ("virtualInbound", "virtualOutbound", "readiness", f"{first}_80"):
        assert hosts(found[name]) == ANYWHERE[families], name
    assert {address.port for address in found["virtualInbound"].addresses} == {15006}
    assert hosts(found["10.0.0.1_5432"]) == ["10.0.0.1"]


def test_pods_without_addresses_yet_get_what_pods_with_ipv4_get(registry: Make, shop: str, web: ProxyId) -> None:
    with_address = registry(services(shop), pod("web-0", V4))
    assert listeners(registry(shop), web) == listeners(with_address, web)


@every_family
def test_connections_to_the_application_have_a_source_of_their_family(
    registry: Make, shop: str, web: ProxyId, families: IpFamilies
) -> None:
    db = registry(services(shop), pod("web-0", *ADDRESSES[families]))
    inbound = inbound_id(db, web)
    assert inbound
    sources = {"0.0.0.0": "127.0.0.6", "::": "::6"}
    expected = tuple(sources[address] for address in ANYWHERE[families])
    assert {cluster.upstream_bind for cluster in inbound_clusters(db, inbound)} == {expected}


@pytest.mark.parametrize(("address", "loopback"), [(V4, "127.0.0.1"), (V6, "::1")])
def test_applications_that_are_called_on_loopback_are_called_in_their_family(
    registry: Make, shop: str, web: ProxyId, address: str, loopback: str
) -> None:
    db = registry(services(shop), pod("web-0", address), settings="inboundTrafficPolicy: {mode: LOCALHOST}")
    inbound = inbound_id(db, web)
    assert inbound
    called = {
        endpoint.address
        for cluster in inbound_clusters(db, inbound)
        if cluster.load_assignment
        for locality in cluster.load_assignment.localities
        for endpoint in locality.endpoints
    }
    assert called == {loopback}


def test_pods_of_the_same_families_share_everything_and_others_all_but_listeners_and_inbound(
    registry: Make, shop: str
) -> None:
    """Of the keys neither holds a proxy: what many pods have alike is made once."""
    pods = (pod("web-0", V4, V6), pod("web-1", "10.1.0.2", "fd00::2"), pod("web-2", "10.1.0.3"))
    db = registry(services(shop), *pods)
    one, same, other = (
        frozenset(proxy_sections(db, ProxyId(ProxyKind.SIDECAR, "shop", f"web-{index}"))) for index in range(3)
    )
    assert one == same
    assert {(key.type_url == LDS) or key.part is Part.INBOUND for key in one ^ other} == {True}


def test_a_services_own_listener_is_the_same_for_all_families(registry: Make, shop: str) -> None:
    db = registry(services(shop), pod("web-0", V4), pod("web-1", V6))
    one, other = (
        {
            resource
            for key in proxy_sections(db, ProxyId(ProxyKind.SIDECAR, "shop", name))
            if (key.type_url, key.part) == (LDS, Part.OUTBOUND)
            for resource in section(db, key)
        }
        for name in ("web-0", "web-1")
    )
    assert {resource.name for resource in one & other} == {"10.0.0.1_5432", "10.0.0.1_9000"}


def test_the_readiness_section_is_shared_by_family(registry: Make, shop: str, web: ProxyId) -> None:
    db = registry(services(shop), pod("web-0", V4, V6))
    sections = [key for key in proxy_sections(db, web) if key.part is Part.READINESS]
    assert sections == [SectionKey(LDS, Part.READINESS, (None, IpFamilies.DUAL))]
    (resource,) = section(db, sections[0])
    assert resource.last
    assert isinstance(resource.view, Listener)
    assert hosts(resource.view) == ANYWHERE[IpFamilies.DUAL]
