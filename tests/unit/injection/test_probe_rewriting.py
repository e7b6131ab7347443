"""Which probes go through the proxy, and what of them stays."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from weft_injector.patch.inject import Injection

Pod = dict[str, Any]
Inject = Callable[..., Injection]
Injected = Callable[..., Pod]
BootstrapOf = Callable[..., Pod]


def pod(probes: Pod, *, init: bool = False, **container: Any) -> Pod:
    probed = {"name": "app", "ports": [{"name": "http", "containerPort": 8080}], **probes, **container}
    if not init:
        return {"metadata": {"name": "a"}, "spec": {"containers": [probed]}}
    return {
        "metadata": {"name": "a"},
        "spec": {"initContainers": [{**probed, "restartPolicy": "Always"}], "containers": [{"name": "main"}]},
    }


def listener(bootstrap: Pod) -> Pod | None:
    found = [each for each in bootstrap["static_resources"]["listeners"] if each["name"] == "probes"]
    return found[0] if found else None


def manager(bootstrap: Pod) -> Pod:
    found = listener(bootstrap)
    assert found is not None
    config: Pod = found["filter_chains"][0]["filters"][0]["typed_config"]
    return config


def routes(bootstrap: Pod) -> dict[str, Pod]:
    hosts = manager(bootstrap)["route_config"]["virtual_hosts"]
    return {route["match"]["path"]: route["route"] for route in hosts[0]["routes"]}


def clusters(bootstrap: Pod) -> dict[str, Pod]:
    return {cluster["name"]: cluster for cluster in bootstrap["static_resources"]["clusters"]}


def test_an_http_probe_keeps_all_but_its_address(injected: Injected, bootstrap_of: BootstrapOf) -> None:
    headers = [{"name": "Host", "value": "shop.example.com"}]
    get = {"path": "/healthz?x=1", "port": "http", "scheme": "HTTPS", "httpHeaders": headers}
    timing = {"periodSeconds": 3, "timeoutSeconds": 2, "failureThreshold": 7, "terminationGracePeriodSeconds": 1}
    found = injected(pod({"readinessProbe": {"httpGet": get, **timing}}))
    assert found["spec"]["containers"][0]["readinessProbe"] == {
        **timing,
        "httpGet": {"path": "/app-health/app/readyz", "port": 15020, "httpHeaders": headers},
    }
    bootstrap = bootstrap_of(found)
    route = routes(bootstrap)["/app-health/app/readyz"]
    assert (route["prefix_rewrite"], route["timeout"]) == ("/healthz?x=1", "2s")
    cluster = clusters(bootstrap)[route["cluster"]]
    assert cluster["transport_socket"]["typed_config"]["sni"] == "shop.example.com"
    [endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"] == {"address": "10.1.2.3", "port_value": 8080}


@pytest.mark.parametrize(
    ("kind", "at"), [("livenessProbe", "livez"), ("readinessProbe", "readyz"), ("startupProbe", "startupz")]
)
@pytest.mark.parametrize(
    "handler",
    [{"tcpSocket": {"port": "http"}}, {"grpc": {"port": 8080, "service": "shop"}}, {"httpGet": {"port": 8080}}],
)
@pytest.mark.parametrize("init", [False, True])
def test_every_kind_of_probe_of_every_container_that_runs_on(
    injected: Injected, bootstrap_of: BootstrapOf, kind: str, at: str, handler: Pod, init: bool
) -> None:
    found = injected(pod({kind: handler}, init=init))
    container = found["spec"]["initContainers"][-1] if init else found["spec"]["containers"][0]
    assert container[kind] == {"httpGet": {"path": f"/app-health/app/{at}", "port": 15020}}
    assert f"/app-health/app/{at}" in json.dumps(listener(bootstrap_of(found)))


def test_tcp_and_grpc_probes_become_health_checks(injected: Injected, bootstrap_of: BootstrapOf) -> None:
    probes = {
        "livenessProbe": {"tcpSocket": {"port": 8080}, "timeoutSeconds": 4},
        "readinessProbe": {"grpc": {"port": 8080, "service": "shop.Cart"}, "periodSeconds": 2},
    }
    found = clusters(bootstrap_of(injected(pod(probes))))
    checks = [cluster["health_checks"][0] for cluster in found.values() if "health_checks" in cluster]
    assert [check["timeout"] for check in checks] == ["4s", "1s"]
    assert "tcp_health_check" in checks[0]
    assert checks[1]["grpc_health_check"]["service_name"] == "shop.Cart"
    assert checks[1]["interval"] == "2s"


@pytest.mark.parametrize(
    "probe",
    [
        {"exec": {"command": ["true"]}},
        {"httpGet": {"port": 8080, "host": "example.com"}},
        {"tcpSocket": {"port": 8080, "host": "example.com"}},
        {"httpGet": {"port": 15021, "path": "/healthz/ready"}},
        {"httpGet": {"port": "unknown"}},
        {"tcpSocket": {"port": 0}},
        {},
    ],
)
def test_what_is_left_as_it_is(injected: Injected, bootstrap_of: BootstrapOf, probe: Pod) -> None:
    given = pod({"livenessProbe": probe})
    found = injected(given)
    assert found["spec"]["containers"] == given["spec"]["containers"]
    assert listener(bootstrap_of(found)) is None


def test_a_port_that_no_container_has_is_told(inject: Inject) -> None:
    [problem] = inject(pod({"livenessProbe": {"httpGet": {"port": "htpp"}}})).problems
    assert problem.path == "spec.containers[0].livenessProbe.httpGet.port"


def test_a_port_name_that_is_a_number(injected: Injected, bootstrap_of: BootstrapOf) -> None:
    bootstrap = bootstrap_of(injected(pod({"livenessProbe": {"httpGet": {"port": "9090"}}})))
    [endpoint] = clusters(bootstrap)["probe|9090"]["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"]["port_value"] == 9090


def test_http_hooks_go_the_same_way_without_a_limit_of_time(injected: Injected, bootstrap_of: BootstrapOf) -> None:
    hooks = {"preStop": {"httpGet": {"path": "bye", "port": "http"}}, "postStart": {"exec": {"command": ["x"]}}}
    found = injected(pod({"lifecycle": hooks}))
    lifecycle = found["spec"]["containers"][0]["lifecycle"]
    assert lifecycle["preStop"] == {"httpGet": {"path": "/app-lifecycle/app/prestop", "port": 15020}}
    assert lifecycle["postStart"] == hooks["postStart"]
    route = routes(bootstrap_of(found))["/app-lifecycle/app/prestop"]
    assert (route["prefix_rewrite"], route["timeout"]) == ("/bye", "0s")


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("", "/"),
        ("healthz", "/healthz"),
        ("/a b", "/a%20b"),
        ("/ä?q=ü", "/%C3%A4?q=%C3%BC"),
        ("/a%20b#top", "/a%20b"),
        ("/a\r\nx: y", "/a%0D%0Ax:%20y"),
    ],
)
def test_paths_go_over_the_wire_as_the_kubelet_writes_them(
    injected: Injected, bootstrap_of: BootstrapOf, written: str, sent: str
) -> None:
    bootstrap = bootstrap_of(injected(pod({"livenessProbe": {"httpGet": {"path": written, "port": 80}}})))
    assert routes(bootstrap)["/app-health/app/livez"]["prefix_rewrite"] == sent


def test_a_sidecar_that_starts_before_a_plain_proxy_is_not_held_up_by_it(injected: Injected) -> None:
    probes = {"startupProbe": {"tcpSocket": {"port": 8080}}, "livenessProbe": {"tcpSocket": {"port": 8080}}}
    found = injected(pod(probes, init=True), native=False)
    early = found["spec"]["initContainers"][0]
    assert early["startupProbe"] == probes["startupProbe"]
    assert "httpGet" in early["livenessProbe"]


def test_nor_is_one_that_asked_to_start_before_a_native_proxy(injected: Injected) -> None:
    probes = {"startupProbe": {"tcpSocket": {"port": 8080}}, "readinessProbe": {"tcpSocket": {"port": 8080}}}
    given = pod(probes, init=True)
    given["metadata"]["annotations"] = {"sidecar.istio.io/init-containers-before-proxy": "app"}
    early = injected(given)["spec"]["initContainers"][0]
    assert early["startupProbe"] == probes["startupProbe"]
    assert "httpGet" in early["readinessProbe"]


@pytest.mark.parametrize("off", ["annotation", "settings"])
def test_it_can_be_turned_off(injected: Injected, off: str) -> None:
    given = pod({"livenessProbe": {"httpGet": {"port": 8080}}})
    if off == "annotation":
        given["metadata"]["annotations"] = {"sidecar.istio.io/rewriteAppHTTPProbers": "false"}
    found = injected(given, settings={"rewriteProbes": off != "settings"})
    assert found["spec"]["containers"][0] == given["spec"]["containers"][0]


def test_a_hundred_containers_with_all_probes_fit_on_the_command_line(
    inject: Inject, proxy_of: Callable[[Pod], Pod]
) -> None:
    probes = {kind: {"tcpSocket": {"port": 80}} for kind in ("livenessProbe", "readinessProbe", "startupProbe")}
    containers = [{"name": f"container-{n}", **json.loads(json.dumps(probes))} for n in range(100)]
    for number, container in enumerate(containers):
        for kind in probes:
            container[kind]["tcpSocket"]["port"] = 8000 + number
    found = inject({"spec": {"containers": containers}})
    assert found.pod is not None
    assert max(map(len, proxy_of(found.pod)["args"])) < 128 * 1024


def test_what_does_not_fit_is_refused_with_the_way_out(inject: Inject) -> None:
    containers = [
        {"name": f"c{n}", "livenessProbe": {"httpGet": {"path": "/" + "x" * 3000, "port": 80}}} for n in range(100)
    ]
    [problem] = inject({"spec": {"containers": containers}}).errors
    assert "rewriteAppHTTPProbers" in problem.fix


def test_where_inbound_traffic_goes_to_loopback_probes_do_too(
    injected: Callable[..., Pod], bootstrap_of: Callable[..., Pod]
) -> None:
    """Applications of such a mesh may listen on 127.0.0.1 alone."""
    mesh = {"inboundTrafficPolicy": {"mode": "LOCALHOST"}}
    probed = {"name": "app", "livenessProbe": {"tcpSocket": {"port": 80}}}
    once = injected({"spec": {"containers": [probed]}}, mesh=mesh)
    once["spec"]["containers"].append({"name": "later", "readinessProbe": {"httpGet": {"port": 81}}})
    for pod, names in ((once, {"probe|80"}), (injected(once, mesh=mesh), {"probe|80", "probe|81"})):
        resources = bootstrap_of(pod)["static_resources"]
        clusters = {c["name"]: c["load_assignment"] for c in resources["clusters"] if c["name"].startswith("probe|")}
        assert clusters.keys() == names
        for assignment in clusters.values():
            [endpoint] = assignment["endpoints"][0]["lb_endpoints"]
            assert endpoint["endpoint"]["address"]["socket_address"]["address"] == "127.0.0.1"
        [listener] = [found for found in resources["listeners"] if found["name"] == "probes"]
        assert listener["address"]["socket_address"]["address"] == "10.1.2.3"
