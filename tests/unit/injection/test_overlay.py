"""A pod's own container `istio-proxy`, and gateways, which consist of it."""

from collections.abc import Callable
from typing import Any

import pytest

from weft_injector.patch.inject import Injection

Pod = dict[str, Any]
Inject = Callable[..., Injection]
Injected = Callable[..., Pod]
ProxyOf = Callable[[Pod], Pod]

GATEWAY = """
metadata:
  generateName: ingress-5d-
  labels: {istio: ingress, sidecar.istio.io/inject: "true"}
  annotations: {inject.istio.io/templates: gateway}
spec:
  securityContext: {sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: "0"}]}
  containers:
  - name: istio-proxy
    image: auto
    imagePullPolicy: Always
    ports: [{containerPort: 15090, protocol: TCP, name: metrics}, {containerPort: 80}]
    resources: {limits: {cpu: "4"}}
    env: [{name: MINE, value: x}, {name: POD_NAME, value: fixed}]
"""


def test_a_gateway_is_its_own_container_filled_in(
    injected: Injected, proxy_of: ProxyOf, bootstrap_of: Callable[..., Pod]
) -> None:
    pod = injected(GATEWAY)
    spec = pod["spec"]
    assert "initContainers" not in spec, "nothing is redirected"
    proxy = proxy_of(pod)
    assert [container["name"] for container in spec["containers"]] == ["istio-proxy"]
    assert proxy["image"] == "weft"
    assert "imagePullPolicy" not in proxy, "the API server's guess at the image `auto`"
    assert "restartPolicy" not in proxy
    assert proxy["lifecycle"]["preStop"]["exec"]["command"][1:3] == ["drain", "--all"]
    assert "postStart" not in proxy["lifecycle"]
    assert spec["securityContext"]["sysctls"]
    assert bootstrap_of(pod, POD_NAME="ingress-5d-x")["node"]["id"].startswith("router~10.1.2.3~ingress-5d-x.shop~")
    assert "security.istio.io/tlsMode" not in pod["metadata"]["labels"]


def test_the_authors_fields_win(injected: Injected, proxy_of: ProxyOf) -> None:
    proxy = proxy_of(injected(GATEWAY))
    assert proxy["resources"] == {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"cpu": "4", "memory": "1Gi"},
    }
    assert proxy["ports"] == [{"containerPort": 15090, "protocol": "TCP", "name": "metrics"}, {"containerPort": 80}]
    variables = {variable["name"]: variable for variable in proxy["env"]}
    assert variables["MINE"] == {"name": "MINE", "value": "x"}
    assert variables["POD_NAME"] == {"name": "POD_NAME", "value": "fixed"}
    assert "POD_IP" in variables


def test_a_gateway_keeps_its_place_and_its_neighbours_their_probes(injected: Injected) -> None:
    pod: Pod = {
        "metadata": {"annotations": {"inject.istio.io/templates": "gateway"}},
        "spec": {
            "containers": [
                {"name": "first", "livenessProbe": {"httpGet": {"port": 80}}},
                {"name": "istio-proxy", "image": "auto"},
                {"name": "last"},
            ]
        },
    }
    found = injected(pod)["spec"]["containers"]
    assert [container["name"] for container in found] == ["first", "istio-proxy", "last"]
    assert found[0] == pod["spec"]["containers"][0]


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("field", ["containers", "initContainers"])
def test_a_sidecars_own_container_is_merged_and_moved_where_it_belongs(
    injected: Injected, proxy_of: ProxyOf, native: bool, field: str
) -> None:
    own = {
        "name": "istio-proxy",
        "image": "mine:2",
        "resources": {"limits": {"memory": "2Gi"}},
        "readinessProbe": {"exec": {"command": ["true"]}},
        "volumeMounts": [{"mountPath": "/extra", "name": "extra"}],
        "securityContext": {"readOnlyRootFilesystem": False},
        "restartPolicy": "Always",
    }
    spec: Pod = {"containers": [{"name": "app"}], "volumes": [{"name": "extra", "emptyDir": {}}]}
    spec.setdefault(field, []).append(own)
    pod = injected({"spec": spec}, native=native)
    proxy = proxy_of(pod)
    assert proxy["image"] == "mine:2"
    assert proxy["readinessProbe"] == {"exec": {"command": ["true"]}}, "a probe has one handler"
    assert [mount["mountPath"] for mount in proxy["volumeMounts"]] == ["/etc/weft/certs", "/extra"]
    assert proxy["securityContext"]["runAsUser"] == 1337
    assert not proxy["securityContext"]["readOnlyRootFilesystem"]
    place = pod["spec"]["initContainers" if native else "containers"]
    assert "istio-proxy" in [container["name"] for container in place]
    assert ("restartPolicy" in proxy) is native


