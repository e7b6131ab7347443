"""Copies of pods that have a sidecar, as `kubectl debug --copy-to` makes them: some of it is left out."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from weft_injector.patch.decision import Action
from weft_injector.patch.inject import Injection

Pod = dict[str, Any]
Inject = Callable[..., Injection]
Injected = Callable[..., Pod]

WEB: Pod = {
    "metadata": {"name": "web-0", "labels": {"app": "web"}},
    "spec": {
        "initContainers": [{"name": "migrate"}],
        "containers": [{"name": "app", "livenessProbe": {"httpGet": {"port": 80}}}],
        "volumes": [{"name": "data", "emptyDir": {}}],
    },
}


def copied(pod: Pod, **without: list[str]) -> Pod:
    """A copy under another name, without metadata and without the members of the lists in `without`."""
    spec = copy.deepcopy(pod["spec"])
    for field, names in without.items():
        spec[field] = [member for member in spec[field] if member["name"] not in names]
    for container in spec["containers"]:
        if container["name"] == "app":
            container.pop("livenessProbe", None)
    return {"metadata": {"name": "web-0-debug"}, "spec": spec}


def names(pod: Pod, field: str) -> list[str]:
    return [member["name"] for member in pod["spec"].get(field) or []]


@pytest.mark.parametrize("native", [True, False])
def test_a_copy_without_annotations_has_its_sidecar(inject: Inject, injected: Injected, native: bool) -> None:
    given = copied(injected(WEB, native=native))
    given["spec"]["containers"].append({"name": "debugger", "stdin": True})
    found = inject(given, native=native)
    assert found.decision.action is Action.DONE
    assert found.pod == given


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("pod_certificates", [True, False])
def test_a_copy_without_init_containers_is_injected_anew(
    inject: Inject, injected: Injected, native: bool, pod_certificates: bool
) -> None:
    first = injected(WEB, native=native, pod_certificates=pod_certificates)
    found = inject(
        copied(first, initContainers=["weft-redirect", "istio-proxy", "migrate"]),
        native=native,
        pod_certificates=pod_certificates,
    )
    assert (found.decision.action, found.problems) == (Action.INJECT, ())
    assert found.pod is not None
    assert names(found.pod, "initContainers") == ["weft-redirect", *(["istio-proxy"] if native else [])]
    assert names(found.pod, "containers") == ([] if native else ["istio-proxy"]) + ["app"]
    assert names(found.pod, "volumes") == ["data", "weft-certificates"]


def test_a_copy_without_the_proxy_is_injected_anew(inject: Inject, injected: Injected) -> None:
    given = copied(injected(WEB), initContainers=["istio-proxy"])
    found = inject(given)
    assert found.pod is not None
    assert names(found.pod, "initContainers") == ["weft-redirect", "istio-proxy", "migrate"]
    assert names(given, "initContainers") == ["weft-redirect", "migrate"], "what was given stays as it is"


def test_a_status_that_was_copied_and_is_no_longer_true(inject: Inject, injected: Injected) -> None:
    first = injected(WEB)
    given = copied(first, initContainers=["weft-redirect", "istio-proxy"])
    given["metadata"]["annotations"] = first["metadata"]["annotations"]
    found = inject(given)
    assert found.decision.action is Action.INJECT
    assert found.pod is not None
    assert names(found.pod, "volumes") == ["data", "weft-certificates"]
