"""TLS and TCP servers of gateways, and the Secrets they need."""

import base64
from typing import TYPE_CHECKING

import pytest

from weft_core.ir.downstream_tls import AltName, AltNameKind, ClientCertificate, TlsVersion
from weft_core.ir.listener import FilterChain, FilterChainMatch, TcpProxy
from weft_core.ir.secret import TlsCertificate, TrustedRoots
from weft_core.ir.string_match import MatchKind, StringMatch
from weft_core.ir.tls import MeshSecret, PushedSecret, RootsFile
from weft_core.model import kubernetes as k8s
from weft_core.problems import Code
from weft_core.view.gateway_listeners import gateway_secrets
from weft_core.view.gateway_problems import gateway_problems
from weft_core.view.gateway_secrets import SecretId, secret

if TYPE_CHECKING:
    from tests.unit.gateways.conftest import Edge


def https(tls: str, hosts: str = "a.example", protocol: str = "HTTPS", name: str = "https") -> str:
    return f"{{port: {{number: 443, name: {name}, protocol: {protocol}}}, hosts: [{hosts}], tls: {{{tls}}}}}"


def only_chain(edge: "Edge") -> FilterChain:
    (chain,) = edge.listeners()["0.0.0.0_443"].filter_chains
    return chain


def test_simple_shows_the_certificate_of_a_secret_for_its_names(edge: "Edge") -> None:
    edge.gateway(f"[{https('mode: SIMPLE, credentialName: cert')}]")
    chain = only_chain(edge)
    assert chain.name == "https.443.https.gateway.edge"
    assert chain.match is not None
    assert chain.match.server_names == ("a.example",)
    assert chain.tls is not None
    assert chain.tls.certificates == (PushedSecret(name="kubernetes://cert"),)
    assert chain.tls.client_certificate is ClientCertificate.NOT_ASKED
    assert chain.tls.min_version is TlsVersion.TLS1_2
    assert chain.tls.alpn == ("h2", "http/1.1")
    assert list(edge.configurations()) == ["https.443.https.gateway.edge"]


@pytest.mark.parametrize(
    ("mode", "asked"),
    [("MUTUAL", ClientCertificate.REQUIRED), ("OPTIONAL_MUTUAL", ClientCertificate.OPTIONAL)],
)
def test_mutual_verifies_clients_with_the_secrets_roots(edge: "Edge", mode: str, asked: ClientCertificate) -> None:
    edge.gateway(f"[{https(f'mode: {mode}, credentialName: cert')}]")
    tls = only_chain(edge).tls
    assert tls is not None
    assert tls.client_certificate is asked
    assert tls.trust == PushedSecret(name="kubernetes://cert-cacert")
    assert gateway_secrets(edge.db, edge.id) == (
        SecretId("edge", "kubernetes://cert"),
        SecretId("edge", "kubernetes://cert-cacert"),
    )


def test_istio_mutual_takes_peers_of_the_mesh(edge: "Edge") -> None:
    edge.gateway(f"[{https('mode: ISTIO_MUTUAL')}]")
    tls = only_chain(edge).tls
    assert tls is not None
    assert tls.certificates == (MeshSecret(name="default"),)
    assert gateway_secrets(edge.db, edge.id) == ()


def test_istio_mutual_asks_for_what_the_server_says(edge: "Edge") -> None:
    wanted = "spiffe://cluster.local/ns/shop/sa/web"
    settings = (
        f"mode: ISTIO_MUTUAL, subjectAltNames: [{wanted!r}], caCrl: /crl.pem, verifyCertificateHash: [ab], "
        "minProtocolVersion: TLSV1_3, maxProtocolVersion: TLSV1_3, "
        "cipherSuites: [AES128-GCM-SHA256, AES128-GCM-SHA256, ROT13]"
    )
    edge.gateway(f"[{https(settings)}]")
    tls = only_chain(edge).tls
    assert tls is not None
    assert tls.alt_names == (AltName(AltNameKind.URI, StringMatch(MatchKind.EXACT, wanted)),)
    assert (tls.min_version, tls.max_version) == (TlsVersion.TLS1_3, TlsVersion.TLS1_3)
    assert tls.cipher_suites == ("AES128-GCM-SHA256",)
    assert tls.certificate_hashes == ("ab",)
    assert tls.trust == MeshSecret(name="ROOTCA", revoked="/crl.pem")
    assert tls.client_certificate is ClientCertificate.REQUIRED


