"""Flags of `weft redirect`: what they mean, and that settings survive being written as flags."""

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_injector.capture.flags import FlagError, flags_of, settings_of
from weft_injector.capture.settings import CaptureSettings

ports = st.frozensets(st.integers(1, 65535), max_size=4)
networks = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).flatmap(
    lambda address: st.integers(0, address.max_prefixlen).map(lambda n: ip_network(f"{address}/{n}", strict=False))
)
cidrs = st.lists(networks, max_size=3).map(tuple)
interfaces = st.frozensets(st.from_regex(r"[a-z0-9]{1,15}", fullmatch=True), max_size=3)
settings = st.builds(
    CaptureSettings,
    outbound_port=st.integers(1, 65535),
    inbound_port=st.integers(1, 65535),
    proxy_uid=st.integers(0, 2**32 - 2),
    proxy_gid=st.integers(0, 2**32 - 2),
    include_outbound_cidrs=st.none() | cidrs,
    exclude_outbound_cidrs=cidrs,
    include_outbound_ports=ports,
    exclude_outbound_ports=ports,
    include_inbound_ports=st.none() | ports,
    exclude_inbound_ports=ports,
    exclude_interfaces=interfaces,
    reroute_interfaces=interfaces,
)


def parse(flags: tuple[str, ...]) -> CaptureSettings:
    values: dict[str, Any] = {}
    for flag in flags:
        name, _, value = flag.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        values[name] = int(value) if name in {"envoy_port", "inbound_capture_port", "proxy_uid", "proxy_gid"} else value
    return settings_of(**values)


@given(settings)
def test_settings_survive_being_written_as_flags(settings: CaptureSettings) -> None:
    assert parse(flags_of(settings)) == settings


def test_defaults_need_no_flags() -> None:
    assert flags_of(CaptureSettings()) == ()
    assert settings_of() == CaptureSettings()


def test_everything_is_a_star_and_nothing_is_empty() -> None:
    assert settings_of(inbound_ports="*", outbound_cidrs=" * ") == CaptureSettings()
    nothing = CaptureSettings(include_inbound_ports=frozenset(), include_outbound_cidrs=())
    assert settings_of(inbound_ports="", outbound_cidrs="") == nothing
    assert flags_of(nothing) == ("--inbound-ports=", "--outbound-cidrs=")


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("inbound_ports", "80,*", "'*' is not a port; \"*\" stands alone, for all"),
        ("exclude_inbound_ports", "0", "port 0 is not between 1 and 65535"),
        ("exclude_outbound_ports", "http", "'http' is not a port"),
        ("include_outbound_ports", "80;443", "'80;443' is not a port"),
        ("outbound_cidrs", "10.0.0.0/33", "'10.0.0.0/33' is not a CIDR"),
        ("exclude_outbound_cidrs", "fe80::1%eth0", "'fe80::1%eth0' is not a CIDR"),
        ("exclude_interfaces", "eth+", "'eth+' is not the name of a network interface"),
        ("envoy_port", 65536, "port 65536 is not between 1 and 65535"),
    ],
)
def test_a_mistake_is_told_with_its_flag(flag: str, value: Any, message: str) -> None:
    with pytest.raises(FlagError) as caught:
        settings_of(**{flag: value})
    assert caught.value.flag == f"--{flag.replace('_', '-')}"
    assert str(caught.value) == message
