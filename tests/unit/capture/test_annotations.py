"""A pod's annotations: what they mean, and that a mistake in one is told and nothing is guessed."""

from ipaddress import ip_network

import pytest

from weft_core.problems import ObjectRef, Problem, Severity
from weft_injector.capture.annotations import capture_settings
from weft_injector.capture.settings import CaptureSettings

POD = ObjectRef(kind="Pod", namespace="shop", name="cart-0")


def read(**annotations: str) -> tuple[CaptureSettings | None, tuple[Problem, ...]]:
    named = {f"traffic.sidecar.istio.io/{name}": value for name, value in annotations.items()}
    return capture_settings({"app.kubernetes.io/name": "cart", **named}, pod=POD)


def test_without_annotations_everything_is_captured() -> None:
    assert read() == (CaptureSettings(), ())


def test_every_annotation_is_read() -> None:
    settings, problems = read(
        includeOutboundIPRanges="10.0.0.0/8, fd00::/8",
        excludeOutboundIPRanges="10.9.8.7/16,169.254.169.254",
        includeOutboundPorts="443",
        excludeOutboundPorts="25, 587,",
        includeInboundPorts="8080,9090",
        excludeInboundPorts="9090",
        excludeInterfaces="eth1, net-0.1",
    )
    assert problems == ()
    assert settings == CaptureSettings(
        include_outbound_cidrs=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")),
        exclude_outbound_cidrs=(ip_network("10.9.0.0/16"), ip_network("169.254.169.254/32")),
        include_outbound_ports=frozenset({443}),
        exclude_outbound_ports=frozenset({25, 587}),
        include_inbound_ports=frozenset({8080, 9090}),
        exclude_inbound_ports=frozenset({9090}),
        exclude_interfaces=frozenset({"eth1", "net-0.1"}),
    )


def test_a_star_is_everything() -> None:
    assert read(includeOutboundIPRanges="*", includeInboundPorts=" * ") == (CaptureSettings(), ())


def test_an_empty_list_of_included_ones_is_nothing() -> None:
    nothing = CaptureSettings(include_outbound_cidrs=(), include_inbound_ports=frozenset())
    assert read(includeOutboundIPRanges="", includeInboundPorts="") == (nothing, ())


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("includeOutboundIPRanges", "10.0.0.0/33", "write CIDRs"),
        ("includeOutboundIPRanges", "*,10.0.0.0/8", '"*" alone'),
        ("excludeOutboundIPRanges", "*", "write CIDRs"),
        ("excludeOutboundIPRanges", "fe80::%eth0/64", "write CIDRs"),
        ("excludeOutboundIPRanges", "example.org", "write CIDRs"),
        ("includeOutboundPorts", "*", "write ports"),
        ("excludeOutboundPorts", "0", "between 1 and 65535"),
        ("excludeOutboundPorts", "65536", "between 1 and 65535"),
        ("excludeOutboundPorts", "9" * 5000, "between 1 and 65535"),
        ("includeInboundPorts", "http", '"*" alone'),
        ("includeInboundPorts", "80-90", "write ports"),
        ("excludeInboundPorts", "-1", "write ports"),
        ("excludeInboundPorts", "٨٠", "write ports"),
        ("excludeInterfaces", "eth+", "in full"),
        ("excludeInterfaces", 'eth0" accept; #', "in full"),
        ("excludeInterfaces", "a-name-of-16-byte", "in full"),
        ("kubevirtInterfaces", "net*", "in full"),
    ],
)
def test_a_mistake_names_annotation_and_fix_and_nothing_is_guessed(name: str, value: str, fix: str) -> None:
    settings, (problem,) = read(**{name: value})
    assert settings is None
    assert problem.severity is Severity.ERROR
    assert problem.object == POD
    assert problem.path == f"metadata.annotations[traffic.sidecar.istio.io/{name}]"
    assert fix in problem.fix


def test_all_mistakes_are_told_at_once() -> None:
    settings, problems = read(excludeOutboundPorts="a,80,b", excludeInboundPorts="c")
    assert settings is None
    assert [problem.message for problem in problems] == [f"'{item}' is not a port" for item in "abc"]


def test_an_unknown_name_is_a_warning() -> None:
    settings, (problem,) = read(excludeOutboundPort="25")
    assert settings == CaptureSettings()
    assert problem.severity is Severity.WARNING
    assert "excludeOutboundPorts" in problem.fix


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_settings_refuse_impossible_ports(port: int) -> None:
    with pytest.raises(ValueError, match="is not between 1 and 65535"):
        CaptureSettings(exclude_inbound_ports=frozenset({port}))


@pytest.mark.parametrize("name", ["", "eth*", 'lo" accept', "eth0\n", "a b"])
def test_settings_refuse_what_would_break_out_of_a_quoted_name(name: str) -> None:
    with pytest.raises(ValueError, match="network interface"):
        CaptureSettings(exclude_interfaces=frozenset({name}))


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({"traffic.sidecar.istio.io/kubevirtInterfaces": "net1, net2"}, {"net1", "net2"}),
        ({"istio.io/reroute-virtual-interfaces": "net2"}, {"net2"}),
        ({"traffic.sidecar.istio.io/kubevirtInterfaces": "", "istio.io/reroute-virtual-interfaces": ""}, set()),
        (
            {"traffic.sidecar.istio.io/kubevirtInterfaces": "net1", "istio.io/reroute-virtual-interfaces": "net2"},
            {"net1", "net2"},
        ),
    ],
)
def test_interfaces_of_virtual_machines_have_two_names(annotations: dict[str, str], expected: set[str]) -> None:
    settings, problems = capture_settings(annotations, pod=ObjectRef())
    assert settings is not None
    assert settings.reroute_interfaces == expected
    assert problems == ()


def test_a_mistake_is_told_by_the_name_that_was_written() -> None:
    settings, (problem,) = capture_settings({"istio.io/reroute-virtual-interfaces": "net*"}, pod=ObjectRef())
    assert settings is None
    assert problem.path == "metadata.annotations[istio.io/reroute-virtual-interfaces]"
