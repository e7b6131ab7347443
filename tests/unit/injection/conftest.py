"""Pods, what becomes of them, and the kubelet's way to fill in arguments."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

from weft_core.model.mesh_config import MeshConfig
from weft_injector.patch.inject import Injection, Surroundings, inject_pod
from weft_injector.settings import ClusterFeatures, InjectionSettings

Pod = dict[str, Any]
Inject = Callable[..., Injection]

LABELLED = {"weft.dev/injection": "enabled"}


@pytest.fixture
def inject() -> Inject:
    """Injects a pod given as YAML or as a document; settings in YAML's spelling, everything else by its name."""

    def run(
        pod: str | Pod,
        *,
        settings: Mapping[str, Any] | None = None,
        native: bool = True,
        pod_certificates: bool = True,
        defaults: Mapping[str, Any] | None = None,
        mesh: Mapping[str, Any] | None = None,
        namespace: str = "shop",
        namespace_labels: Mapping[str, str] = LABELLED,
    ) -> Injection:
        document = yaml.safe_load(pod) if isinstance(pod, str) else pod
        return inject_pod(
            document,
            Surroundings(
                settings=InjectionSettings.model_validate(settings or {}),
                features=ClusterFeatures(native_sidecars=native, pod_certificates=pod_certificates),
                mesh=MeshConfig.model_validate({"defaultConfig": defaults or {}, **(mesh or {})}),
                namespace=namespace,
                namespace_labels=namespace_labels,
            ),
        )

    return run


@pytest.fixture
def injected(inject: Inject) -> Callable[..., Pod]:
    """As `inject`, for pods that must not be refused; gives the document."""

    def run(pod: str | Pod, **options: Any) -> Pod:
        injection = inject(pod, **options)
        assert injection.pod is not None, injection.problems
        return injection.pod

    return run


@pytest.fixture
def proxy_of() -> Callable[[Pod], Pod]:
    """The proxy's container of an injected pod."""
    return _proxy_of


@pytest.fixture
def bootstrap_of() -> Callable[..., Pod]:
    """The bootstrap that Envoy sees: the argument, with the kubelet's replacements in it."""

    def read(pod: Pod, **variables: str) -> Pod:
        arguments = _proxy_of(pod)["args"]
        known = {"POD_NAME": "web-0", "POD_NAMESPACE": "shop", "POD_IP": "10.1.2.3", **variables}
        document: Pod = json.loads(_expanded(arguments[arguments.index("--config-yaml") + 1], known))
        return document

    return read


def _proxy_of(pod: Pod) -> Pod:
    spec = pod["spec"]
    [found] = [c for c in (*spec["containers"], *(spec.get("initContainers") or ())) if c["name"] == "istio-proxy"]
    return dict(found)


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    """What the kubelet makes of an argument: `$$` is a dollar, `$(NAME)` a variable, unknown ones stay."""
    result, at = "", 0
    while at < len(text):
        if text[at] != "$" or at + 1 == len(text):
            result, at = result + text[at], at + 1
        elif text[at + 1] == "$":
            result, at = result + "$", at + 2
        elif text[at + 1] == "(" and (end := text.find(")", at)) > 0:
            name = text[at + 2 : end]
            result, at = result + variables.get(name, f"$({name})"), end + 1
        else:
            result, at = result + text[at : at + 2], at + 2
    return result
