"""A stock Envoy accepts the listeners that are built: every mode, protocol, attribute and setting."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.core.v3.base_pb2 import Node
from google.protobuf.json_format import MessageToDict

from weft_core.ingest import replace_all
from weft_core.ir.downstream_tls import AltName, AltNameKind, ClientCertificate, DownstreamTls, TlsVersion
from weft_core.ir.http import ForwardClientCert, HttpConnectionManager, NoRoute, PathNormalization, Router, ServerHeader
from weft_core.ir.listener import (
    Address,
    Direction,
    FilterChain,
    FilterChainMatch,
    Inspection,
    Listener,
    ListenerFilter,
)
from weft_core.ir.string_match import MatchKind, StringMatch
from weft_core.ir.tls import MeshSecret, PushedSecret
from weft_core.model.decode import decode
from weft_core.model.mesh_config import MeshConfig
from weft_core.proxy import LocalPorts, ProxyId, ProxyKind
from weft_core.registry import Registry
from weft_core.view.clusters import special_clusters
from weft_core.view.inbound import inbound_id
from weft_core.view.inbound_clusters import inbound_clusters
from weft_core.view.inbound_listener import inbound_listener
from weft_core.view.outbound_listener import outbound_listener
from weft_core.view.outbound_listeners import http_proxy_id, outbound_listener_ids
from weft_core.view.proxies import client_of
from weft_core.view.readiness import readiness_listener
from weft_xds.build.cluster import build_cluster
from weft_xds.build.listener import build_listener

pytestmark = pytest.mark.envoy

WEB = ProxyId(ProxyKind.SIDECAR, "shop", "web-0")
SHOP = """
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web, security.istio.io/tlsMode: istio}}
spec: {containers: [{name: web}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.0.0.1
  selector: {app: web}
  ports:
  - {name: http, port: 80}
  - {name: grpc-web, port: 81}
  - {name: tcp, port: 82}
  - {name: tls, port: 83}
  - {name: unsaid, port: 84}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: tls, namespace: shop}
spec:
  hosts: [a.example.com, b.example.com]
  ports: [{name: tls, number: 443, protocol: TLS}, {name: tcp, number: 80, protocol: TCP}]
  resolution: NONE
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: net, namespace: shop}
spec:
  hosts: [net.example.com]
  addresses: [10.1.0.0/16, 10.2.0.0/16]
  ports: [{name: tcp, number: 443, protocol: TCP}]
  resolution: NONE
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: sni, namespace: shop}
spec:
  hosts: [a.example.com, web]
  tls:
  - match: [{port: 443, sniHosts: [a.example.com, b.example.com]}]
    route: [{destination: {host: a.example.com, port: {number: 443}}}]
  - match: [{port: 83, sniHosts: [web.shop.svc.cluster.local]}]
    route: [{destination: {host: web, port: {number: 83}}}]
  tcp:
  - match: [{port: 82, destinationSubnets: [10.0.0.0/24]}]
    route:
    - {destination: {host: web, port: {number: 82}}, weight: 20}
    - {destination: {host: web, port: {number: 81}}, weight: 80}
