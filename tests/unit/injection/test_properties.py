"""Generated pods: a second pass changes nothing, nothing is lost, and what is malformed never raises."""

import copy
import json
from collections.abc import Callable
from typing import Any

import jsonpatch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weft_injector.patch.inject import Injection
from weft_injector.patch.json_patch import difference

Pod = dict[str, Any]
Inject = Callable[..., Injection]

_ports = st.sampled_from([80, 8080, 15020, 15021, "http", "8080", "nothing"])
_handlers = st.one_of(
    st.builds(
        lambda port, path: {"httpGet": {"port": port, "path": path}}, _ports, st.sampled_from(["", "/h", "h$(x)"])
    ),
    st.builds(lambda port: {"tcpSocket": {"port": port}}, _ports),
    st.builds(lambda service: {"grpc": {"port": 9000, "service": service}}, st.sampled_from(["", "a.B", "$$"])),
    st.just({"exec": {"command": ["true"]}}),
)
_probes = st.builds(lambda handler, period: {**handler, "periodSeconds": period}, _handlers, st.integers(1, 30))
_KINDS = ("livenessProbe", "readinessProbe", "startupProbe")


def _containers(*names: str) -> st.SearchStrategy[list[Pod]]:
    one = st.fixed_dictionaries(
        {"name": st.sampled_from(names)},
        optional={
            **dict.fromkeys(_KINDS, _probes),
            "image": st.sampled_from(["a", "auto"]),
            "ports": st.just([{"name": "http", "containerPort": 8080}]),
            "lifecycle": st.builds(lambda handler: {"preStop": handler}, _handlers),
            "restartPolicy": st.just("Always"),
            "unknown": st.just({"kept": [1]}),
        },
    )
    return st.lists(one, max_size=3, unique_by=lambda container: container["name"])


_annotations = st.dictionaries(
    st.sampled_from(
        [
            "sidecar.istio.io/proxyCPU",
            "weft.dev/nativeSidecar",
            "sidecar.istio.io/rewriteAppHTTPProbers",
            "inject.istio.io/templates",
            "traffic.sidecar.istio.io/excludeInboundPorts",
            "prometheus.io/scrape",
            "proxy.istio.io/config",
        ]
    ),
    st.sampled_from(["1", "true", "false", "gateway", "8080", "concurrency: 1", "$(X)"]),
    max_size=3,
)
_labels = st.dictionaries(
    st.sampled_from(["app", "version", "weft.dev/inject", "security.istio.io/tlsMode", "weft.dev/rev"]),
    st.sampled_from(["a", "v1", "true", "default"]),
    max_size=3,
)
_documents = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {"name": st.just("web-0")}, optional={"annotations": _annotations, "labels": _labels}
        ),
        "spec": st.fixed_dictionaries(
            {"containers": _containers("app", "side", "istio-proxy")},
            optional={
                "initContainers": st.none() | _containers("init", "other"),
                "volumes": st.just([{"name": "v", "emptyDir": {}}]),
                "hostNetwork": st.booleans(),
                "imagePullSecrets": st.just([{"name": "mine"}]),
            },
        ),
    }
)
PODS = _documents.map(lambda pod: json.loads(json.dumps(pod)))
"""Through JSON, as the API server sends them: no part is shared."""
_fast = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)


@_fast
@given(pod=PODS, native=st.booleans(), pod_certificates=st.booleans())
def test_a_second_pass_changes_nothing(inject: Inject, pod: Pod, native: bool, pod_certificates: bool) -> None:
    before = copy.deepcopy(pod)
    once = inject(pod, native=native, pod_certificates=pod_certificates)
    assert pod == before, "what was given is not written to"
    if once.pod is None:
        assert once.errors
        return
    assert jsonpatch.apply_patch(pod, list(difference(pod, once.pod))) == once.pod
    for features in (native, not native):
        twice = inject(once.pod, native=features, pod_certificates=pod_certificates)
        assert twice.pod == once.pod


@_fast
@given(pod=PODS, native=st.booleans())
def test_nothing_of_the_applications_is_lost(inject: Inject, pod: Pod, native: bool) -> None:
    found = inject(pod, native=native)
    if found.pod is None:
        return

    def applications(document: Pod) -> list[Pod]:
        spec = document["spec"]
        everyone = [*spec["containers"], *(spec.get("initContainers") or ())]
        ours = {"istio-proxy", "weft-redirect"}
        kept = [container for container in everyone if container["name"] not in ours]
        return [{k: v for k, v in c.items() if k not in (*_KINDS, "lifecycle")} for c in kept]

    assert applications(found.pod) == applications(pod)
    assert {k: v for k, v in pod["metadata"].items() if k == "name"} == {"name": "web-0"}
    labels = pod["metadata"].get("labels", {})
    assert (
        labels.items()
        <= {**found.pod["metadata"].get("labels", {}), "weft.dev/rev": labels.get("weft.dev/rev")}.items()
    )


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        return [path, *(found for key, item in value.items() for found in _paths(item, (*path, key)))]
    if isinstance(value, list):
        return [path, *(found for index, item in enumerate(value) for found in _paths(item, (*path, index)))]
    return [path]


_JUNK = st.sampled_from([None, True, 0, -1, 1.5, "", "x", "\x00", [], [1], [None], {}, {"name": 1}, {"": None}, "９"])


@_fast
@given(pod=PODS, data=st.data())
def test_weird_types_at_any_level_are_refused_and_never_raise(inject: Inject, pod: Pod, data: st.DataObject) -> None:
    document: Any = copy.deepcopy(pod)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from([found for found in _paths(document) if found]))
        target = document
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = data.draw(_JUNK)
    found = inject(document, native=data.draw(st.booleans()))
    assert (found.pod is None) == bool(found.errors)
    if found.pod is not None:
        json.dumps(found.pod)
        jsonpatch.apply_patch(document, list(difference(document, found.pod)))
