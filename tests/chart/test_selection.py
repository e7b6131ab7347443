"""Which revision injects a pod: the webhooks' label selectors, evaluated as the API server does, against the rules."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from weft_core.injection import (
    INJECT,
    ISTIO_INJECT,
    ISTIO_NAMESPACE_LABEL,
    ISTIO_REVISION_LABEL,
    NAMESPACE_LABEL,
    REVISION_LABEL,
    choose,
)

Labels = Mapping[str, str]


def _labels(**values: tuple[str, ...]) -> tuple[Labels, ...]:
    """All combinations of labels; the empty value is a label that is missing."""
    keys = [KEYS[name] for name in values]
    return tuple(
        {key: value for key, value in zip(keys, chosen, strict=True) if value}
        for chosen in itertools.product(*values.values())
    )


KEYS = {
    "injection": NAMESPACE_LABEL,
    "rev": REVISION_LABEL,
    "istio_injection": ISTIO_NAMESPACE_LABEL,
    "istio_rev": ISTIO_REVISION_LABEL,
    "inject": INJECT,
    "istio_inject": ISTIO_INJECT,
}
NAMESPACES = _labels(
    injection=("", "enabled", "disabled", "odd"),
    rev=("", "default", "canary", "gone"),
    istio_injection=("", "enabled", "disabled", "odd"),
    istio_rev=("", "default", "canary"),
)
PODS = _labels(
    inject=("", "true", "false", "yes", "odd"),
    istio_inject=("", "true", "false", "odd"),
    rev=("", "default", "canary"),
    istio_rev=("", "canary"),
)


def matches(selector: Any, labels: Labels) -> bool:
    """A label selector: all of its expressions hold. NotIn holds where the label is missing, too."""
    return all(_holds(expression, labels) for expression in selector["matchExpressions"])


def _holds(expression: Any, labels: Labels) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case operator:
            raise AssertionError(operator)


class Cluster:
    """The webhook configurations of the releases in a cluster, by revision."""

    def __init__(self, render: Callable[..., Any], *revisions: str, **values: Any) -> None:
        self.webhooks = [
            (revision, webhook)
            for revision in revisions
            for (kind, _), document in render({"revision": revision} | values, release=f"weft-{revision}").items()
            if kind == "MutatingWebhookConfiguration"
            for webhook in document["webhooks"]
        ]

    def asked(self, namespace: Labels, pod: Labels, name: str = "shop") -> list[str]:
        """Revisions whose webhooks the API server sends a pod to, one for each webhook that matches."""
        labels = {"kubernetes.io/metadata.name": name} | dict(namespace)
        return [
            revision
            for revision, webhook in self.webhooks
            if matches(webhook["namespaceSelector"], labels) and matches(webhook["objectSelector"], pod)
        ]


def due(namespace: Labels, pod: Labels, *, istio: bool, istio_pods: bool = True) -> str | None:
    """The revision that the injector's own rule names."""
    choice = choose(
        namespace="shop", namespace_labels=namespace, labels=pod, istio_labels=istio, istio_pod_labels=istio_pods
    )
    return choice.revision if choice.wanted else None


@pytest.mark.parametrize(("istio", "istio_pods"), list(itertools.product([False, True], repeat=2)))
def test_a_pod_is_sent_to_the_one_revision_that_the_rule_names(
    render: Callable[..., Any], istio: bool, istio_pods: bool
) -> None:
    """Never to two, never twice, and to nobody only where nobody is due.

    Where nobody is due a pod may still be sent, to be told so by the injector: a word that is no boolean is one that a
    selector cannot tell from an annotation's.
    """
    cluster = Cluster(render, "default", "canary", compat={"istioLabels": istio, "istioPodLabels": istio_pods})
    for namespace in NAMESPACES:
        for pod in PODS:
            revision = due(namespace, pod, istio=istio, istio_pods=istio_pods)
            asked = cluster.asked(namespace, pod)
            assert len(asked) <= 1, (namespace, pod)
            if revision in {"default", "canary"}:
                assert asked == [revision], (namespace, pod)
            elif asked:
                assert pod.get(INJECT) == "odd", (namespace, pod)


