"""Which namespaces need the mesh's roots: those of the mesh, and wherever a proxy runs all the same."""

import pytest

from weft_core.model.kubernetes import Container, Namespace, ObjectMeta, Pod, PodSpec
from weft_core.registry import Registry
from weft_core.view.mesh_namespaces import mesh_namespaces


@pytest.fixture
def registry() -> Registry:
    """Namespaces of all sorts."""
    db = Registry()
    for name, labels in {
        "labelled": {"weft.dev/injection": "enabled"},
        "canary": {"weft.dev/rev": "canary"},
        "istio": {"istio-injection": "enabled"},
        "plain": {},
        "weft-system": {"weft.dev/injection": "enabled"},
    }.items():
        db.namespaces.put(name, Namespace(metadata=ObjectMeta(name=name, labels=labels)))
    return db


def pod(namespace: str, *containers: str) -> Pod:
    return Pod(
        metadata=ObjectMeta(name="p", namespace=namespace),
        spec=PodSpec(containers=tuple(Container(name=name) for name in containers)),
    )


def test_the_labelled_ones_of_the_revision_count_and_the_own_one_never(registry: Registry) -> None:
    assert mesh_namespaces(registry, "default", "weft-system", False) == {"labelled"}
    assert mesh_namespaces(registry, "canary", "weft-system", False) == {"canary"}
    assert mesh_namespaces(registry, "default", "weft-system", True) == {"labelled", "istio"}


def test_a_namespace_without_a_label_counts_while_a_proxy_runs_there(registry: Registry) -> None:
    registry.pods.put(("plain", "p"), pod("plain", "app"))
    assert "plain" not in mesh_namespaces(registry, "default", "weft-system", False)
    registry.pods.put(("plain", "p"), pod("plain", "app", "istio-proxy"))
    assert "plain" in mesh_namespaces(registry, "default", "weft-system", False)
    registry.pods.put(("plain", "p"), None)
    assert "plain" not in mesh_namespaces(registry, "default", "weft-system", False)


def test_one_that_is_being_deleted_takes_no_new_objects(registry: Registry) -> None:
    gone = ObjectMeta(
        name="labelled", labels={"weft.dev/injection": "enabled"}, deletion_timestamp="2026-01-01T00:00:00Z"
    )
    registry.namespaces.put("labelled", Namespace(metadata=gone))
    registry.pods.put(("labelled", "p"), pod("labelled", "istio-proxy"))
    assert mesh_namespaces(registry, "default", "weft-system", False) == frozenset()
