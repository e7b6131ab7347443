"""A pod's annotations: Istio's names, Weft's spelling of them, and what is wrong with them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from weft_core.problems import Severity
from weft_injector.patch.inject import Injection

Pod = dict[str, Any]
Inject = Callable[..., Injection]
Injected = Callable[..., Pod]


def pod(**annotations: str) -> Pod:
    return with_annotations(annotations)


def with_annotations(annotations: dict[str, str]) -> Pod:
    return {"metadata": {"name": "a", "annotations": annotations}, "spec": {"containers": [{"name": "app"}]}}


@pytest.mark.parametrize("prefix", ["sidecar.istio.io/", "weft.dev/"])
def test_resources_replace_all_defaults(injected: Injected, proxy_of: Callable[[Pod], Pod], prefix: str) -> None:
    found = injected(with_annotations({f"{prefix}proxyCPU": "50m", f"{prefix}proxyMemoryLimit": "1Gi"}))
    assert proxy_of(found)["resources"] == {"requests": {"cpu": "50m"}, "limits": {"memory": "1Gi"}}
    assert found["spec"]["initContainers"][0]["resources"] == proxy_of(found)["resources"]


def test_weft_spelling_wins(injected: Injected, proxy_of: Callable[[Pod], Pod]) -> None:
    found = injected(with_annotations({"sidecar.istio.io/logLevel": "info", "weft.dev/logLevel": "debug"}))
    arguments = proxy_of(found)["args"]
    assert arguments[arguments.index("--log-level") + 1] == "debug"


def test_log_levels_by_component(injected: Injected, proxy_of: Callable[[Pod], Pod]) -> None:
    found = injected(with_annotations({"sidecar.istio.io/componentLogLevel": "http:debug,router:trace"}))
    arguments = proxy_of(found)["args"]
    assert arguments[arguments.index("--component-log-level") + 1] == "http:debug,router:trace"


def test_the_proxys_image(injected: Injected, proxy_of: Callable[[Pod], Pod]) -> None:
    found = injected(with_annotations({"sidecar.istio.io/proxyImage": "mine:1"}))
    assert proxy_of(found)["image"] == found["spec"]["initContainers"][0]["image"] == "mine:1"


@pytest.mark.parametrize(("text", "native"), [("false", False), ("true", True)])
def test_a_pod_chooses_its_kind_of_sidecar(injected: Injected, text: str, native: bool) -> None:
    found = injected(with_annotations({"sidecar.istio.io/nativeSidecar": text}), native=not native)
    assert ("istio-proxy" in [c["name"] for c in found["spec"]["initContainers"]]) is native


def test_capture_is_told_to_the_redirecting_container(injected: Injected) -> None:
    annotations = {
        "traffic.sidecar.istio.io/excludeOutboundIPRanges": "10.0.0.0/8,192.168.1.1",
        "traffic.sidecar.istio.io/includeInboundPorts": "8080",
        "weft.dev/excludeOutboundPorts": "5432",
    }
    found = injected(with_annotations(annotations), settings={"traffic": {"excludeOutboundPorts": "3306"}})
    assert found["spec"]["initContainers"][0]["args"] == [
        "redirect",
        "--inbound-ports=8080",
        "--exclude-outbound-cidrs=10.0.0.0/8,192.168.1.1/32",
        "--exclude-outbound-ports=5432",
    ]


def test_settings_say_what_is_captured_where_the_pod_does_not(injected: Injected) -> None:
    found = injected(pod(), settings={"traffic": {"includeOutboundIPRanges": "10.0.0.0/8"}})
    assert found["spec"]["initContainers"][0]["args"] == ["redirect", "--outbound-cidrs=10.0.0.0/8"]


def test_readiness_of_the_proxy(injected: Injected, proxy_of: Callable[[Pod], Pod]) -> None:
    names = {"initialDelaySeconds": "0", "periodSeconds": "2", "failureThreshold": "9"}
    found = injected(with_annotations({f"readiness.status.sidecar.istio.io/{n}": v for n, v in names.items()}))
    probe = proxy_of(found)["readinessProbe"]
    assert {name: probe[name] for name in names} == {name: int(value) for name, value in names.items()}


def test_proxy_config(injected: Injected, proxy_of: Callable[[Pod], Pod], bootstrap_of: Callable[..., Pod]) -> None:
    config = """