def test_its_command_is_not_the_authors(inject: Inject, proxy_of: ProxyOf) -> None:
    own = {"name": "istio-proxy", "args": ["proxy", "sidecar"], "command": ["pilot-agent"]}
    found = inject({"spec": {"containers": [{"name": "app"}, own]}})
    assert found.pod is not None
    assert [problem.path for problem in found.problems] == ["spec.containers[1].args", "spec.containers[1].command"]
    assert proxy_of(found.pod)["command"] == ["/usr/local/bin/envoy"]


def test_a_proxy_may_run_as_another_user_and_group(injected: Injected, proxy_of: ProxyOf) -> None:
    own = {"name": "istio-proxy", "image": "auto", "securityContext": {"runAsUser": 1234, "runAsGroup": 4321}}
    pod = injected({"spec": {"containers": [{"name": "app"}, own]}})
    assert pod["spec"]["initContainers"][0]["args"] == ["redirect", "--proxy-uid=1234", "--proxy-gid=4321"]
    context = proxy_of(pod)["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"], context["runAsNonRoot"]) == (1234, 4321, True)


def test_then_it_is_that_user_whom_no_application_may_be(inject: Inject) -> None:
    own = {"name": "istio-proxy", "image": "auto", "securityContext": {"runAsUser": 1234}}
    app = {"name": "app", "securityContext": {"runAsUser": 1234}}
    [problem] = inject({"spec": {"containers": [app, own]}}).errors
    assert problem.path == "spec.containers[0].securityContext.runAsUser"
    assert "1234" in problem.message
    app["securityContext"] = {"runAsUser": 1337}
    found = inject({"spec": {"containers": [app, own]}})
    assert found.errors == ()
    again = inject({**(found.pod or {})})
    assert again.errors == (), "also when it is looked at again"


def test_root_is_too_many_others_to_be_told_from(inject: Inject, injected: Injected) -> None:
    own = {"name": "istio-proxy", "securityContext": {"runAsUser": 0}}
    found = inject({"spec": {"containers": [{"name": "app"}, own]}})
    assert [problem.path for problem in found.errors] == ["spec.containers[1].securityContext.runAsUser"]
    own["securityContext"] = {"runAsGroup": 0}
    pod = injected({"spec": {"containers": [{"name": "app"}, own]}})
    assert pod["spec"]["initContainers"][0]["args"] == ["redirect"], "the proxy is known by its user"


def test_a_proxy_alone_is_no_sidecar(inject: Inject) -> None:
    [problem] = inject({"spec": {"containers": [{"name": "istio-proxy", "image": "auto"}]}}).errors
    assert problem.fix == "annotate the pod inject.istio.io/templates: gateway if it is to be a gateway"


def test_a_set_pull_policy_holds_for_auto(injected: Injected, proxy_of: ProxyOf) -> None:
    assert proxy_of(injected(GATEWAY, settings={"imagePullPolicy": "Never"}))["imagePullPolicy"] == "Never"


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"limits": {"cpu": "50m"}}, {"requests": {"memory": "128Mi"}, "limits": {"cpu": "50m", "memory": "1Gi"}}),
        (
            {"requests": {"memory": "2Gi"}},
            {"requests": {"cpu": "100m", "memory": "2Gi"}, "limits": {"cpu": "2"}},
        ),
        (
            {"requests": {"cpu": 3}, "limits": {"cpu": 1}},
            {"requests": {"cpu": 3, "memory": "128Mi"}, "limits": {"cpu": 1, "memory": "1Gi"}},
        ),
    ],
)
def test_the_injectors_resources_give_way_to_the_authors(
    injected: Injected, proxy_of: ProxyOf, own: Pod, expected: Pod
) -> None:
    pod = {"spec": {"containers": [{"name": "app"}, {"name": "istio-proxy", "resources": own}]}}
    assert proxy_of(injected(pod))["resources"] == expected


