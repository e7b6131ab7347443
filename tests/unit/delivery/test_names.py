"""Names of Secrets, and whose objects are whose."""

import re

from hypothesis import given
from hypothesis import strategies as st

from weft_core.model.kubernetes import KubernetesObject, ObjectMeta, OwnerReference
from weft_injector.delivery.names import TRUST_BUNDLE_KEYS, Release, secret_name

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@given(st.text(max_size=300), st.text(max_size=300))
def test_a_secret_name_is_one_that_kubernetes_takes(workload: str, account: str) -> None:
    name = secret_name(workload, account)
    assert SUBDOMAIN.fullmatch(name)
    assert len(name) <= 253


def test_a_secret_name_shows_the_workload_and_stays_the_same() -> None:
    """It is written into pods, so it must never change from one version to the next."""
    assert secret_name("reviews-v1", "bookshop") == "weft-credentials-reviews-v1-0e648ebe414a72d8"


def test_workloads_and_accounts_that_read_alike_have_secrets_of_their_own() -> None:
    pairs = [("a-b", "c"), ("a", "b-c"), ("a.b", "c"), ("a-b-c", ""), ("A-b", "c"), ("x" * 253, "c"), ("x" * 252, "c")]
    assert len({secret_name(*pair) for pair in pairs}) == len(pairs)


def test_what_a_release_makes_belongs_to_its_cluster_role(release: Release) -> None:
    meta = release.metadata("weft-ca")
    assert meta["ownerReferences"] == [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "name": "weft-weft-system",
            "uid": release.uid,
        }
    ]
    assert meta["labels"] == {"app.kubernetes.io/managed-by": "weft", "weft.dev/control-plane": "weft-system"}


def test_revisions_own_an_object_together(release: Release) -> None:
    canary = Release(name="weft-canary", namespace="weft-system", uid="2")
    both = canary.joined(release.owner_references)
    assert [owner["name"] for owner in both] == ["weft-weft-system", "weft-canary-weft-system"]
    assert canary.joined(both) == both


def test_ownership_is_by_uid_or_for_a_release_without_one_by_labels(release: Release) -> None:
    owned = KubernetesObject(metadata=ObjectMeta(owner_references=(OwnerReference(uid=release.uid),)))
    labelled = KubernetesObject(metadata=ObjectMeta(labels=release.labels))
    anonymous = Release(name="weft", namespace="weft-system")
    assert release.owns(owned)
    assert not release.owns(labelled)
    assert anonymous.owns(labelled)
    assert not anonymous.owns(owned)
    assert "ownerReferences" not in anonymous.metadata("weft-ca")


def test_a_bundle_holds_the_roots_and_both_documents() -> None:
    assert TRUST_BUNDLE_KEYS == ("root.pem", "sds-default.json", "sds-rootca.json")
