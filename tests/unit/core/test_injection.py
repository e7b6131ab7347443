"""Which pods are to have a sidecar: who decides, and of which revision it is."""

from collections.abc import Mapping

import pytest

from weft_core.injection import choose, choose_for, has_proxy
from weft_core.model import kubernetes as k8s

ENABLED = {"weft.dev/injection": "enabled"}
DISABLED = {"weft.dev/injection": "disabled"}
WANTED = {"weft.dev/inject": "true"}
UNWANTED = {"weft.dev/inject": "false"}
ISTIO_WANTED = {"sidecar.istio.io/inject": "true"}
ISTIO_UNWANTED = {"sidecar.istio.io/inject": "false"}


@pytest.mark.parametrize(
    ("namespace_labels", "labels", "annotations", "wanted"),
    [
        ({}, {}, {}, False),
        (ENABLED, {}, {}, True),
        (ENABLED, UNWANTED, {}, False),
        (ENABLED, ISTIO_UNWANTED, {}, False),
        (ENABLED, {}, UNWANTED, False),
        (ENABLED, {}, ISTIO_UNWANTED, False),
        ({}, WANTED, {}, True),
        ({}, ISTIO_WANTED, {}, True),
        ({}, {}, WANTED, True),
        (ENABLED, WANTED, UNWANTED, True),
        (ENABLED, UNWANTED, WANTED, False),
        (ENABLED, WANTED | ISTIO_UNWANTED, {}, True),
        (ENABLED, UNWANTED | ISTIO_WANTED, {}, False),
        (ENABLED, {}, UNWANTED | ISTIO_WANTED, False),
        ({}, ISTIO_WANTED, UNWANTED, True),
        (DISABLED, {}, {}, False),
        ({"weft.dev/injection": "maybe"}, {}, {}, False),
    ],
)
def test_a_pods_label_beats_its_annotation_and_both_beat_the_namespace(
    namespace_labels: Mapping[str, str], labels: Mapping[str, str], annotations: Mapping[str, str], wanted: bool
) -> None:
    choice = choose(namespace="shop", namespace_labels=namespace_labels, labels=labels, annotations=annotations)
    assert choice.wanted == wanted
    assert choice.revision == ("default" if wanted else "")
    assert choice.reason


@pytest.mark.parametrize("labels", [WANTED, ISTIO_WANTED, {"weft.dev/rev": "canary"}])
def test_the_no_of_a_namespace_is_final(labels: Mapping[str, str]) -> None:
    """Istio's rule, and what the webhook's namespace selector enforces anyway."""
    assert not choose(namespace="shop", namespace_labels=DISABLED, labels=labels).wanted
    istio = {"istio-injection": "disabled"}
    assert not choose(namespace="shop", namespace_labels=istio, labels=WANTED, istio_labels=True).wanted


@pytest.mark.parametrize("value", ["true", "True", "yes", "on", "y"])
def test_booleans_are_yamls(value: str) -> None:
    assert choose(namespace="shop", labels={"weft.dev/inject": value}).wanted


def test_a_misspelt_word_takes_no_pod_out_of_the_mesh() -> None:
    assert choose(namespace="shop", namespace_labels=ENABLED, labels={"weft.dev/inject": "flase"}).wanted
    assert not choose(namespace="shop", labels={"weft.dev/inject": "ture"}).wanted


@pytest.mark.parametrize("namespace", ["kube-system", "kube-public", "kube-node-lease", "weft-system"])
def test_some_namespaces_never_have_sidecars(namespace: str) -> None:
    choice = choose(namespace=namespace, namespace_labels=ENABLED, labels=WANTED, own_namespace="weft-system")
    assert not choice.wanted


@pytest.mark.parametrize(
    ("namespace_labels", "labels", "revision"),
    [
        (ENABLED, {}, "default"),
        ({"weft.dev/rev": "canary"}, {}, "canary"),
        (ENABLED | {"weft.dev/rev": "canary"}, {}, "canary"),
        ({"weft.dev/rev": "canary"}, {"weft.dev/rev": "old"}, "canary"),
        (ENABLED, {"weft.dev/rev": "old"}, "default"),
        ({}, {"weft.dev/rev": "old"}, "old"),
        ({}, WANTED | {"weft.dev/rev": "old"}, "old"),
        ({}, WANTED, "default"),
    ],
)
def test_the_namespace_chooses_the_revision_then_the_pod(
    namespace_labels: Mapping[str, str], labels: Mapping[str, str], revision: str
) -> None:
    choice = choose(namespace="shop", namespace_labels=namespace_labels, labels=labels)
    assert choice.by(revision)
    assert not choice.by("another")