@pytest.mark.parametrize(("cpu", "threads"), [("3500m", "4"), (6, "6"), ("x", "1"), ("1E", "1024")])
def test_worker_threads_go_by_the_authors_cpu(
    injected: Injected, proxy_of: ProxyOf, cpu: str | int, threads: str
) -> None:
    own = {"name": "istio-proxy", "image": "auto", "resources": {"limits": {"cpu": cpu}}}
    for metadata in ({}, {"annotations": {"inject.istio.io/templates": "gateway"}}):
        arguments = proxy_of(injected({"metadata": metadata, "spec": {"containers": [{"name": "app"}, own]}}))["args"]
        assert arguments[arguments.index("--concurrency") + 1] == threads


def test_null_is_as_good_as_absent(injected: Injected, proxy_of: ProxyOf) -> None:
    own = {
        "name": "istio-proxy",
        "image": None,
        "securityContext": {"runAsUser": None, "capabilities": {"drop": None}},
        "resources": {"limits": {"cpu": None}},
    }
    proxy = proxy_of(injected({"spec": {"containers": [{"name": "app"}, own]}}))
    assert proxy == proxy_of(injected({"spec": {"containers": [{"name": "app"}]}}))


def test_a_quantity_that_is_none_is_left_to_the_api_server(injected: Injected, proxy_of: ProxyOf) -> None:
    pod = {"spec": {"containers": [{"name": "app"}, {"name": "istio-proxy", "resources": {"limits": {"cpu": "x"}}}]}}
    assert proxy_of(injected(pod))["resources"]["limits"]["cpu"] == "x"


@pytest.mark.parametrize("native", [True, False])
def test_an_istio_init_of_the_pods_own_is_laid_over_the_redirect(inject: Inject, native: bool) -> None:
    own = {
        "name": "istio-init",
        "image": "auto",
        "resources": {"limits": {"memory": "64Mi"}},
        "securityContext": {"privileged": True},
    }
    first = {"name": "first", "image": "a"}
    found = inject({"spec": {"containers": [{"name": "app"}], "initContainers": [own, first]}}, native=native)
    assert found.pod is not None
    assert not found.problems
    [redirect] = [c for c in found.pod["spec"]["initContainers"] if c["name"] == "weft-redirect"]
    assert "istio-init" not in [c["name"] for c in found.pod["spec"]["initContainers"]]
    assert redirect["image"] == "weft"
    assert redirect["args"] == ["redirect"]
    assert redirect["resources"] == {"requests": {"cpu": "100m"}, "limits": {"cpu": "2", "memory": "64Mi"}}
    assert redirect["securityContext"]["privileged"] is True
    assert redirect["securityContext"]["runAsUser"] == 0
    assert inject(found.pod, native=native).pod == found.pod


def test_what_an_istio_init_runs_has_no_effect(inject: Inject) -> None:
    own = {"name": "istio-init", "image": "mine:1", "command": ["sh"], "args": ["-c", "true"]}
    found = inject({"spec": {"containers": [{"name": "app"}], "initContainers": [own]}})
    assert found.pod is not None
    redirect = found.pod["spec"]["initContainers"][0]
    assert (redirect["name"], redirect["image"], redirect["command"]) == (
        "weft-redirect",
        "weft",
        ["/usr/local/bin/weft"],
    )
    assert [problem.path for problem in found.problems] == [
        f"spec.initContainers[0].{name}" for name in ("args", "command", "image")
    ]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]}),
        (
            {"fsGroup": 7, "sysctls": [{"name": "net.core.somaxconn", "value": "9"}]},
            {
                "fsGroup": 7,
                "sysctls": [
                    {"name": "net.core.somaxconn", "value": "9"},
                    {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"},
                ],
            },
        ),
        (
            {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "443"}]},
            {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "443"}]},
        ),
    ],
)
def test_a_gateway_may_listen_on_low_ports(injected: Injected, written: Pod | None, expected: Pod) -> None:
    """Deployments from elsewhere count on the injector for it."""
    pod: Pod = {
        "metadata": {"annotations": {"inject.istio.io/templates": "gateway"}},
        "spec": {"containers": [{"name": "istio-proxy", "image": "auto"}]},
    }
    if written is not None:
        pod["spec"]["securityContext"] = written
    assert injected(pod)["spec"]["securityContext"] == expected


@pytest.mark.parametrize("template", ["sidecar", "gateway"])
def test_istios_image_refuses_the_pod_which_could_never_start(inject: Inject, template: str) -> None:
    own = {"name": "istio-proxy", "image": "registry.example/istio/proxyv2:1.30"}
    metadata = {"annotations": {"inject.istio.io/templates": template}}
    found = inject({"metadata": metadata, "spec": {"containers": [{"name": "app"}, own]}})
    assert [problem.path for problem in found.errors] == ["spec.containers[1].image"]
