"""The ConfigMap: what the chart writes, the control plane reads, without a word of complaint."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import yaml

from weft_core.load.mesh import load_mesh_config
from weft_core.model.mesh_config import MeshConfig
from weft_core.problems import ObjectRef
from weft_injector.settings import Delivery, InjectionSettings, LogLevel, PullPolicy, Switch, load_settings

EVERYTHING = {
    "revision": "canary",
    "clusterDomain": "corp.example",
    "image": {"repository": "mirror/weft", "digest": f"sha256:{'0' * 64}", "pullSecrets": ["mirror"]},
    "compat": {"istioLabels": True, "istioPodLabels": False},
    "certificates": {"delivery": "secrets", "lifetime": "12h"},
    "injection": {
        "nativeSidecar": "disabled",
        "resources": {"requests": {"cpu": "50m"}, "limits": {"memory": "256Mi"}},
        "logLevel": "debug",
        "componentLogLevel": "http:debug,router:trace",
        "concurrency": 2,
        "terminationDrainDuration": "30s",
        "holdApplicationUntilProxyStarts": False,
        "rewriteProbes": False,
        "traffic": {"includeOutboundIPRanges": "10.0.0.0/8,fd00::/8", "excludeInboundPorts": "22,2222"},
    },
    "meshConfig": {
        "trustDomain": "corp.example",
        "rootNamespace": "istio-config",
        "accessLogFile": "/dev/stdout",
        "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
    },
}


@pytest.fixture
def settings(render: Callable[..., Any]) -> Callable[..., tuple[InjectionSettings, MeshConfig]]:
    """Both keys of the ConfigMap, read as the control plane does."""

    def read(values: Any = None, name: str = "weft", **more: Any) -> tuple[InjectionSettings, MeshConfig]:
        data = render(values, **more)["ConfigMap", name]["data"]
        assert set(data) == {"mesh", "injection"}
        injection = load_settings(data["injection"], ObjectRef())
        mesh = load_mesh_config(data["mesh"])
        assert (injection.problems, mesh.problems) == ((), ())
        assert injection.settings is not None
        assert mesh.config is not None
        return injection.settings, mesh.config

    return read


def test_defaults_are_the_control_planes_own(settings: Callable[..., Any]) -> None:
    """But for what the chart knows better: the image, the addresses, how certificates are delivered."""
    injection, mesh = settings()
    known = {
        "image": "weft:0.1.0",
        "image_pull_policy": PullPolicy.IF_NOT_PRESENT,
        "certificates": {"delivery": Delivery.POD_CERTIFICATES, "lifetime": "86400s"},
    }
    assert injection.model_dump() == InjectionSettings().model_dump() | known
    assert mesh == MeshConfig(root_namespace="weft-system")


def test_every_setting_has_a_value(render: Callable[..., Any]) -> None:
    """A setting that is added to the control plane must be added to the chart."""
    values = {"injection": {"concurrency": 2}}  # which is left out where there is none
    written = yaml.safe_load(render(values)["ConfigMap", "weft"]["data"]["injection"])
    assert set(written) == {field.alias or name for name, field in InjectionSettings.model_fields.items()}
    traffic = InjectionSettings().traffic
    assert set(written["traffic"]) == {field.alias or name for name, field in type(traffic).model_fields.items()}


def test_values_arrive(settings: Callable[..., Any]) -> None:
    injection, mesh = settings(EVERYTHING, "weft-canary", namespace="mesh")
    assert injection.image == f"mirror/weft@sha256:{'0' * 64}"
    assert injection.image_pull_secrets == ("mirror",)
    assert (injection.namespace, injection.revision, injection.istio_labels) == ("mesh", "canary", True)
    assert not injection.istio_pod_labels
    assert injection.xds_address == "weft-canary.mesh.svc:15012"
    assert injection.cluster_domain == "corp.example"
    assert injection.certificates.delivery is Delivery.SECRETS
    assert injection.certificates.lifetime == timedelta(hours=12)
    assert injection.native_sidecar is Switch.DISABLED
    assert dict(injection.resources.requests) == {"cpu": "50m", "memory": "128Mi"}
    assert dict(injection.resources.limits) == {"cpu": "2", "memory": "256Mi"}
    assert injection.log_level is LogLevel.DEBUG
    assert injection.concurrency == 2
    assert injection.termination_drain_duration == timedelta(seconds=30)
    assert not injection.hold_application_until_proxy_starts
    assert not injection.rewrite_probes
    assert injection.traffic.include_outbound_ip_ranges == "10.0.0.0/8,fd00::/8"
    assert injection.traffic.exclude_inbound_ports == "22,2222"
    assert (mesh.trust_domain, mesh.root_namespace) == ("corp.example", "istio-config")
    assert mesh.access_log_file == "/dev/stdout"


@pytest.mark.parametrize(
    ("asked", "served", "delivery"),
    [
        ("auto", True, "podCertificates"),
        ("auto", False, "secrets"),
        ("secrets", True, "secrets"),
        ("podCertificates", False, "podCertificates"),
    ],
)
def test_the_delivery_is_settled_by_the_chart(
    render: Callable[..., Any], asked: str, served: bool, delivery: str
) -> None:
    """The rights that it needs are, too: the two must not disagree after the cluster was upgraded."""
    api_versions = ("certificates.k8s.io/v1/PodCertificateRequest",) if served else ()
    objects = render({"certificates": {"delivery": asked}}, api_versions=api_versions)
    written = yaml.safe_load(objects["ConfigMap", "weft"]["data"]["injection"])
    assert written["certificates"]["delivery"] == delivery
    verbs = {
        verb
        for rule in objects["ClusterRole", "weft-weft-system"]["rules"]
        if rule["resources"] == ["secrets"]
        for verb in rule["verbs"]
    }
    assert ("create" in verbs) == (delivery == "secrets")