def test_revocation_list_in_a_file_holds_beside_roots_of_a_secret(edge: "Edge") -> None:
    edge.gateway(f"[{https('mode: MUTUAL, credentialName: cert, caCrl: /crl.pem')}]")
    tls = only_chain(edge).tls
    assert tls is not None
    assert tls.trust == PushedSecret(name="kubernetes://cert-cacert", revoked="/crl.pem")


def test_optional_mutual_verifies_with_roots_of_a_file(edge: "Edge") -> None:
    files = "serverCertificate: /c.pem, privateKey: /k.pem, caCertificates: /r.pem, caCrl: /crl.pem"
    edge.gateway(f"[{https(f'mode: OPTIONAL_MUTUAL, {files}')}]")
    tls = only_chain(edge).tls
    assert tls is not None
    assert tls.client_certificate is ClientCertificate.OPTIONAL
    assert tls.trust == RootsFile(path="/r.pem", revoked="/crl.pem")


def test_server_of_every_host_takes_clients_without_server_name(edge: "Edge") -> None:
    edge.gateway(f"[{https('mode: SIMPLE, credentialName: cert', hosts=repr('*'))}]")
    match = only_chain(edge).match
    assert match is not None
    assert match.server_names == ()


def test_passthrough_goes_by_server_name(edge: "Edge") -> None:
    edge.gateway(f"[{https('mode: PASSTHROUGH', hosts=repr('*.example'))}]")
    edge.route("""
        hosts: ['*.example']
        tls:
        - match: [{sniHosts: [a.example], port: 443}]
          route: [{destination: {host: shop, port: {number: 80}}}]
        """)
    chain = only_chain(edge)
    assert chain.tls is None
    assert chain.match is not None
    assert chain.match.server_names == ("a.example",)
    proxy = chain.filters[-1]
    assert isinstance(proxy, TcpProxy)
    assert proxy.clusters == (("outbound|80||shop.default.svc.cluster.local", 1),)


def test_tcp_server_follows_tcp_rules_and_stays_closed_without(edge: "Edge") -> None:
    edge.gateway("[{port: {number: 5432, name: db, protocol: TCP}, hosts: ['*']}]")
    assert edge.listeners() == {}
    edge.route("{hosts: ['*'], tcp: [{match: [{port: 5432}], route: [{destination: {host: shop}}]}]}")
    proxy = edge.listeners()["0.0.0.0_5432"].filter_chains[0].filters[-1]
    assert isinstance(proxy, TcpProxy)
    assert proxy.clusters == (("outbound|5432||shop.default.svc.cluster.local", 1),)


TO_SHOP = "route: [{destination: {host: shop}}]"


def test_tcp_rules_go_by_destination_address(edge: "Edge") -> None:
    edge.gateway("[{port: {number: 5432, name: db, protocol: TCP}, hosts: ['*']}]")
    one = f"{{match: [{{destinationSubnets: [10.0.0.0/8, 10.0.0.1/8]}}], {TO_SHOP}}}"
    edge.route(f"{{hosts: ['*'], tcp: [{one}]}}")
    (chain,) = edge.listeners()["0.0.0.0_5432"].filter_chains
    assert chain.match == FilterChainMatch(prefix_ranges=("10.0.0.0/8",)), "others are not taken"
    edge.route(f"{{hosts: ['*'], tcp: [{one}, {{match: [{{port: 5432}}], {TO_SHOP}}}]}}")
    chains = edge.listeners()["0.0.0.0_5432"].filter_chains
    assert [chain.match for chain in chains] == [chains[0].match, None]
    assert len({chain.name for chain in chains}) == 2