@pytest.mark.parametrize(
    ("namespace", "pod", "revision"),
    [
        ({}, {}, None),
        ({"weft.dev/injection": "enabled"}, {}, "default"),
        ({"weft.dev/injection": "enabled"}, {"weft.dev/inject": "false"}, None),
        ({"weft.dev/injection": "enabled"}, {"sidecar.istio.io/inject": "false"}, None),
        ({"weft.dev/injection": "enabled", "weft.dev/rev": "canary"}, {}, "canary"),
        ({"weft.dev/injection": "disabled", "weft.dev/rev": "canary"}, {}, None),
        ({"weft.dev/injection": "disabled"}, {"weft.dev/inject": "true"}, None),
        ({"weft.dev/rev": "canary"}, {}, "canary"),
        ({"weft.dev/rev": "canary"}, {"weft.dev/rev": "default"}, "canary"),
        ({}, {"weft.dev/inject": "true"}, "default"),
        ({}, {"sidecar.istio.io/inject": "true"}, "default"),
        ({}, {"weft.dev/inject": "true", "weft.dev/rev": "canary"}, "canary"),
        ({"istio-injection": "enabled"}, {}, None),
        ({"istio-injection": "enabled"}, {"weft.dev/inject": "true", "sidecar.istio.io/inject": "false"}, "default"),
        ({"istio.io/rev": "canary"}, {}, None),
    ],
)
def test_the_rules_by_example(render: Callable[..., Any], namespace: Labels, pod: Labels, revision: str | None) -> None:
    assert due(namespace, pod, istio=False) == revision
    assert Cluster(render, "default", "canary").asked(namespace, pod) == ([revision] if revision else [])


@pytest.mark.parametrize(
    ("namespace", "pod", "revision"),
    [
        ({"istio-injection": "enabled"}, {}, "default"),
        ({"istio-injection": "enabled", "istio.io/rev": "canary"}, {}, "default"),
        ({"istio-injection": "disabled"}, {"sidecar.istio.io/inject": "true"}, None),
        ({"istio.io/rev": "canary"}, {}, "canary"),
        ({"istio-injection": "enabled", "weft.dev/rev": "canary"}, {}, "canary"),
        ({"istio-injection": "enabled", "weft.dev/injection": "disabled"}, {}, None),
        ({}, {"istio.io/rev": "canary"}, "canary"),
    ],
)
def test_istio_labels_by_example(
    render: Callable[..., Any], namespace: Labels, pod: Labels, revision: str | None
) -> None:
    assert due(namespace, pod, istio=True) == revision
    cluster = Cluster(render, "default", "canary", compat={"istioLabels": True})
    assert cluster.asked(namespace, pod) == ([revision] if revision else [])


@pytest.mark.parametrize("name", ["kube-system", "kube-public", "kube-node-lease", "weft-system"])
def test_system_namespaces_are_never_injected_whatever_their_labels(render: Callable[..., Any], name: str) -> None:
    cluster = Cluster(render, "default", "canary", compat={"istioLabels": True})
    for namespace, pod in itertools.product(NAMESPACES, PODS):
        assert not cluster.asked(namespace, pod, name)


def test_istio_pod_labels_can_be_left_to_istio(render: Callable[..., Any]) -> None:
    cluster = Cluster(render, "default", compat={"istioPodLabels": False})
    assert not cluster.asked({}, {"sidecar.istio.io/inject": "true"})
    assert cluster.asked({}, {"weft.dev/inject": "true"}) == ["default"]
    assert not cluster.asked({"weft.dev/injection": "enabled"}, {"sidecar.istio.io/inject": "false"})


def test_only_the_creation_of_pods_is_intercepted(render: Callable[..., Any]) -> None:
    for _, webhook in Cluster(render, "default", compat={"istioLabels": True}).webhooks:
        assert webhook["rules"] == [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
            | {"scope": "Namespaced"}
        ]
        assert webhook["failurePolicy"] == "Fail"
        assert webhook["sideEffects"] == "NoneOnDryRun"


@pytest.mark.parametrize("policy", ["Fail", "Ignore"])
def test_the_failure_policy_holds_for_every_webhook(render: Callable[..., Any], policy: str) -> None:
    cluster = Cluster(render, "default", injection={"webhook": {"failurePolicy": policy, "timeoutSeconds": 3}})
    found = {(webhook["failurePolicy"], webhook["timeoutSeconds"]) for _, webhook in cluster.webhooks}
    assert found == {(policy, 3)}


def test_no_webhook_carries_a_certificate(render: Callable[..., Any]) -> None:
    """The control plane writes caBundle; a value in the chart would come back with every upgrade."""
    kinds = {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}
    for (kind, _), document in render().items():
        for webhook in document["webhooks"] if kind in kinds else ():
            assert set(webhook["clientConfig"]) == {"service"}
            assert webhook["clientConfig"]["service"]["port"] == 443


def test_webhooks_of_one_configuration_have_different_names(render: Callable[..., Any]) -> None:
    names = [webhook["name"] for _, webhook in Cluster(render, "default", compat={"istioLabels": True}).webhooks]
    assert len(names) == len(set(names)) == 14
    assert all(name.endswith(".injection.weft.dev") for name in names)
