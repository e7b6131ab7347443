"""TLS towards services: automatic, or as a rule demands."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from weft_core.ir.tls import (
    CertificateFiles,
    MeshSecret,
    MutualTlsByEndpoint,
    PushedSecret,
    RootsFile,
    SystemRoots,
    UpstreamTls,
)

if TYPE_CHECKING:
    from tests.unit.clusters.conftest import Mesh

HEADLESS = "outbound|5432||db.default.svc.cluster.local"


def tls(mesh: "Mesh", text: str, rest: str = "") -> None:
    mesh.rule(f"host: reviews\ntrafficPolicy: {{tls: {{{text}}}}}\n{rest}")


def upstream(mesh: "Mesh", name: str) -> UpstreamTls:
    found = mesh.cluster(name).transport
    assert isinstance(found, UpstreamTls)
    return found


def by_endpoint(mesh: "Mesh", name: str) -> UpstreamTls:
    found = mesh.cluster(name).transport
    assert isinstance(found, MutualTlsByEndpoint)
    return found.tls


def test_rule_7_auto_mtls_is_decided_by_each_endpoint(mesh: "Mesh", reviews: str) -> None:
    mesh.pods("reviews", {"version": "v3"}, sidecar=False)
    assert isinstance(mesh.cluster(reviews).transport, MutualTlsByEndpoint)
    (group,) = mesh.endpoints(reviews).localities
    assert [endpoint.mutual_tls for endpoint in group.endpoints] == [True, True, False]


def test_rule_7_headless_services_take_mtls_from_all_endpoints_or_none(mesh: "Mesh") -> None:
    mesh.service("db", ports=(("tcp", 5432),), cluster_ip="None")
    assert mesh.cluster(HEADLESS).transport is None, "nothing is known of the endpoints"
    mesh.pods("db", {}, {})
    assert isinstance(mesh.cluster(HEADLESS).transport, UpstreamTls)
    mesh.pods("db", {}, sidecar=False)
    assert mesh.cluster(HEADLESS).transport is None


@pytest.mark.parametrize("namespace", ["default", "istio-system"])
def test_rule_7_namespace_or_mesh_wide_disable_turns_auto_mtls_off(mesh: "Mesh", reviews: str, namespace: str) -> None:
    mesh.policy("mtls: {mode: DISABLE}", namespace=namespace)
    assert mesh.cluster(reviews).transport is None


def test_rule_7_explicit_istio_mutual_ignores_what_the_endpoint_can_do(mesh: "Mesh", reviews: str) -> None:
    mesh.pods("reviews", {"version": "v3"}, sidecar=False)
    mesh.policy("mtls: {mode: DISABLE}")
    tls(mesh, "mode: ISTIO_MUTUAL")
    assert isinstance(mesh.cluster(reviews).transport, UpstreamTls)


def test_a_workloads_disable_marks_its_endpoints_only(mesh: "Mesh", reviews: str) -> None:
    mesh.policy("{selector: {matchLabels: {version: v1}}, mtls: {mode: DISABLE}}")
    assert isinstance(mesh.cluster(reviews).transport, MutualTlsByEndpoint)
    (group,) = mesh.endpoints(reviews).localities
    assert [endpoint.mutual_tls for endpoint in group.endpoints] == [False, True]


def test_auto_mtls_can_be_turned_off_for_the_mesh(mesh: "Mesh", reviews: str) -> None:
    mesh.settings("enableAutoMtls: false")
    assert mesh.cluster(reviews).transport is None


def test_services_outside_the_mesh_get_no_auto_mtls(mesh: "Mesh") -> None:
    entry = "{hosts: [a.com], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]"
    mesh.entry(entry + "}")
    assert mesh.cluster("outbound|80||a.com").transport is None
    mesh.entry(entry + ", location: MESH_INTERNAL}")
    assert isinstance(mesh.cluster("outbound|80||a.com").transport, MutualTlsByEndpoint)


def test_mesh_tls_shows_and_demands_mesh_identities(mesh: "Mesh", reviews: str) -> None:
    mesh.settings("{trustDomain: mesh.test, trustDomainAliases: [old.test]}")
    found = by_endpoint(mesh, reviews)
    assert found.certificate == MeshSecret(name="default")
    assert found.roots == MeshSecret(name="ROOTCA")
    assert found.sni == "outbound_.9080_._.reviews.default.svc.cluster.local"
    assert found.subject_alt_names == (
        "spiffe://mesh.test/ns/default/sa/bookinfo-reviews",
        "spiffe://old.test/ns/default/sa/bookinfo-reviews",
    )


@pytest.mark.parametrize(
    ("port", "alpn"),
    [
        ("http", ("istio-http/1.1", "istio", "http/1.1")),
        ("", ("istio-http/1.1", "istio", "http/1.1")),
        ("grpc", ("istio-h2", "istio", "h2")),
        ("tcp", ("istio-peer-exchange", "istio")),
        ("https", ("istio-peer-exchange", "istio")),
    ],
)
def test_alpn_tells_a_permissive_server_of_mesh_tls_and_of_the_protocol(
    mesh: "Mesh", port: str, alpn: tuple[str, ...]
) -> None:
    mesh.service("web", ports=((port, 80),))
    assert by_endpoint(mesh, "outbound|80||web.default.svc.cluster.local").alpn == alpn


def test_disable_is_plaintext_also_inside_the_mesh(mesh: "Mesh", reviews: str) -> None:
    tls(mesh, "mode: DISABLE")
    assert mesh.cluster(reviews).transport is None


def test_istio_mutual_with_own_names(mesh: "Mesh", reviews: str) -> None:
    tls(mesh, "mode: ISTIO_MUTUAL, sni: other, subjectAltNames: [spiffe://a/b]")
    assert (upstream(mesh, reviews).sni, upstream(mesh, reviews).subject_alt_names) == ("other", ("spiffe://a/b",))


def test_a_revocation_list_holds_with_the_meshs_roots_too(mesh: "Mesh", reviews: str) -> None:
    tls(mesh, "mode: ISTIO_MUTUAL, caCrl: /crl.pem")
    assert upstream(mesh, reviews).roots == MeshSecret(name="ROOTCA", revoked="/crl.pem")


def test_simple_verifies_the_requests_host_with_the_systems_roots(mesh: "Mesh", reviews: str) -> None:
    tls(mesh, "mode: SIMPLE")
    assert upstream(mesh, reviews) == UpstreamTls(roots=SystemRoots())
    http = mesh.cluster(reviews).http
    assert (http.auto_sni, http.auto_san_validation) == (True, True)


def test_simple_with_a_name_asks_for_that_name(mesh: "Mesh", reviews: str) -> None:
    tls(mesh, "mode: SIMPLE, sni: a.com, caCertificates: /ca.pem, caCrl: /crl.pem")
    assert upstream(mesh, reviews) == UpstreamTls(sni="a.com", roots=RootsFile(path="/ca.pem", revoked="/crl.pem"))
    assert not mesh.cluster(reviews).http.auto_sni


def test_a_revocation_list_holds_with_the_systems_roots_too(mesh: "Mesh", reviews: str) -> None:
    tls(mesh, "mode: SIMPLE, caCertificates: system, caCrl: /crl.pem")
    assert upstream(mesh, reviews).roots == SystemRoots(revoked="/crl.pem")


def test_verification_ends_only_by_explicit_wish(mesh: "Mesh", reviews: str) -> None:
    tls(mesh, "mode: SIMPLE, insecureSkipVerify: true")
    assert upstream(mesh, reviews).roots is None
    assert not mesh.cluster(reviews).http.auto_san_validation


def test_names_of_the_service_entry_are_demanded_where_the_rule_has_none(mesh: "Mesh") -> None:
    mesh.entry("""
