"""The names under which clients call a service, and what is done where two could claim one."""

from typing import TYPE_CHECKING

from weft_core.view.visibility import Client

if TYPE_CHECKING:
    from tests.unit.routes.conftest import Mesh

OTHER = Client(namespace="other")
LOCAL = Client(namespace="default", local=True)
FULL = "reviews.default.svc.cluster.local"


def test_bare_name_is_for_the_same_namespace(mesh: "Mesh") -> None:
    elsewhere = (FULL, f"{FULL}.", "reviews.default", "reviews.default.svc", "10.0.0.1")
    assert mesh.host("reviews", OTHER).domains == elsewhere
    assert set(mesh.host("reviews").domains) == {*elsewhere, "reviews"}


def test_pods_of_headless_services_have_names_below(mesh: "Mesh") -> None:
    mesh.service("db", clusterIP="None")
    domains = mesh.host("db").domains
    assert {"db", "*.db", "*.db.default.svc.cluster.local"} <= set(domains)
    assert not any(domain[0].isdigit() for domain in domains)


def test_external_hosts_have_no_short_names(mesh: "Mesh") -> None:
    mesh.entry(
        "{hosts: [api.example.com], addresses: [192.0.2.1, 198.51.100.0/24],"
        " ports: [{number: 80, name: http, protocol: HTTP}], resolution: NONE}"
    )
    mesh.entry(
        "{hosts: ['*.wild.example'], ports: [{number: 80, name: http, protocol: HTTP}], resolution: NONE}", name="wild"
    )
    assert mesh.host("api.example.com").domains == ("api.example.com", "api.example.com.", "192.0.2.1")
    assert mesh.host("*.wild.example").domains == ("*.wild.example",)


def test_address_of_two_services_is_in_one_virtual_host(mesh: "Mesh") -> None:
    mesh.entry(
        "{hosts: [a.example, b.example], addresses: [192.0.2.1], resolution: STATIC,"
        " ports: [{number: 80, name: http, protocol: HTTP}]}"
    )
    assert "192.0.2.1" in mesh.host("a.example").domains
    assert "192.0.2.1" not in mesh.host("b.example").domains


def test_ipv6_addresses_are_bracketed(mesh: "Mesh") -> None:
    mesh.service("six", clusterIP="fd00::1")
    assert "[fd00::1]" in mesh.host("six").domains


def test_short_name_never_shadows_a_host_of_that_name(mesh: "Mesh") -> None:
    mesh.service("shop", namespace="com")
    mesh.entry("{hosts: [shop.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}")
    assert "shop.com" in mesh.host("shop.com").domains
    assert "shop.com" not in mesh.host("shop.com.svc.cluster.local").domains


def test_external_names_are_further_names_of_the_host_that_they_mean(mesh: "Mesh") -> None:
    mesh.service("alias", namespace="other", type="ExternalName", externalName=FULL, clusterIP="")
    assert "alias.other" in mesh.host("reviews").domains
    assert not [name for name in mesh.ids() if "alias" in name]


def test_no_domain_is_in_two_virtual_hosts(mesh: "Mesh") -> None:
    mesh.service("default")
    mesh.service("reviews", namespace="other", clusterIP="10.0.0.1")
    mesh.route("{hosts: [reviews.other, x.example], http: [{route: [{destination: {host: reviews}}]}]}")
    domains = [domain for name in mesh.ids() for domain in mesh.host(name.split("/")[1].split(":")[0]).domains]
    assert len(domains) == len(set(domains))


def test_http_proxy_clients_write_the_port_which_only_80_may_lack(mesh: "Mesh") -> None:
    mesh.service("ratings", ("http", 9080))
    ratings = mesh.host("ratings", LOCAL, 9080, rds="http_proxy")
    assert "ratings:9080" in ratings.domains
    assert "ratings" not in ratings.domains
    assert {"reviews", "reviews:80"} <= set(mesh.host("reviews", LOCAL, rds="http_proxy").domains)