"""
POLICIES = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: all-attributes, namespace: shop}
spec:
  action: DENY
  rules:
  - from:
    - source:
        principals: ["*", "*/sa/a", "cluster.local/ns/a/*", cluster.local/ns/a/sa/b]
        notPrincipals: [other/ns/a/sa/b]
        requestPrincipals: ["*", "https://a/b", "iss*", "*sub"]
        namespaces: [a, "b*", "*c", "*"]
        ipBlocks: [10.0.0.0/8, "fd00::/8"]
        notIpBlocks: [10.0.0.1]
        remoteIpBlocks: [192.168.0.1]
        trustDomains: [td]
    - source: {serviceAccounts: [a, b/c]}
    to:
    - operation:
        hosts: ["*", a.com, "*.b.com", "c.*"]
        ports: ["80"]
        notPorts: ["81"]
        methods: [GET, "*"]
        paths: [/a, /b*, "*c", "*", "/d/{*}/e", "/f/{**}"]
        notPaths: ["/g/{*}"]
    when:
    - {key: "request.headers[x-a]", values: [a, "*"], notValues: [b*]}
    - {key: "request.auth.claims[a][b]", values: [c]}
    - {key: request.auth.audiences, values: [c]}
    - {key: request.auth.presenter, values: [c]}
    - {key: request.auth.principal, values: [c/d]}
    - {key: source.ip, values: [10.0.0.1]}
    - {key: remote.ip, values: [10.0.0.1]}
    - {key: source.namespace, values: [a]}
    - {key: source.serviceAccount, values: [a/b]}
    - {key: source.trustDomain, values: [td]}
    - {key: source.principal, values: [td/ns/a/sa/b]}
    - {key: destination.ip, values: [10.0.0.1]}
    - {key: destination.port, values: ["80"]}
    - {key: connection.sni, values: ["*.a.com"]}
    - {key: "experimental.envoy.filters.network.mysql_proxy[db.t]", values: ["[a]", b]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nothing, namespace: shop}
spec: {}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: audit, namespace: shop}
spec: {action: AUDIT, rules: [{}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: custom, namespace: shop}
spec: {action: CUSTOM, provider: {name: x}, rules: [{}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: trial, namespace: shop, annotations: {istio.io/dry-run: "true"}}
spec: {rules: [{}]}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: shop}
spec:
  jwtRules:
  - issuer: https://a
    jwks: '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}'
    audiences: [a]
    fromHeaders: [{name: x-token, prefix: "Token "}]
    fromParams: [token]
    fromCookies: [token]
    forwardOriginalToken: true
    outputPayloadToHeader: x-payload
    outputClaimToHeaders: [{header: x-sub, claim: sub}]
    spaceDelimitedClaims: [groups]
  - {issuer: https://b, jwksUri: https://b/keys}
  - {issuer: https://c, jwks: '{"keys":[]}'}
"""
MODES = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: mode, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  mtls: {{mode: {mode}}}
  portLevelMtls: {{9999: {{mode: PERMISSIVE}}, 84: {{mode: DISABLE}}}}
