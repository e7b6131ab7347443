"""InjectionSettings: an empty document is valid, and every mistake is told with its path."""

from datetime import timedelta

import pytest

from weft_core.problems import ObjectRef
from weft_injector.quantity import parse_quantity
from weft_injector.settings import ClusterFeatures, InjectionSettings, Switch, load_settings

REF = ObjectRef(kind="ConfigMap", namespace="weft-system", name="weft")


@pytest.mark.parametrize("text", ["", "{}", "# nothing\n"])
def test_all_have_defaults(text: str) -> None:
    assert load_settings(text, REF).settings == InjectionSettings()


def test_a_whole_document_is_read() -> None:
    loaded = load_settings(
        """
image: weft:1
imagePullPolicy: Never
imagePullSecrets: [one, two]
revision: canary
istioLabels: true
nativeSidecar: disabled
certificates: {delivery: secrets, lifetime: 12h}
xdsAddress: weft-canary.mesh.svc:15012
resources: {requests: {cpu: 2, memory: 1Gi}, limits: {}}
concurrency: 0
terminationDrainDuration: 0s
traffic: {excludeOutboundIPRanges: "10.0.0.0/8,fd00::/8"}
""",
        REF,
    )
    assert loaded.problems == ()
    assert loaded.settings is not None
    assert loaded.settings.certificates.lifetime == timedelta(hours=12)
    assert loaded.settings.resources.requests == {"cpu": "2", "memory": "1Gi"}
    assert loaded.settings.image_pull_secrets == ("one", "two")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("imagee: a", "imagee"),
        ("image: ''", "image"),
        ("logLevel: loud", "logLevel"),
        ("nativeSidecar: true", "nativeSidecar"),
        ("nativeSidecar: yes please", "nativeSidecar"),
        ("certificates: {lifetime: 5m}", "certificates.lifetime"),
        ("certificates: {delivery: secret}", "certificates.delivery"),
        ("xdsAddress: weft", "xdsAddress"),
        ("xdsAddress: weft:99999", "xdsAddress"),
        ("resources: {requests: {cpu: lots}}", "resources.requests.cpu"),
        ("resources: {requests: {cpu: '3'}}", "resources.requests.cpu"),
        ("componentLogLevel: http", "componentLogLevel"),
        ("concurrency: -1", "concurrency"),
        ("traffic: {excludeInboundPorts: '0'}", "traffic.excludeInboundPorts"),
        ("traffic: {includeOutboundIPRanges: '*,10.0.0.0/8'}", "traffic.includeOutboundIPRanges"),
        ("image:", "image"),
        ("[]", ""),
        ("a: [", ""),
        ("{}\n---\n{}", ""),
    ],
)
def test_mistakes_are_told_with_their_path(text: str, path: str) -> None:
    loaded = load_settings(text, REF, prefix=("data", "injection"))
    assert loaded.settings is None
    assert [problem.path for problem in loaded.problems] == [f"data.injection.{path}".rstrip(".")]
    assert all(problem.object == REF and problem.fix for problem in loaded.problems)


@pytest.mark.parametrize(
    ("switch", "native", "expected"),
    [
        (Switch.AUTO, True, True),
        (Switch.AUTO, False, False),
        (Switch.ENABLED, False, True),
        (Switch.DISABLED, True, False),
    ],
)
def test_native_sidecars_are_taken_where_the_cluster_has_them_unless_it_is_said(
    switch: Switch, native: bool, expected: bool
) -> None:
    settings = InjectionSettings(native_sidecar=switch)
    assert settings.native(ClusterFeatures(native_sidecars=native)) is expected


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("100m", "0.1"),
        ("2", "2"),
        (".5", "0.5"),
        ("1e3", "1000"),
        ("128Mi", "134217728"),
        ("1k", "1000"),
        ("1E", "1e18"),
    ],
)
def test_quantities_are_kubernetes_own(text: str, amount: str) -> None:
    assert parse_quantity(text) == parse_quantity(amount)


@pytest.mark.parametrize("text", ["", "m", "-1", "1Qi", "1 Gi", "0x10", "1e", "1.2.3", "１"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity(text)
