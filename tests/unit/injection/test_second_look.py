"""A pod that has its sidecar, and was given more containers by another webhook."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from weft_injector.patch.inject import Injection

Pod = dict[str, Any]
Inject = Callable[..., Injection]
Injected = Callable[..., Pod]
BootstrapOf = Callable[..., Pod]

LATE = {
    "name": "late",
    "livenessProbe": {"httpGet": {"path": "/a$(b)", "port": 80}},
    "readinessProbe": {"tcpSocket": {"port": 81}},
}


def pod(**probes: Any) -> Pod:
    return {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "app", **probes}]}}


def with_late(document: Pod) -> Pod:
    changed = copy.deepcopy(document)
    changed["spec"]["containers"].append(copy.deepcopy(LATE))
    return changed


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    "probes", [{}, {"livenessProbe": {"httpGet": {"port": 80}}, "readinessProbe": {"tcpSocket": {"port": 80}}}]
)
def test_probes_that_came_later_go_through_the_proxy_too(
    injected: Injected, bootstrap_of: BootstrapOf, native: bool, probes: Pod
) -> None:
    given = pod(**probes)
    found = injected(with_late(injected(given, native=native)), native=native)
    assert found["spec"]["containers"][-1]["livenessProbe"]["httpGet"]["path"] == "/app-health/late/livez"
    both = copy.deepcopy(given)
    both["spec"]["containers"].append(copy.deepcopy(LATE))
    at_once = injected(both, native=native)
    assert _probed(bootstrap_of(found)) == _probed(bootstrap_of(at_once)), "as if all had come at once"


def test_a_sidecar_that_another_webhook_put_before_the_proxy_is_not_held_up_by_it(injected: Injected) -> None:
    given = injected(pod())
    probe = {"tcpSocket": {"port": 80}}
    agent = {"name": "agent", "restartPolicy": "Always", "startupProbe": probe, "readinessProbe": probe}
    given["spec"]["initContainers"] = [agent, *given["spec"]["initContainers"], {**agent, "name": "behind"}]
    early, *_, behind = injected(given)["spec"]["initContainers"]
    assert early["startupProbe"] == probe
    assert early["readinessProbe"]["httpGet"]["path"] == "/app-health/agent/readyz"
    assert behind["startupProbe"]["httpGet"]["path"] == "/app-health/behind/startupz"


def test_a_third_pass_changes_nothing(injected: Injected) -> None:
    twice = injected(with_late(injected(pod())))
    assert injected(twice) == twice


def test_the_mesh_may_leave_probes_alone(injected: Injected) -> None:
    settings = {"rewriteProbes": False}
    late = with_late(injected(pod(), settings=settings))
    assert injected(late, settings=settings) == late


def test_a_later_container_that_runs_as_the_proxy_is_refused(inject: Inject, injected: Injected) -> None:
    late = injected(pod())
    late["spec"]["containers"].append({"name": "late", "securityContext": {"runAsUser": 1337}})
    found = inject(late)
    assert found.pod is None
    assert [problem.path for problem in found.errors] == ["spec.containers[1].securityContext.runAsUser"]


def test_gateways_are_left_alone(injected: Injected) -> None:
    gateway = injected(
        {
            "metadata": {"annotations": {"inject.istio.io/templates": "gateway"}},
            "spec": {"containers": [{"name": "istio-proxy", "image": "auto"}]},
        }
    )
    assert injected(with_late(gateway)) == with_late(gateway)


@pytest.mark.parametrize("arguments", [["--config-yaml"], ["--config-yaml", "{"], ["--config-yaml", "[]"]])
def test_a_sidecar_that_only_looks_like_one_is_refused(
    inject: Inject, injected: Injected, arguments: list[str]
) -> None:
    forged = with_late(injected(pod()))
    next(c for c in forged["spec"]["initContainers"] if c["name"] == "istio-proxy")["args"] = arguments
    found = inject(forged)
    assert found.pod is None
    assert [problem.path for problem in found.errors] == ["metadata.annotations[sidecar.istio.io/status]"]


def _probed(bootstrap: Pod) -> Any:
    """What is served for probes, without order and without the names of clusters, which may differ."""
    resources = bootstrap["static_resources"]
    [listener] = [each for each in resources["listeners"] if each["name"] == "probes"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    assert manager["http_filters"][-1]["name"] == "envoy.filters.http.router"
    ports = {
        cluster["name"]: cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
        for cluster in resources["clusters"]
        if cluster["name"].startswith("probe|")
    }
    routes = {
        route["match"]["path"]: (route["route"]["prefix_rewrite"], str(ports[route["route"]["cluster"]]))
        for route in manager["route_config"]["virtual_hosts"][0]["routes"]
    }
    checks = set()
    for each in manager["http_filters"][:-1]:
        [cluster] = each["typed_config"]["cluster_min_healthy_percentages"]
        checks.add((json.dumps(each["typed_config"]["headers"]), str(ports[cluster])))
    return routes, checks, len(ports) >= 2
