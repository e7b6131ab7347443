"""Kubernetes' objects in the registry's tables: what is kept, what is equal, what is left out."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from weft_core.model import kubernetes as k8s
from weft_core.registry import Registry
from weft_operator.ingest.kubernetes import SECRETS, SOURCES, Source, TableSink
from weft_operator.ingest.metrics import IngestMetrics


class Ingest:
    """Sinks of all kinds on one registry, fed with documents as the API server has them."""

    def __init__(self) -> None:
        self.db = Registry()
        self.changes = 0
        self.counted = CollectorRegistry()
        metrics = IngestMetrics(self.counted)
        self.sinks = {
            source.kind: self._sink(source, metrics, namespace)
            for source, namespace in [*((each, "") for each in SOURCES), (SECRETS, "shop")]
        }

    def _sink(self, source: Source, metrics: IngestMetrics, namespace: str) -> TableSink[Any]:
        return TableSink(
            source.table(self.db),
            shape=source.shape,
            changed=self._changed,
            metrics=metrics,
            kind=source.kind.__name__,
            namespaced=source.resource.namespaced,
            namespace=namespace,
        )

    def _changed(self) -> None:
        self.changes += 1

    def put(self, kind: type[k8s.KubernetesObject], name: str, namespace: str = "shop", **document: Any) -> None:
        metadata = {"name": name, **document.pop("metadata", {})}
        if self.sinks[kind]._namespaced:
            metadata["namespace"] = namespace
        self.sinks[kind].put(k8s.convert({"metadata": metadata, **document}, kind))


@pytest.fixture
def ingest() -> Ingest:
    return Ingest()


def test_a_pod_whose_version_alone_changed_is_the_same_row(ingest: Ingest) -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}], "podIP": "10.0.0.1"}
    ingest.put(k8s.Pod, "a", metadata={"resourceVersion": "1"}, status=ready)
    first = ingest.db.pods.peek(("shop", "a"))
    more = {**ready, "conditions": [{"type": "Initialized", "status": "True"}, *ready["conditions"]]}
    ingest.put(k8s.Pod, "a", metadata={"resourceVersion": "2"}, status=more)
    assert ingest.db.pods.peek(("shop", "a")) is first
    assert first is not None
    assert first.ready


def test_a_nodes_heartbeat_and_a_slices_time_stamp_disturb_nobody(ingest: Ingest) -> None:
    ingest.put(k8s.Node, "n", metadata={"resourceVersion": "1", "annotations": {"a": "1"}, "labels": {"zone": "a"}})
    ingest.put(k8s.EndpointSlice, "s", metadata={"generation": 1, "annotations": {"last-change": "1"}})
    node, slices = ingest.db.nodes.peek("n"), ingest.db.endpoint_slices.peek(("shop", "s"))
    ingest.put(k8s.Node, "n", metadata={"resourceVersion": "2", "annotations": {"a": "2"}, "labels": {"zone": "a"}})
    ingest.put(k8s.EndpointSlice, "s", metadata={"generation": 2, "annotations": {"last-change": "2"}})
    assert ingest.db.nodes.peek("n") is node
    assert ingest.db.endpoint_slices.peek(("shop", "s")) is slices


def test_services_keep_their_annotations_which_have_a_meaning(ingest: Ingest) -> None:
    ingest.put(k8s.Service, "s", metadata={"annotations": {"networking.istio.io/exportTo": "."}})
    row = ingest.db.services.peek(("shop", "s"))
    assert row is not None
    assert row.annotations == {"networking.istio.io/exportTo": "."}


def test_pods_keep_their_ports_and_not_their_environment(ingest: Ingest) -> None:
    container = {
        "name": "app",
        "ports": [{"name": "http", "containerPort": 80}],
        "env": [{"name": "PASSWORD", "value": "x"}],
        "args": ["--password=x"],
    }
    ingest.put(k8s.Pod, "a", spec={"containers": [container]})
    row = ingest.db.pods.peek(("shop", "a"))
    assert row is not None
    kept = row.spec.containers[0]
    assert kept.ports[0].name == "http"
    assert (kept.env, kept.args, kept.command) == ((), (), ())


def test_a_pod_that_has_ended_is_no_longer_one(ingest: Ingest) -> None:
    ingest.put(k8s.Pod, "a", status={"phase": "Running"})
    assert len(ingest.db.pods) == 1
    ingest.put(k8s.Pod, "a", status={"phase": "Succeeded"})
    assert len(ingest.db.pods) == 0


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("kubernetes.io/tls", {"tls.crt", "tls.key"}),
        ("Opaque", {"cert", "key", "cacert"}),
        ("Opaque", {"ca.crt"}),
    ],
)
def test_secrets_with_certificates_are_kept_without_anything_else(ingest: Ingest, kind: str, keys: set[str]) -> None:
    ingest.put(k8s.Secret, "s", type=kind, data=dict.fromkeys({*keys, "password"}, "eA=="))
    row = ingest.db.secrets.peek(("shop", "s"))
    assert row is not None
    assert set(row.data or {}) == keys


@pytest.mark.parametrize(
    "data",
    [
        {"password": "eA=="},
        {"ca-cert.pem": "eA==", "ca-key.pem": "eA==", "root-cert.pem": "eA==", "cert-chain.pem": "eA=="},
        {"credentials.pem": "eA=="},
        {},
    ],
    ids=["a password", "the mesh's root", "a workload's key", "nothing"],
)
def test_other_secrets_are_not_kept(ingest: Ingest, data: dict[str, str]) -> None:
    ingest.put(k8s.Secret, "s", data=data)
    assert len(ingest.db.secrets) == 0


def test_service_account_tokens_and_helm_releases_are_not_even_asked_for() -> None:
    assert "type!=kubernetes.io/service-account-token" in SECRETS.fields.split(",")
    assert "type!=helm.sh/release.v1" in SECRETS.fields.split(",")


def test_a_complete_list_removes_what_it_lacks(ingest: Ingest) -> None:
    ingest.put(k8s.Pod, "a")
    ingest.put(k8s.Pod, "b")
    ingest.put(k8s.Namespace, "shop")
    ingest.put(k8s.Namespace, "other")
    ingest.sinks[k8s.Pod].retain({("shop", "b")})
    ingest.sinks[k8s.Namespace].retain({("", "shop")})
    assert list(ingest.db.pods) == [("shop", "b")]
    assert list(ingest.db.namespaces) == ["shop"]
    vanished = {"kind": "Pod", "type": "vanished"}
    assert ingest.counted.get_sample_value("weft_ingest_events_total", vanished) == 1
    assert ingest.counted.get_sample_value("weft_ingest_synced", {"kind": "Pod"}) == 1


def test_a_list_of_one_namespace_leaves_the_others(ingest: Ingest) -> None:
    ingest.put(k8s.Secret, "s", "shop", data={"ca.crt": "eA=="})
    ingest.put(k8s.Secret, "s", "elsewhere", data={"ca.crt": "eA=="})
    ingest.sinks[k8s.Secret].retain(set())
    assert list(ingest.db.secrets) == [("elsewhere", "s")]


def test_every_write_and_every_removal_is_told(ingest: Ingest) -> None:
    ingest.put(k8s.Namespace, "shop")
    ingest.sinks[k8s.Namespace].remove(("", "shop"))
    assert ingest.changes == 2
    assert len(ingest.db.namespaces) == 0