hosts: [a.com]
resolution: DNS
ports: [{number: 443, name: https, protocol: HTTPS}]
subjectAltNames: [b.com]
""")
    mesh.rule("{host: a.com, trafficPolicy: {tls: {mode: SIMPLE}}}")
    assert upstream(mesh, "outbound|443||a.com").subject_alt_names == ("b.com",)
    assert not mesh.cluster("outbound|443||a.com").http.auto_san_validation
    mesh.rule("{host: a.com, trafficPolicy: {tls: {mode: SIMPLE, subjectAltNames: [c.com]}}}")
    assert upstream(mesh, "outbound|443||a.com").subject_alt_names == ("c.com",)


def test_mutual_with_files(mesh: "Mesh", reviews: str) -> None:
    tls(mesh, "mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem, caCertificates: /ca.pem")
    assert upstream(mesh, reviews).certificate == CertificateFiles(certificate="/c.pem", private_key="/k.pem")


def test_http2_offers_h2_to_servers_outside_the_mesh(mesh: "Mesh") -> None:
    mesh.service("web", ports=(("grpc", 80),))
    mesh.rule("{host: web, trafficPolicy: {tls: {mode: SIMPLE}}}")
    assert upstream(mesh, "outbound|80||web.default.svc.cluster.local").alpn == ("h2",)


def test_credential_name_is_for_gateways_and_selected_workloads(mesh: "Mesh", reviews: str) -> None:
    secret = PushedSecret(name="kubernetes://creds")
    roots = PushedSecret(name="kubernetes://creds-cacert")
    tls(mesh, "mode: MUTUAL, credentialName: creds")
    gateway = mesh.cluster(reviews, replace(mesh.client, gateway=True)).transport
    assert isinstance(gateway, UpstreamTls)
    assert (gateway.certificate, gateway.roots) == (secret, roots)
    tls(mesh, "mode: SIMPLE, credentialName: creds, caCrl: /crl.pem", "workloadSelector: {matchLabels: {}}")
    assert upstream(mesh, reviews).roots == replace(roots, revoked="/crl.pem")
    tls(mesh, "mode: MUTUAL, credentialName: creds", "workloadSelector: {matchLabels: {}}")
    assert (upstream(mesh, reviews).certificate, upstream(mesh, reviews).roots) == (secret, roots)


def test_credential_name_out_of_reach_fails_closed(mesh: "Mesh", reviews: str) -> None:
    tls(mesh, "mode: MUTUAL, credentialName: creds")
    found = upstream(mesh, reviews)
    assert found.certificate is None
    assert found.roots == SystemRoots(), "verified TLS without a certificate: the server refuses, nothing leaks"
