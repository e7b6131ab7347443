"""The rules by what they do: a tiny evaluator walks them for packets, as the kernel would."""

import dataclasses
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import pytest

from weft_injector.capture.rules import IpVersion, Match, Rule, Verdict, capture_rules
from weft_injector.capture.settings import CaptureSettings, Network

RETURN, INBOUND, OUTBOUND = Verdict.RETURN, Verdict.INBOUND, Verdict.OUTBOUND
EVERYTHING = CaptureSettings()
PROXY = 1337
APPLICATION = 1000
POD_IP, OTHER_IP, PASSTHROUGH, LOOPBACK = "pod", "other", "passthrough", "loopback"
ADDRESSES = {
    IpVersion.V4: {POD_IP: "10.1.2.3", OTHER_IP: "10.96.0.10", PASSTHROUGH: "127.0.0.6", LOOPBACK: "127.0.0.1"},
    IpVersion.V6: {POD_IP: "fd00::3", OTHER_IP: "fd01::10", PASSTHROUGH: "::6", LOOPBACK: "::1"},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Packet:
    """The first packet of a connection; an address is a key of ADDRESSES or literal."""

    interface: str = "eth0"
    source: str = POD_IP
    destination: str = OTHER_IP
    port: int = 8080
    uid: int = APPLICATION
    gid: int = APPLICATION
    protocol: str = "tcp"


def holds(match: Match, packet: Packet, version: IpVersion) -> bool:
    source = ip_address(ADDRESSES[version].get(packet.source, packet.source))
    destination = ip_address(ADDRESSES[version].get(packet.destination, packet.destination))
    return all(
        [
            not (match.not_tcp and packet.protocol == "tcp"),
            not match.interfaces or packet.interface in match.interfaces,
            match.source is None or source in match.source,
            not match.destinations or any(destination in network for network in match.destinations),
            match.not_destination is None or destination not in match.not_destination,
            not match.ports or packet.port in match.ports,
            packet.port != match.not_port,
            match.uid in {None, packet.uid},
            packet.uid != match.not_uid,
            match.gid in {None, packet.gid},
        ]
    )


def walk(rules: Sequence[Rule], packet: Packet, version: IpVersion) -> Verdict:
    return next((rule.verdict for rule in rules if holds(rule.match, packet, version)), RETURN)


def leaving(packet: Packet, settings: CaptureSettings = EVERYTHING, version: IpVersion = IpVersion.V4) -> Verdict:
    return walk(capture_rules(settings, version).output, packet, version)


def entering(
    port: int, settings: CaptureSettings = EVERYTHING, interface: str = "eth0", protocol: str = "tcp"
) -> Verdict:
    packet = Packet(
        interface=interface, source=OTHER_IP, destination=POD_IP, port=port, uid=-1, gid=-1, protocol=protocol
    )
    (verdict,) = {walk(capture_rules(settings, version).prerouting, packet, version) for version in IpVersion}
    return verdict


RULE_10 = {
    "an application's call to anybody goes through the proxy": (Packet(), OUTBOUND),
    "the proxy calls its own pod, the service's address having led there": (
        Packet(interface="lo", destination=POD_IP, uid=PROXY, gid=PROXY),
        INBOUND,
    ),
    "the proxy calls its own pod by the service's address itself": (
        Packet(interface="lo", destination=OTHER_IP, uid=PROXY, gid=PROXY),
        INBOUND,
    ),
    "HBONE to the own pod is the proxy's already": (
        Packet(interface="lo", destination=POD_IP, port=15008, uid=PROXY, gid=PROXY),
        RETURN,
    ),
    "an application calls its own pod's address": (Packet(interface="lo", destination=POD_IP), RETURN),
    "the inbound passthrough, though the proxy's and on the loopback interface": (
        Packet(interface="lo", source=PASSTHROUGH, destination=POD_IP, uid=PROXY, gid=PROXY),
        RETURN,
    ),
    "the proxy calls out, by its user": (Packet(uid=PROXY), RETURN),
    "the proxy calls out, by its group": (Packet(gid=PROXY), RETURN),
    "an application calls localhost": (Packet(interface="lo", source=LOOPBACK, destination=LOOPBACK), RETURN),
    "the proxy calls localhost": (
        Packet(interface="lo", source=LOOPBACK, destination=LOOPBACK, uid=PROXY, gid=PROXY),
        RETURN,
    ),
    "DNS over UDP": (Packet(port=53, protocol="udp"), RETURN),
    "DNS over TCP is TCP": (Packet(port=53), OUTBOUND),
    "SSH is captured too": (Packet(port=22), OUTBOUND),
}


@pytest.mark.parametrize("version", IpVersion, ids=lambda version: version.name)
@pytest.mark.parametrize(("packet", "verdict"), RULE_10.values(), ids=RULE_10.keys())
def test_rule_10_what_leaves_a_connection(packet: Packet, verdict: Verdict, version: IpVersion) -> None:
    assert leaving(packet, version=version) is verdict


@pytest.mark.parametrize("port", [22, 53, 80, 8080, 15000, 15001, 15006])
def test_rule_10_everything_that_enters_is_captured(port: int) -> None:
    assert entering(port) is INBOUND


@pytest.mark.parametrize("port", [15008, 15020, 15021, 15090])
@pytest.mark.parametrize("included", [None, frozenset({15008, 15020, 15021, 15090})])
def test_rule_10_what_enters_for_the_proxy_itself_is_not(port: int, included: frozenset[int] | None) -> None:
    assert entering(port, CaptureSettings(include_inbound_ports=included)) is RETURN


def test_rule_10_included_and_excluded_inbound_ports_are_both_honoured() -> None:
    settings = CaptureSettings(include_inbound_ports=frozenset({80, 81}), exclude_inbound_ports=frozenset({81}))
    assert {port: entering(port, settings) for port in (80, 81, 82)} == {80: INBOUND, 81: RETURN, 82: RETURN}


def test_excluded_inbound_ports_without_a_list_of_included_ones() -> None:
    settings = CaptureSettings(exclude_inbound_ports=frozenset({81}))
    assert {port: entering(port, settings) for port in (80, 81)} == {80: INBOUND, 81: RETURN}


def test_an_empty_list_of_inbound_ports_captures_nothing() -> None:
    assert entering(80, CaptureSettings(include_inbound_ports=frozenset())) is RETURN


def test_only_tcp_enters_the_proxy() -> None:
    assert entering(80, protocol="udp") is RETURN


def test_excluded_interfaces_go_past_the_proxy_both_ways() -> None:
    settings = CaptureSettings(exclude_interfaces=frozenset({"eth1"}))
    assert {name: entering(80, settings, name) for name in ("eth0", "eth1")} == {"eth0": INBOUND, "eth1": RETURN}
    assert leaving(Packet(interface="eth1"), settings) is RETURN
    assert leaving(Packet(), settings) is OUTBOUND


def test_what_comes_in_from_virtual_machines_is_outbound() -> None:
    settings = CaptureSettings(
        reroute_interfaces=frozenset({"net1"}),
        include_outbound_cidrs=(ip_network("10.0.0.0/8"),),
        exclude_outbound_cidrs=(ip_network("10.9.0.0/16"),),
        exclude_outbound_ports=frozenset({25}),
    )

    def sent(destination: str, port: int = 80, interface: str = "net1") -> Verdict:
        packet = Packet(interface=interface, destination=destination, port=port)
        return walk(capture_rules(settings, IpVersion.V4).prerouting, packet, IpVersion.V4)

    assert sent("10.1.0.1") is OUTBOUND
    assert sent("10.9.0.1") is RETURN
    assert sent("10.1.0.1", 25) is RETURN
    assert sent("192.0.2.1") is RETURN, "not inbound either"
    assert sent("10.1.0.1", interface="eth0") is INBOUND


def test_excluded_outbound_ports() -> None:
    settings = CaptureSettings(exclude_outbound_ports=frozenset({25}), include_outbound_ports=frozenset({25, 80}))
    assert {port: leaving(Packet(port=port), settings) for port in (25, 80)} == {25: RETURN, 80: OUTBOUND}


def test_excluded_addresses_beat_included_ones_and_included_ports() -> None:
    settings = CaptureSettings(
        include_outbound_cidrs=(ip_network("10.0.0.0/8"),),
        exclude_outbound_cidrs=(ip_network("10.9.0.0/16"),),
        include_outbound_ports=frozenset({443}),
    )
    fates = {
        (address, port): leaving(Packet(destination=address, port=port), settings)
        for address in ("10.1.0.1", "10.9.0.1", "192.0.2.1")
        for port in (80, 443)
    }
    assert fates == {
        ("10.1.0.1", 80): OUTBOUND,
        ("10.1.0.1", 443): OUTBOUND,
        ("10.9.0.1", 80): RETURN,
        ("10.9.0.1", 443): RETURN,
        ("192.0.2.1", 80): RETURN,
        ("192.0.2.1", 443): OUTBOUND,
    }


def test_a_list_of_one_ip_version_includes_nothing_of_the_other() -> None:
    settings = CaptureSettings(include_outbound_cidrs=(ip_network("10.0.0.0/8"),))
    assert leaving(Packet(), settings) is OUTBOUND
    assert leaving(Packet(), settings, IpVersion.V6) is RETURN


def test_an_empty_list_of_addresses_captures_nothing() -> None:
    assert leaving(Packet(), CaptureSettings(include_outbound_cidrs=())) is RETURN


@pytest.mark.parametrize("more", [(), (ip_network("0.0.0.0/0"),)], ids=["alone", "in a wider one"])
def test_applications_reach_their_own_pod_through_the_proxy_where_loopback_is_included(
    more: tuple[Network, ...],
) -> None:
    settings = CaptureSettings(include_outbound_cidrs=(ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"), *more))
    own = Packet(interface="lo", destination=POD_IP)
    assert leaving(own, settings) is OUTBOUND
    assert leaving(dataclasses.replace(own, destination=LOOPBACK), settings) is RETURN
    assert leaving(dataclasses.replace(own, gid=PROXY), settings) is INBOUND


def test_the_proxy_may_run_as_another_user_and_group() -> None:
    settings = CaptureSettings(proxy_uid=2000, proxy_gid=2001)
    assert leaving(Packet(uid=2000), settings) is RETURN
    assert leaving(Packet(gid=2001), settings) is RETURN
    assert leaving(Packet(uid=PROXY, gid=PROXY), settings) is OUTBOUND


def test_rule_10_order_matters() -> None:
    """Behind the rule that lets the proxy's connections through, the proxy's call to its own pod would be lost."""
    rules = capture_rules(EVERYTHING, IpVersion.V4).output
    own = Packet(interface="lo", destination=POD_IP, uid=PROXY, gid=PROXY)
    passed = next(rule for rule in rules if rule.match == Match(uid=PROXY))
    reordered = (passed, *(rule for rule in rules if rule is not passed))
    assert walk(rules, own, IpVersion.V4) is INBOUND
    assert walk(reordered, own, IpVersion.V4) is RETURN


def test_rule_10_the_order_is_istios() -> None:
    settings = CaptureSettings(
        exclude_interfaces=frozenset({"eth1"}),
        exclude_outbound_ports=frozenset({25}),
        exclude_outbound_cidrs=(ip_network("10.9.0.0/16"),),
        include_outbound_ports=frozenset({443}),
        include_outbound_cidrs=(ip_network("10.0.0.0/8"),),
    )
    assert [rule.name for rule in capture_rules(settings, IpVersion.V4).output] == [
        "excluded interfaces",
        "not TCP, DNS over UDP included",
        "excluded outbound ports",
        "inbound connections on their way to the application",
        "the proxy to its own pod",
        "applications to their own pod",
        "the proxy, by its user",
        "the proxy to its own pod",
        "the proxy, by its group",
        "loopback",
        "excluded outbound addresses",
        "included outbound ports",
        "included outbound addresses",
    ]