concurrency: 4
holdApplicationUntilProxyStarts: false
terminationDrainDuration: 10s
proxyMetadata: {ISTIO_META_DNS_CAPTURE: "true", MY_VARIABLE: x}
"""
    found = injected(with_annotations({"proxy.istio.io/config": config}), native=False)
    proxy = proxy_of(found)
    assert "postStart" not in proxy["lifecycle"]
    assert "--minimum=10" in proxy["lifecycle"]["preStop"]["exec"]["command"]
    assert {"name": "MY_VARIABLE", "value": "x"} in proxy["env"]
    assert bootstrap_of(found)["node"]["metadata"]["DNS_CAPTURE"] == "true"


def test_the_mesh_says_first_the_pod_last(injected: Injected, proxy_of: Callable[[Pod], Pod]) -> None:
    defaults = {"concurrency": 3, "terminationDrainDuration": "7s"}
    found = injected(with_annotations({"proxy.istio.io/config": "concurrency: 1"}), defaults=defaults, native=False)
    proxy = proxy_of(found)
    assert proxy["args"][proxy["args"].index("--concurrency") + 1] == "1"
    assert "--minimum=7" in proxy["lifecycle"]["preStop"]["exec"]["command"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sidecar.istio.io/proxyCPU", "many"),
        ("weft.dev/proxyMemory", "128 MB"),
        ("sidecar.istio.io/logLevel", "all:debug"),
        ("sidecar.istio.io/componentLogLevel", "http"),
        ("sidecar.istio.io/nativeSidecar", "perhaps"),
        ("sidecar.istio.io/rewriteAppHTTPProbers", "2"),
        ("sidecar.istio.io/interceptionMode", "NONE"),
        ("sidecar.istio.io/interceptionMode", "redirekt"),
        ("sidecar.istio.io/proxyImage", "a b"),
        ("sidecar.istio.io/proxyImage", "proxyv2"),
        ("weft.dev/proxyImage", "registry.example:5000/istio/proxyv2:1.30@sha256:00"),
        ("readiness.status.sidecar.istio.io/periodSeconds", "-1"),
        ("traffic.sidecar.istio.io/excludeInboundPorts", "http"),
        ("weft.dev/includeOutboundIPRanges", "10.0.0.0/99"),
        ("traffic.sidecar.istio.io/kubevirtInterfaces", "net*"),
        ("istio.io/reroute-virtual-interfaces", "a b"),
        ("proxy.istio.io/config", "concurrency: lots"),
        ("proxy.istio.io/config", "concurency: 1"),
        ("proxy.istio.io/config", "a: ["),
        ("proxy.istio.io/config", "- 1"),
        ("proxy.istio.io/config", "interceptionMode: NONE"),
        ("sidecar.istio.io/userVolume", "1"),
        ("sidecar.istio.io/userVolume", '[{"emptyDir": {}}]'),
        ("sidecar.istio.io/userVolume", '{"weft-certificates": {"emptyDir": {}}}'),
        ("weft.dev/userVolumeMount", '{"keys": {"readOnly": true}}'),
        ("sidecar.istio.io/userVolumeMount", '{"keys": "/keys"}'),
        ("sidecar.istio.io/userVolumeMount", '{"keys": '),
    ],
)
def test_what_cannot_be_read_refuses_the_pod_with_path_and_fix(inject: Inject, name: str, value: str) -> None:
    found = inject(with_annotations({name: value}))
    assert found.pod is None
    assert [problem.path for problem in found.errors] == [f"metadata.annotations[{name}]"]
    assert all(problem.fix for problem in found.errors)


def test_a_request_above_its_limit_is_refused(inject: Inject) -> None:
    found = inject(with_annotations({"weft.dev/proxyCPU": "2", "sidecar.istio.io/proxyCPULimit": "1"}))
    assert [problem.path for problem in found.errors] == ["metadata.annotations[weft.dev/proxyCPU]"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sidecar.istio.io/proxyCpu", "1"),
        ("weft.dev/logLevle", "debug"),
        ("sidecar.istio.io/statsFlushInterval", "5s"),
        ("sidecar.istio.io/interceptionMode", "TPROXY"),
        ("status.sidecar.istio.io/port", "15020"),
        ("proxy.istio.io/config", "tracingServiceName: CANONICAL_NAME_ONLY"),
        ("traffic.sidecar.istio.io/excludeInboundPort", "80"),
        ("readiness.status.sidecar.istio.io/applicationPorts", "80"),
        ("status.sidecar.istio.io/prot", "80"),
        ("proxy.istio.io/confg", "concurrency: 1"),
        ("inject.istio.io/template", "gateway"),
        ("prometheus.istio.io/scrape-targets", "8080:/metrics"),
    ],
)
def test_what_has_no_effect_is_a_warning(inject: Inject, name: str, value: str) -> None:
    found = inject(with_annotations({name: value}))
    assert found.pod is not None
    assert [(p.severity, p.path) for p in found.problems] == [(Severity.WARNING, f"metadata.annotations[{name}]")]


def test_a_slip_of_the_pen_is_recognised(inject: Inject) -> None:
    [problem] = inject(pod(**{"sidecar.istio.io/proxyCpu": "1"})).problems
    assert problem.fix == "write sidecar.istio.io/proxyCPU"


def test_annotations_of_others_are_nobodys_business(inject: Inject) -> None:
    annotations = {
        "weft.dev/local-command": "./run",
        "weft.dev/local-address": "127.0.0.1:9080",
        "example.com/sidecar.istio.io": "x",
        "prometheus.io/scrape": "true",
        "sidecar.istio.io/inject": "true",
    }
    assert inject(with_annotations(annotations)).problems == ()


def test_all_mistakes_are_told_at_once(inject: Inject) -> None:
    found = inject(with_annotations({"sidecar.istio.io/proxyCPU": "x", "weft.dev/logLevel": "y"}))
    assert len(found.errors) == 2


def test_a_config_may_be_json(injected: Injected, proxy_of: Callable[[Pod], Pod]) -> None:
    found = injected(with_annotations({"proxy.istio.io/config": json.dumps({"concurrency": 5})}))
    assert "5" in proxy_of(found)["args"]


def test_virtual_machines_behind_the_pod_are_captured_by_either_name(injected: Injected) -> None:
    for name in ("istio.io/reroute-virtual-interfaces", "traffic.sidecar.istio.io/kubevirtInterfaces"):
        found = injected(with_annotations({name: "net1"}))
        assert found["spec"]["initContainers"][0]["args"] == ["redirect", "--reroute-interfaces=net1"]


def test_an_empty_value_says_nothing(injected: Injected) -> None:
    """Charts render annotations whose values nobody set."""
    options = ("proxyCPU", "proxyImage", "logLevel", "componentLogLevel", "nativeSidecar", "interceptionMode")
    empty = {f"sidecar.istio.io/{name}": " " for name in options}
    assert injected(with_annotations(empty))["spec"] == injected(with_annotations({}))["spec"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("logLevel", "`default:info` is not one of Envoy's log levels"),
        ("interceptionMode", "`default:info` is no interception mode"),
    ],
)
def test_what_can_not_be_read_is_said_in_the_fields_words(inject: Inject, name: str, message: str) -> None:
    [problem] = inject(with_annotations({f"sidecar.istio.io/{name}": "default:info"})).errors
    assert problem.message == message


def test_who_counts_on_captured_dns_is_told(inject: Inject) -> None:
    config = 'proxyMetadata: {ISTIO_META_DNS_CAPTURE: "true", ISTIO_META_OTHER: "1"}'
    [problem] = inject(with_annotations({"proxy.istio.io/config": config})).problems
    assert (problem.severity, problem.message) == (
        Severity.WARNING,
        "proxyMetadata.ISTIO_META_DNS_CAPTURE: DNS is not captured; it has no effect",
    )


def test_volumes_for_the_proxy_alone(injected: Injected, proxy_of: Callable[[Pod], Pod]) -> None:
    given = with_annotations(
        {
            "sidecar.istio.io/userVolume": '{"keys": {"secret": {"secretName": "k"}}, "roots": {"emptyDir": {}}}',
            "sidecar.istio.io/userVolumeMount": '{"keys": {"mountPath": "/keys", "readOnly": true},'
            ' "roots": {"mountPath": "/roots"}}',
        }
    )
    given["spec"]["volumes"] = [{"name": "roots", "configMap": {"name": "roots"}}]
    found = injected(given)
    certificates, *mounts = proxy_of(found)["volumeMounts"]
    assert certificates["name"] == "weft-certificates"
    assert mounts == [
        {"mountPath": "/keys", "readOnly": True, "name": "keys"},
        {"mountPath": "/roots", "name": "roots"},
    ]
    roots, _, keys = found["spec"]["volumes"]
    assert roots == {"name": "roots", "configMap": {"name": "roots"}}, "the pod's own"
    assert keys == {"name": "keys", "secret": {"secretName": "k"}}
    status = json.loads(found["metadata"]["annotations"]["sidecar.istio.io/status"])
    assert status["volumes"] == ["weft-certificates", "keys"]
    assert "volumeMounts" not in found["spec"]["containers"][0]
    assert injected(found) == found


@pytest.mark.parametrize(("value", "led"), [("false", False), ("true", True), ("", True)])
def test_prometheus_is_led_to_the_proxy_unless_the_pod_says_no(injected: Injected, value: str, led: bool) -> None:
    found = injected(with_annotations({"prometheus.istio.io/merge-metrics": value}))
    assert ("prometheus.io/port" in found["metadata"]["annotations"]) is led


def test_volumes_may_be_lists_of_what_has_a_name(injected: Injected, proxy_of: Callable[[Pod], Pod]) -> None:
    given = with_annotations({"sidecar.istio.io/userVolumeMount": '[{"name": "keys", "mountPath": "/keys"}]'})
    assert proxy_of(injected(given))["volumeMounts"][1:] == [{"name": "keys", "mountPath": "/keys"}]


def test_who_counts_on_istios_agent_is_told(inject: Inject) -> None:
    config = "proxyMetadata: {OUTPUT_CERTS: /etc/certs, ISTIO_META_HTTP10: '1', MINE: x}"
    told = inject(with_annotations({"proxy.istio.io/config": config})).problems
    assert [problem.message for problem in told] == [
        "proxyMetadata.ISTIO_META_HTTP10: Weft's control plane does not read it; it has no effect",
        "proxyMetadata.OUTPUT_CERTS: there is no agent beside Envoy, which would read it; it has no effect",
    ]