"""
EVERY_TLS = DownstreamTls(
    certificates=(MeshSecret(name="default"),),
    client_certificate=ClientCertificate.OPTIONAL,
    trust=MeshSecret(name="ROOTCA"),
    alt_names=(AltName(AltNameKind.DNS, StringMatch(MatchKind.SUFFIX, ".a.com")),),
    certificate_hashes=("ab" * 32,),
    spki_hashes=("NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A=",),
    alpn=("h2",),
    min_version=TlsVersion.TLS1_0,
    max_version=TlsVersion.TLS1_3,
    cipher_suites=("ECDHE-RSA-AES128-GCM-SHA256",),
    ecdh_curves=("P-256",),
)
EDGE = HttpConnectionManager(
    stat_prefix="edge",
    route=NoRoute(),
    filters=(Router(),),
    server_header=ServerHeader.APPEND_IF_ABSENT,
    forward_client_cert=ForwardClientCert.SANITIZE_SET,
    describe_client_cert=True,
    path_normalization=PathNormalization.DECODE_AND_MERGE_SLASHES,
    use_remote_address=True,
    trusted_hops=2,
    idle_timeout=timedelta(hours=1),
    max_connection_duration=timedelta(hours=2),
    max_requests_per_connection=5,
    max_concurrent_streams=100,
    accept_http_10=True,
    preserve_header_case=True,
)


def revocation_list() -> bytes:
    """An empty list of some authority."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(tz=UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
    builder = x509.CertificateRevocationListBuilder(name, now, now + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def registry(*texts: str, settings: str = "accessLogFile: /dev/stdout") -> Registry:
    db = Registry()
    decoded = [decode(document) for text in texts for document in yaml.safe_load_all(text)]
    refused = [str(problem) for each in decoded if each.rejected for problem in each.problems]
    assert not refused, refused
    replace_all(db, [each.object for each in decoded], mesh=MeshConfig.model_validate(yaml.safe_load(settings)))
    return db


def everything(db: Registry) -> list[Listener]:
    client, inbound = client_of(db, WEB), inbound_id(db, WEB)
    assert client is not None
    assert inbound is not None
    keys = (*outbound_listener_ids(db, client), http_proxy_id(15080))
    return [inbound_listener(db, inbound), readiness_listener(), *(outbound_listener(db, key) for key in keys)]


@pytest.fixture
def validate(envoy_binary: Path, tmp_path: Path) -> Callable[[list[Listener], Registry | None], str]:
    """Asks Envoy about these listeners, assembled as a sidecar would have them; gives what it says against them."""
    (tmp_path / "certs").mkdir()
    for name, path in (("default", "certs/sds-default.json"), ("ROOTCA", "certs/sds-rootca.json")):
        secret = {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "name": name}
        (tmp_path / path).write_text(json.dumps({"resources": [secret]}))

    def ask(listeners: list[Listener], db: Registry | None = None) -> str:
        bootstrap = Bootstrap(node=Node(id="sidecar~127.0.0.1~a.b~b.svc", cluster="a"))
        bootstrap.static_resources.listeners.extend(build_listener(listener) for listener in listeners)
        inbound = inbound_id(db, WEB) if db else None
        served = inbound_clusters(db, inbound) if db and inbound else ()
        bootstrap.static_resources.clusters.extend(build_cluster(each) for each in (*served, *special_clusters()))
        config: dict[str, Any] = MessageToDict(bootstrap, preserving_proto_field_name=True)
        service = {"envoy_grpc": {"cluster_name": "BlackHoleCluster"}}
        ads = {"api_type": "DELTA_GRPC", "transport_api_version": "V3", "grpc_services": [service]}
        config["dynamic_resources"] = {"ads_config": ads}
        (tmp_path / "bootstrap.json").write_text(json.dumps(config))
        result = subprocess.run(
            [envoy_binary, "--mode", "validate", "-c", "bootstrap.json", "--log-level", "warning"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return result.stderr if result.returncode or "eprecated" in result.stderr else ""

    return ask


@pytest.mark.parametrize("mode", ["STRICT", "PERMISSIVE", "DISABLE"])
def test_envoy_accepts_every_mode_protocol_and_attribute(validate: Callable[..., str], mode: str) -> None:
    db = registry(SHOP, POLICIES, MODES.format(mode=mode))
    assert validate(everything(db), db) == ""


@pytest.mark.parametrize(
    "settings",
    [
        "{}",
        "{accessLogFile: a.log, accessLogEncoding: JSON, outboundTrafficPolicy: {mode: REGISTRY_ONLY}}",
        "{pathNormalization: {normalization: DECODE_AND_MERGE_SLASHES}, trustDomainAliases: [a, b]}",
    ],
)
def test_envoy_accepts_every_mesh_setting(validate: Callable[..., str], settings: str) -> None:
    db = registry(SHOP, settings=settings)
    assert validate(everything(db), db) == ""


def test_envoy_accepts_the_listeners_of_a_shared_machine(validate: Callable[..., str]) -> None:
    db = registry(SHOP, POLICIES)
    ports = tuple((port, 20000 + port) for port in (80, 81, 82, 83, 84))
    db.local_ports.put(("shop", "web-0"), LocalPorts(inbound=ports, application=((80, 30080),), proxy=20999))
    assert validate(everything(db), db) == ""


def test_envoy_accepts_every_setting_of_an_edge(validate: Callable[..., str]) -> None:
    chain = FilterChain(
        name="a",
        match=FilterChainMatch(server_names=("*.a.com",), prefix_ranges=("::/0",)),
        filters=(EDGE,),
        tls=EVERY_TLS,
    )
    asked = replace(EVERY_TLS, client_certificate=ClientCertificate.NOT_ASKED)
    listener = Listener(
        name="edge",
        addresses=(Address("0.0.0.0", 8443), Address("::", 8443)),
        direction=Direction.OUTBOUND,
        listener_filters=tuple(ListenerFilter(each) for each in Inspection),
        filter_chains=(chain,),
        default_filter_chain=FilterChain(name="b", filters=(EDGE,), tls=asked),
    )
    assert validate([listener]) == ""


def test_envoy_accepts_an_edge_at_a_unix_socket_with_a_revocation_list(
    validate: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "crl.pem").write_bytes(revocation_list())
    for trust in (MeshSecret(name="ROOTCA", revoked="crl.pem"), PushedSecret(name="kubernetes://a", revoked="crl.pem")):
        listener = Listener(
            name="edge",
            addresses=(Address(f"unix://{tmp_path}/edge.sock", 443),),
            direction=Direction.OUTBOUND,
            filter_chains=(FilterChain(name="a", filters=(EDGE,), tls=replace(EVERY_TLS, trust=trust)),),
        )
        assert validate([listener]) == ""