def test_istios_labels_count_only_where_they_are_asked_for() -> None:
    for labels in ({"istio-injection": "enabled"}, {"istio.io/rev": "canary"}):
        assert not choose(namespace="shop", namespace_labels=labels).wanted
        assert choose(namespace="shop", namespace_labels=labels, istio_labels=True).wanted
    assert not choose(namespace="shop", labels={"istio.io/rev": "canary"}).wanted
    assert choose(namespace="shop", labels={"istio.io/rev": "canary"}, istio_labels=True).by("canary")


def test_istios_word_of_a_pod_is_left_to_istio_beside_labels_that_only_istio_heeds() -> None:
    """So no pod gets two proxies where both meshes inject, and none is missed that the webhook is never asked about."""
    for labels in ({"istio-injection": "enabled"}, {"istio-injection": "disabled"}, {"istio.io/rev": "canary"}):
        assert not choose(namespace="shop", namespace_labels=labels, labels=ISTIO_WANTED).wanted
        assert choose(namespace="shop", namespace_labels=labels, labels=WANTED | ISTIO_WANTED).wanted
        assert choose(namespace="shop", namespace_labels=labels | ENABLED, labels=ISTIO_WANTED).wanted
    assert not choose(namespace="shop", labels=ISTIO_WANTED | {"istio.io/rev": "canary"}).wanted
    assert choose(namespace="shop", labels=ISTIO_WANTED | {"weft.dev/rev": "canary"}).by("canary")


def test_istios_word_of_a_pod_can_be_left_to_istio_altogether() -> None:
    def wanted(namespace: Mapping[str, str], labels: Mapping[str, str]) -> bool:
        return choose(namespace="shop", namespace_labels=namespace, labels=labels, istio_pod_labels=False).wanted

    assert not wanted({}, ISTIO_WANTED)
    assert wanted({}, WANTED)
    assert wanted(ENABLED, ISTIO_WANTED)
    assert not wanted(ENABLED, ISTIO_UNWANTED)


def test_istios_injection_label_goes_before_its_revision() -> None:
    """Istio's upgrade guide: the one must be taken off before the other has an effect."""
    both = {"istio-injection": "enabled", "istio.io/rev": "canary"}
    assert choose(namespace="shop", namespace_labels=both, istio_labels=True).by("default")


def test_a_namespaces_own_labels_hide_istios() -> None:
    istio = {"istio-injection": "disabled", "istio.io/rev": "old"}
    assert choose(namespace="shop", namespace_labels=ENABLED | istio, istio_labels=True).by("default")
    enabled = {"istio-injection": "enabled"}
    assert not choose(namespace="shop", namespace_labels=DISABLED | enabled, istio_labels=True).wanted


def test_pods_on_the_hosts_network_are_skipped_with_a_reason() -> None:
    choice = choose(namespace="shop", namespace_labels=ENABLED, host_network=True)
    assert choice.wanted
    assert "network" in choice.skipped
    assert not choice.by("default")
    assert not choose(namespace="shop", host_network=True).skipped


def test_objects_of_the_api_server_are_read_like_their_parts() -> None:
    namespace = k8s.Namespace(metadata=k8s.ObjectMeta(name="shop", labels=ENABLED))
    pod = k8s.Pod(metadata=k8s.ObjectMeta(name="web", namespace="shop"))
    assert choose_for(pod, namespace).wanted
    assert not choose_for(pod, None).wanted


def test_a_proxy_is_known_by_its_container() -> None:
    sidecar = k8s.Container(name="istio-proxy")
    assert has_proxy(k8s.Pod(spec=k8s.PodSpec(containers=(sidecar,))))
    assert has_proxy(k8s.Pod(spec=k8s.PodSpec(init_containers=(sidecar,))))
    assert not has_proxy(k8s.Pod(spec=k8s.PodSpec(containers=(k8s.Container(name="web"),))))
