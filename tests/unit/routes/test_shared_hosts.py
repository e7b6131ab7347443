"""Sharing a host's virtual hosts among clients never changes what a client is sent."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from weft_core.view.shared_hosts import particular_namespaces
from weft_core.view.virtual_hosts import own_virtual_host_ids, service_virtual_host_ids
from weft_core.view.visibility import Client, visible_services

if TYPE_CHECKING:
    from tests.unit.routes.conftest import Mesh

HOST = "reviews.default.svc.cluster.local"
TO_REVIEWS = f"route: [{{destination: {{host: {HOST}}}}}]"
HASH = "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}}"
CLIENTS = [
    Client(namespace=namespace, labels=labels, local=local)
    for namespace in ("default", "other", "third", "istio-system")
    for labels in ((), (("app", "a"),))
    for local in (False, True)
]


def plain(mesh: "Mesh") -> None:
    mesh.route(f"{{hosts: [{HOST}], http: [{{timeout: 1s, {TO_REVIEWS}}}]}}")


def namespaces_with_rules(mesh: "Mesh") -> None:
    mesh.rule(f"{{host: {HOST}, {HASH}}}", namespace="other")
    mesh.rule(f"{{host: '*.default.svc.cluster.local', {HASH}}}", namespace="istio-system")


def rule_of_a_destination(mesh: "Mesh") -> None:
    mesh.service("ratings")
    mesh.rule(f"{{host: ratings.default.svc.cluster.local, {HASH}}}", namespace="other")
    mesh.route(f"{{hosts: [{HOST}], http: [{{route: [{{destination: {{host: ratings}}}}]}}]}}")


def private_rules(mesh: "Mesh") -> None:
    mesh.rule(f"{{host: {HOST}, exportTo: [third], {HASH}}}")
    mesh.route(f"{{hosts: [{HOST}], exportTo: [.], http: [{{timeout: 1s, {TO_REVIEWS}}}]}}", namespace="other")


def rules_about_clients(mesh: "Mesh") -> None:
    labels = f"{{match: [{{sourceLabels: {{app: a}}}}], {TO_REVIEWS}}}"
    namespace = f"{{match: [{{sourceNamespace: other}}], timeout: 1s, {TO_REVIEWS}}}"
    mesh.route(f"{{hosts: [{HOST}], http: [{labels}, {namespace}]}}")
    mesh.rule(f"{{host: {HOST}, workloadSelector: {{matchLabels: {{app: a}}}}, {HASH}}}", namespace="third")


def names_in_contention(mesh: "Mesh") -> None:
    mesh.service("alias", namespace="other", type="ExternalName", externalName=HOST, clusterIP="")
    mesh.entry(
        "{hosts: [reviews.default], exportTo: [.], resolution: NONE,"
        " ports: [{number: 80, name: http, protocol: HTTP}]}",
        namespace="other",
    )
    mesh.route(f"{{hosts: [reviews.default.svc], exportTo: [.], http: [{{{TO_REVIEWS}}}]}}", namespace="third")


def declared_twice(mesh: "Mesh") -> None:
    entry = "{hosts: [a.example], MORE addresses: [10.0.0.1], resolution: STATIC, ports: [HTTP80]}"
    entry = entry.replace("HTTP80", "{number: 80, name: http, protocol: HTTP}")
    mesh.entry(entry.replace("MORE", ""))
    mesh.entry(entry.replace("MORE", ""), namespace="other")
    mesh.entry(entry.replace("MORE", "exportTo: [.],"), namespace="third")


@pytest.mark.parametrize(
    "change",
    [
        plain,
        namespaces_with_rules,
        rule_of_a_destination,
        private_rules,
        rules_about_clients,
        names_in_contention,
        declared_twice,
    ],
)
def test_shared_virtual_hosts_are_the_clients_own(mesh: "Mesh", change: "Callable[[Mesh], None]") -> None:
    change(mesh)
    for client in CLIENTS:
        for ref in visible_services(mesh.db, client):
            shared = service_virtual_host_ids(mesh.db, client, ref)
            assert shared == own_virtual_host_ids(mesh.db, client, ref), (client, ref)


def test_only_the_services_own_namespace_is_particular(mesh: "Mesh") -> None:
    plain(mesh)
    assert particular_namespaces(mesh.db, HOST) == frozenset({"default"})
    namespaces_with_rules(mesh)
    assert particular_namespaces(mesh.db, HOST) == frozenset({"default", "other", "istio-system"})


def test_sidecar_resources_make_every_host_particular(mesh: "Mesh") -> None:
    client = mesh.sidecar("egress: [{hosts: ['*/*']}]", namespace="other")
    for ref in visible_services(mesh.db, client):
        assert service_virtual_host_ids(mesh.db, client, ref) == own_virtual_host_ids(mesh.db, client, ref)
