"""Decoding: envelopes, metadata, kinds, lines; Kubernetes objects."""

# ruff: noqa: E501  (tables of YAML read best with a case on a line)

import time
from typing import Any

import msgspec
import pytest

from weft_core.model import kubernetes as k8s
from weft_core.model.decode import decode
from weft_core.model.kinds import BY_API, KINDS, MESH_KINDS
from weft_core.model.meta import Config, Meta
from weft_core.model.mistake import Path
from weft_core.problems import Code, ObjectRef, Severity, Source

VIRTUAL_SERVICE: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1beta1",
    "kind": "VirtualService",
    "metadata": {"name": "reviews", "labels": {"a": "b"}, "creationTimestamp": "2024-01-01T00:00:00Z", "generation": 3},
    "spec": {
        "hosts": ["reviews"],
        "http": [
            {
                "match": [{"headers": {"end-user": {"exact": "jason"}}}],
                "route": [{"destination": {"host": "reviews", "subset": "v2"}}],
                "timeout": "1s",
            },
            {"route": [{"destination": {"host": "reviews", "subset": "v1"}}]},
        ],
    },
    "status": {"anything": None},
}


def test_a_mesh_resource_becomes_a_config() -> None:
    source = Source(file="a.yaml", line=7)
    decoded = decode(VIRTUAL_SERVICE, source)
    assert decoded.problems == ()
    assert isinstance(decoded.object, Config)
    meta = decoded.object.meta
    assert meta.ref == decoded.ref == ObjectRef(kind="VirtualService", namespace="default", name="reviews")
    assert (meta.created, meta.generation, meta.labels, meta.source) == ("2024-01-01T00:00:00Z", 3, {"a": "b"}, source)
    assert hash(decoded.object) == hash(decode(VIRTUAL_SERVICE).object)


def test_a_new_generation_or_place_is_no_difference_and_a_new_label_is() -> None:
    def with_metadata(**fields: Any) -> Any:
        return decode({**VIRTUAL_SERVICE, "metadata": {**VIRTUAL_SERVICE["metadata"], **fields}}).object

    assert with_metadata(generation=9, resourceVersion="77") == decode(VIRTUAL_SERVICE, Source(file="b", line=2)).object
    assert with_metadata(labels={}) != decode(VIRTUAL_SERVICE).object


@pytest.mark.parametrize("api", sorted({api for k in MESH_KINDS for api in k.api_versions}))
def test_every_served_version_of_a_group_holds_its_kinds(api: str) -> None:
    assert {k.kind for (found, _), k in BY_API.items() if found == api} == {
        k.kind for k in KINDS if k.group == api.partition("/")[0]
    }


def test_oldest_first_then_by_name_then_by_namespace() -> None:
    metas = [
        Meta(kind="K", namespace="b", name="x", created="2024-01-02T00:00:00Z"),
        Meta(kind="K", namespace="b", name="b", created="2024-01-01T00:00:00Z"),
        Meta(kind="K", namespace="b", name="a", created="2024-01-01T00:00:00Z"),
        Meta(kind="K", namespace="a", name="a", created="2024-01-01T00:00:00Z"),
        Meta(kind="K", namespace="z", name="file"),
    ]
    ordered = sorted(metas, key=lambda m: m.age_key)
    assert [(m.namespace, m.name) for m in ordered] == [("z", "file"), ("a", "a"), ("b", "a"), ("b", "b"), ("b", "x")]