def test_rules_of_tls_servers_go_by_server_name_and_destination_address(edge: "Edge") -> None:
    edge.gateway(f"[{https('mode: SIMPLE, credentialName: cert', protocol='TLS')}]")
    edge.route(f"{{hosts: ['*'], tcp: [{{match: [{{destinationSubnets: [10.0.0.0/8]}}], {TO_SHOP}}}]}}")
    chain = only_chain(edge)
    expected = FilterChainMatch(transport_protocol="tls", server_names=("a.example",), prefix_ranges=("10.0.0.0/8",))
    assert chain.match == expected
    assert chain.tls is not None
    edge.gateway(f"[{https('mode: PASSTHROUGH')}]")
    match = "{sniHosts: [A.example], destinationSubnets: [10.0.0.0/8]}"
    edge.route(f"{{hosts: [a.example], tls: [{{match: [{match}], {TO_SHOP}}}]}}")
    assert only_chain(edge).match == expected


def test_same_host_twice_on_a_tls_port_is_the_older_servers(edge: "Edge") -> None:
    edge.gateway(f"[{https('mode: SIMPLE, credentialName: young')}]", name="young", created="2024-02")
    edge.gateway(f"[{https('mode: SIMPLE, credentialName: old')}]", name="old", created="2024-01")
    assert only_chain(edge).name == "https.443.https.old.edge"
    (problem,) = gateway_problems(edge.db, ("edge", "young"))
    assert (problem.code, problem.path) == (Code.CONFLICTING_GATEWAYS, "spec.servers[0]")
    assert "Gateway edge/old" in problem.message
    assert gateway_problems(edge.db, ("edge", "old")) == ()


def test_tls_and_plain_text_do_not_share_a_port(edge: "Edge") -> None:
    plain = "{port: {number: 443, name: http, protocol: HTTP}, hosts: [b.example]}"
    edge.gateway(f"[{plain}, {https('mode: SIMPLE, credentialName: cert')}]")
    assert [chain.tls for chain in edge.listeners()["0.0.0.0_443"].filter_chains] == [None]
    assert [problem.path for problem in gateway_problems(edge.db, ("edge", "gateway"))] == ["spec.servers[1]"]


def encoded(**entries: bytes) -> dict[str, str]:
    return {name.replace("_", "."): base64.b64encode(value).decode() for name, value in entries.items()}


def test_secret_of_certificate_and_roots(edge: "Edge") -> None:
    data = encoded(tls_crt=b"chain", tls_key=b"key", ca_crt=b"roots")
    edge.put("secrets", "cert", "edge", k8s.Secret, data=data)
    found = secret(edge.db, SecretId("edge", "kubernetes://cert"))
    assert isinstance(found, TlsCertificate)
    assert (found.chain, found.private_key) == (b"chain", b"key")
    assert "private_key" not in repr(found)
    roots = secret(edge.db, SecretId("edge", "kubernetes://cert-cacert"))
    assert isinstance(roots, TrustedRoots)
    assert roots.certificates == b"roots"


def test_secret_with_the_suffix_goes_before_roots_beside_the_certificate(edge: "Edge") -> None:
    edge.put("secrets", "cert", "edge", k8s.Secret, data=encoded(tls_crt=b"c", tls_key=b"k", ca_crt=b"beside"))
    edge.put("secrets", "cert-cacert", "edge", k8s.Secret, data=encoded(cacert=b"own"))
    roots = secret(edge.db, SecretId("edge", "kubernetes://cert-cacert"))
    assert isinstance(roots, TrustedRoots)
    assert roots.certificates == b"own"


def test_secrets_of_other_namespaces_are_out_of_reach(edge: "Edge") -> None:
    edge.put("secrets", "cert", "default", k8s.Secret, data=encoded(tls_crt=b"chain", tls_key=b"key"))
    edge.gateway(f"[{https('mode: SIMPLE, credentialName: default/cert')}]")
    for key in gateway_secrets(edge.db, edge.id):
        assert secret(edge.db, key) is None


@pytest.mark.parametrize("data", [{}, {"tls.crt": "Yw=="}, {"tls.crt": "no base64!", "tls.key": "aw=="}])
def test_incomplete_secrets_are_not_sent(edge: "Edge", data: dict[str, str]) -> None:
    edge.put("secrets", "cert", "edge", k8s.Secret, data=data)
    assert secret(edge.db, SecretId("edge", "kubernetes://cert")) is None
