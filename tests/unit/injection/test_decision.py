"""Who gets a proxy from this control plane; the rule itself is tested where it lives, in core."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from weft_core.proxy import ProxyKind
from weft_injector.patch.decision import Action
from weft_injector.patch.inject import Injection

Inject = Callable[..., Injection]
Pod = dict[str, Any]


def pod(**spec: Any) -> Pod:
    return {"metadata": {"name": "web-0"}, "spec": {"containers": [{"name": "app", "image": "app"}], **spec}}


def annotated(annotations: dict[str, str], labels: dict[str, str] | None = None, **spec: Any) -> Pod:
    found = pod(**spec)
    found["metadata"] |= {"annotations": annotations, "labels": labels or {}}
    return found


@pytest.mark.parametrize("namespace", ["kube-system", "kube-public", "kube-node-lease", "weft-system"])
def test_some_namespaces_never_have_sidecars(inject: Inject, namespace: str) -> None:
    wants = annotated({}, {"weft.dev/inject": "true"})
    assert inject(wants, namespace=namespace).decision.action is Action.SKIP


@pytest.mark.parametrize(
    ("namespace", "labels", "annotations", "expected"),
    [
        ({}, {}, {}, Action.SKIP),
        ({"weft.dev/injection": "enabled"}, {}, {}, Action.INJECT),
        ({"weft.dev/injection": "enabled"}, {}, {"sidecar.istio.io/inject": "false"}, Action.SKIP),
        ({}, {"sidecar.istio.io/inject": "true"}, {"sidecar.istio.io/inject": "false"}, Action.INJECT),
        ({}, {"sidecar.istio.io/inject": "true", "weft.dev/inject": "false"}, {}, Action.SKIP),
        ({"weft.dev/injection": "disabled"}, {"weft.dev/inject": "true"}, {}, Action.SKIP),
        ({"weft.dev/rev": "canary"}, {}, {}, Action.SKIP),
        ({"istio-injection": "enabled"}, {}, {}, Action.SKIP),
    ],
)
def test_labels_beat_annotations_and_the_namespace_has_the_final_no(
    inject: Inject, namespace: dict[str, str], labels: dict[str, str], annotations: dict[str, str], expected: Action
) -> None:
    found = inject(annotated(annotations, labels), namespace_labels=namespace)
    assert found.decision.action is expected
    assert found.decision.reason


def test_a_revision_injects_its_own_namespaces_only(inject: Inject) -> None:
    canary = {"revision": "canary"}
    assert inject(pod(), settings=canary, namespace_labels={"weft.dev/rev": "canary"}).decision.action is Action.INJECT
    found = inject(pod(), settings=canary, namespace_labels={"weft.dev/injection": "enabled"})
    assert (found.decision.action, found.decision.reason) == (Action.SKIP, "revision default is to add the sidecar")


def test_istios_labels_count_where_that_is_set(inject: Inject) -> None:
    settings = {"istioLabels": True}
    for labels in ({"istio-injection": "enabled"}, {"istio.io/rev": "default"}):
        assert inject(pod(), settings=settings, namespace_labels=labels).decision.action is Action.INJECT


def test_istios_word_of_a_pod_is_left_to_istio_where_that_is_set(inject: Inject) -> None:
    asking = pod()
    asking["metadata"]["labels"] = {"sidecar.istio.io/inject": "true"}
    assert inject(asking, namespace_labels={}).decision.action is Action.INJECT
    found = inject(asking, settings={"istioPodLabels": False}, namespace_labels={})
    assert (found.decision.action, found.decision.reason) == (
        Action.SKIP,
        "the pod's label sidecar.istio.io/inject=true is meant for Istio",
    )


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"hostNetwork": True}, "node's network"),
        ({"os": {"name": "windows"}}, "Windows"),
        ({"nodeSelector": {"kubernetes.io/os": "windows"}}, "Windows"),
        ({"nodeSelector": {"beta.kubernetes.io/os": "windows"}}, "Windows"),
    ],
)
def test_a_pod_that_can_have_none_says_why(inject: Inject, spec: Pod, reason: str) -> None:
    found = inject(pod(**spec))
    assert found.decision.action is Action.SKIP_ALOUD
    assert found.pod is not None
    assert reason in found.pod["metadata"]["annotations"]["weft.dev/injection-skipped"]
    assert found.pod["spec"] == pod(**spec)["spec"]
    again = inject(found.pod)
    assert again.pod == found.pod


@pytest.mark.parametrize("spec", [{"os": {"name": "linux"}}, {"nodeSelector": {"kubernetes.io/os": "linux"}}])
def test_a_pod_that_says_linux_is_as_one_that_says_nothing(inject: Inject, spec: Pod) -> None:
    assert inject(pod(**spec)).decision.action is Action.INJECT


def test_a_static_pods_mirror_has_no_part_in_what_runs(inject: Inject) -> None:
    found = inject(annotated({"kubernetes.io/config.mirror": "5f", "kubernetes.io/config.source": "file"}))
    assert found.decision.action is Action.SKIP_ALOUD
    assert "static" in found.decision.reason


def test_a_pod_on_the_host_network_that_nobody_wants_injected_is_left_alone(inject: Inject) -> None:
    given = pod(hostNetwork=True)
    assert inject(given, namespace_labels={}).pod is given


def test_an_injected_pod_is_left_alone(inject: Inject) -> None:
    once = inject(pod())
    assert once.pod is not None
    twice = inject(once.pod)
    assert (twice.decision.action, twice.pod) == (Action.DONE, once.pod)


@pytest.mark.parametrize(
    ("name", "mesh"), [("linkerd-proxy", "Linkerd"), ("kuma-sidecar", "Kuma"), ("consul-dataplane", "Consul")]
)
@pytest.mark.parametrize("field", ["containers", "initContainers"])
def test_a_pod_with_another_meshs_sidecar_gets_none_and_says_so(
    inject: Inject, name: str, mesh: str, field: str
) -> None:
    given = pod()
    given["spec"].setdefault(field, []).append({"name": name, "restartPolicy": "Always"})
    found = inject(given)
    assert found.decision.action is Action.SKIP_ALOUD
    [problem] = found.problems
    assert problem.message == f"no sidecar was added: the pod has the sidecar of another mesh, {mesh}"


def test_a_pod_with_istios_sidecar_gets_no_second_one(inject: Inject) -> None:
    status = json.dumps({"initContainers": ["istio-init"], "containers": ["istio-proxy"], "revision": "default"})
    given = annotated({"sidecar.istio.io/status": status}, initContainers=[{"name": "istio-init"}])
    given["spec"]["containers"].append({"name": "istio-proxy"})
    found = inject(given)
    assert found.decision.action is Action.SKIP_ALOUD
    assert found.pod is not None
    assert found.pod["spec"] == given["spec"]
    assert "Istio" in found.problems[0].message


@pytest.mark.parametrize(
    "status", ["", "{", "[]", "null", '{"containers": "istio-proxy"}', '{"containers": ["istio-proxy"]}']
)
def test_a_status_that_is_not_true_protects_nobody(inject: Inject, status: str) -> None:
    found = inject(annotated({"sidecar.istio.io/status": status}))
    assert found.decision.action is Action.INJECT


def test_a_stale_reason_goes_when_the_pod_is_injected(inject: Inject) -> None:
    found = inject(annotated({"weft.dev/injection-skipped": "once"}))
    assert found.pod is not None
    assert "weft.dev/injection-skipped" not in found.pod["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("template", "kind"),
    [
        ("sidecar", ProxyKind.SIDECAR),
        (" gateway ", ProxyKind.GATEWAY),
        ("sidecar, sidecar,", ProxyKind.SIDECAR),
        ("", ProxyKind.SIDECAR),
    ],
)
def test_templates(inject: Inject, template: str, kind: ProxyKind) -> None:
    assert inject(annotated({"inject.istio.io/templates": template})).decision.kind is kind


@pytest.mark.parametrize("template", ["grpc-agent", "sidecar,mine", "waypoint"])
def test_a_template_that_there_is_not_refuses_the_pod(inject: Inject, template: str) -> None:
    found = inject(annotated({"inject.istio.io/templates": template}))
    assert found.pod is None
    assert [p.path for p in found.errors] == ["metadata.annotations[inject.istio.io/templates]"]


def test_what_follows_from_a_template_that_there_is_not_is_not_told_too(inject: Inject) -> None:
    given = annotated({"inject.istio.io/templates": "gateway,mine"})
    given["spec"]["containers"] = [{"name": "istio-proxy", "image": "auto"}]
    assert [p.path for p in inject(given).errors] == ["metadata.annotations[inject.istio.io/templates]"]


@pytest.mark.parametrize("field", ["containers", "initContainers"])
def test_istios_sidecar_is_known_without_its_annotation(inject: Inject, field: str) -> None:
    """A file of `istioctl kube-inject` has the annotation of a CronJob's pods in the wrong place."""
    given = pod(volumes=[{"name": "istio-envoy", "emptyDir": {}}], initContainers=[{"name": "istio-init"}])
    given["spec"][field].append({"name": "istio-proxy", "args": ["proxy", "sidecar"]})
    found = inject(given)
    assert found.decision.action is Action.SKIP_ALOUD
    assert found.pod is not None
    assert found.pod["spec"] == given["spec"]


@pytest.mark.parametrize("field", ["labels", "annotations"])
@pytest.mark.parametrize("name", ["weft.dev/inject", "sidecar.istio.io/inject"])
def test_a_word_that_says_nothing_is_told(inject: Inject, field: str, name: str) -> None:
    given = pod()
    given["metadata"][field] = {name: "disabled"}
    found = inject(given)
    assert found.decision.action is Action.INJECT
    [problem] = found.problems
    assert problem.path == f"metadata.{field}[{name}]"
    assert problem.message == "`disabled` says nothing; what else asks for a sidecar decides"