@pytest.mark.parametrize(
    ("api", "kind", "severity", "fix"),
    [
        ("networking.istio.io/v1", "VirtualServce", Severity.ERROR, "write kind: VirtualService"),
        ("networking.istio.io/v1", "virtualservices", Severity.ERROR, "write kind: VirtualService"),
        ("networking.istio.io/v2", "Gateway", Severity.ERROR, "write apiVersion: networking.istio.io/v1"),
        ("networking.istio.io/v1", "PeerAuthentication", Severity.ERROR, "write apiVersion: security.istio.io/v1"),
        ("netwerking.istio.io/v1", "Sidecar", Severity.ERROR, "write apiVersion: networking.istio.io/v1"),
        ("v1", "VirtualService", Severity.ERROR, "write apiVersion: networking.istio.io/v1"),
        ("security.istio.io/v1", "Banana", Severity.ERROR, "write one of VirtualService"),
        ("v1", "Services", Severity.ERROR, "write kind: Service"),
        ("extensions/v1beta1", "Deployment", Severity.ERROR, "write apiVersion: apps/v1"),
        ("networking.istio.io/v1alpha3", "EnvoyFilter", Severity.WARNING, "remove it"),
        ("gateway.networking.k8s.io/v1", "Gateway", Severity.WARNING, "write Istio's Gateway"),
        ("autoscaling/v2", "HorizontalPodAutoscaler", Severity.INFO, ""),
        ("networking.k8s.io/v1", "Ingress", Severity.INFO, ""),
        ("v1", "PersistentVolumeClaim", Severity.INFO, ""),
        ("example.com/v1", "Gateway", Severity.INFO, ""),
    ],
)
def test_unknown_kinds(api: str, kind: str, severity: Severity, fix: str) -> None:
    decoded = decode({"apiVersion": api, "kind": kind, "metadata": {"name": "a"}})
    [problem] = decoded.problems
    assert decoded.object is None
    assert (problem.code, problem.severity) == (Code.UNKNOWN_KIND, severity)
    assert problem.fix.startswith(fix)
    assert decoded.rejected == (severity is Severity.ERROR)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"kind": "Service"}, "apiVersion"),
        ({"apiVersion": "v1"}, "kind"),
        ([], ""),
        ("text", ""),
        (None, ""),
        ({"apiVersion": "v1", "kind": "Service"}, "metadata"),
        ({"apiVersion": "v1", "kind": "Service", "metadata": {}}, "metadata.name"),
        ({"apiVersion": "v1", "kind": "Service", "metadata": {"name": 1}}, "metadata.name"),
        ({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "labels": {"v": 1.0}}}, "metadata.labels.v"),
        ({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "labels": []}}, "metadata.labels"),
        ({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "My_Service"}}, "metadata.name"),
        ({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a\x1b[2J"}}, "metadata.name"),
    ],
)
def test_broken_envelopes(document: object, path: str) -> None:
    decoded = decode(document)
    assert decoded.object is None
    assert decoded.rejected
    assert path in [p.path for p in decoded.problems]


def test_a_spec_that_is_a_list_is_refused() -> None:
    [problem] = decode({**VIRTUAL_SERVICE, "spec": []}).problems
    assert (problem.path, problem.message) == ("spec", "`spec` is a map, and this is a list")


def test_a_field_beside_spec_is_told_where_it_belongs() -> None:
    [problem] = decode({**VIRTUAL_SERVICE, "http": []}).problems
    assert (problem.path, problem.fix) == ("http", "move it to spec.http")


def test_problems_have_the_line_of_the_field() -> None:
    lines: dict[Path, int] = {("spec", "hosts"): 12, ("kind",): 3}
    decoded = decode(
        {**VIRTUAL_SERVICE, "spec": {"hosts": "a", "http": [{"redirect": {"uri": "/"}}]}},
        Source(file="a.yaml", line=1),
        lambda path: lines.get(path, 1),
    )
    assert [p.source for p in decoded.problems] == [Source(file="a.yaml", line=12)]


def test_a_virtual_service_is_decoded_well_below_a_millisecond() -> None:
    decode(VIRTUAL_SERVICE)
    best = min(_seconds() for _ in range(200))
    assert best < 0.0005


def _seconds() -> float:
    start = time.perf_counter()
    decode(VIRTUAL_SERVICE)
    return time.perf_counter() - start


def kubernetes(kind: str, **fields: Any) -> Any:
    api = next(api for api, name in BY_API if name == kind)
    decoded = decode({"apiVersion": api, "kind": kind, "metadata": {"name": "a"}, **fields})
    assert decoded.problems == ()
    return decoded.object


def test_services() -> None:
    found = kubernetes(
        "Service",
        spec={
            "clusterIP": "None",
            "clusterIPs": ["None"],
            "ports": [
                {"port": 80, "targetPort": "http", "appProtocol": "grpc", "name": "x"},
                {"port": 81, "targetPort": 8081},
            ],
            "selector": {"app": "a"},
            "externalName": None,
            "trafficDistribution": "PreferClose",
            "sessionAffinityConfig": {"unknown": "fields are skipped"},
        },
    )
    assert isinstance(found, k8s.Service)
    assert found.spec.cluster_ip == "None"
    assert [p.target_port for p in found.spec.ports] == ["http", 8081]
    assert found.ref == ObjectRef(kind="Service", namespace="default", name="a")


def test_pods() -> None:
    found = kubernetes(
        "Pod",
        spec={"containers": [{"name": "a", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "b"}]}]},
        status={
            "podIP": "10.0.0.1",
            "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    )
    assert isinstance(found, k8s.Pod)
    assert found.ready
    assert found.ips == ("10.0.0.1", "fd00::1")
    assert found.service_account == "default"


def test_endpoint_slices_read_null_lists_as_empty() -> None:
    found = msgspec.json.decode(
        b'{"metadata": {"name": "a", "labels": {"kubernetes.io/service-name": "web"}}, "endpoints": null, "ports": null}',
        type=k8s.EndpointSlice,
    )
    assert (found.endpoints, found.ports, found.service) == ((), (), "web")


def test_cluster_scoped_objects_have_no_namespace() -> None:
    assert kubernetes("Namespace").ref == ObjectRef(kind="Namespace", name="a")
    assert kubernetes("Node", status={"addresses": [{"type": "InternalIP", "address": "1.2.3.4"}]}).namespace == ""


def test_workloads_have_pod_templates() -> None:
    found = kubernetes(
        "Deployment",
        spec={
            "replicas": 2,
            "selector": {"matchLabels": {"app": "a"}},
            "template": {"metadata": {"creationTimestamp": None, "labels": {"app": "a"}}, "spec": {"containers": []}},
        },
    )
    assert isinstance(found, k8s.Workload)
    assert found.spec.template.metadata.labels == {"app": "a"}


def test_a_kubernetes_object_of_the_wrong_shape_is_refused_with_its_path() -> None:
    decoded = decode(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"port": "http"}]}}
    )
    [problem] = decoded.problems
    assert problem.path == "spec.ports[0].port"
    assert decoded.rejected
