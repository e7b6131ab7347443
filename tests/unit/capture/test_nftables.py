"""The script for `nft -f`. That nft takes it, and what it does then, is shown in tests/capture."""

from ipaddress import ip_network

from weft_injector.capture.nftables import has_table, render, render_cleanup
from weft_injector.capture.rules import IpVersion
from weft_injector.capture.settings import CaptureSettings


def lines(settings: CaptureSettings, version: IpVersion = IpVersion.V4) -> list[str]:
    return [line.strip().partition(" comment ")[0] for line in render(settings, [version]).splitlines()]


def test_the_whole_of_istios_defaults() -> None:
    assert lines(CaptureSettings()) == [
        "add table ip weft_capture",
        "delete table ip weft_capture",
        "table ip weft_capture {",
        "chain prerouting {",
        "type nat hook prerouting priority -100; policy accept;",
        "meta l4proto != tcp return",
        "tcp dport { 15008, 15020, 15021, 15090 } return",
        "meta l4proto tcp redirect to :15006",
        "}",
        "chain output {",
        "type nat hook output priority -100; policy accept;",
        "meta l4proto != tcp return",
        'oifname "lo" ip saddr 127.0.0.6 return',
        'oifname "lo" ip daddr != 127.0.0.1 tcp dport != 15008 meta skuid 1337 meta l4proto tcp redirect to :15006',
        'oifname "lo" meta skuid != 1337 return',
        "meta skuid 1337 return",
        'oifname "lo" ip daddr != 127.0.0.1 tcp dport != 15008 meta skgid 1337 meta l4proto tcp redirect to :15006',
        "meta skgid 1337 return",
        "ip daddr 127.0.0.1 return",
        "meta l4proto tcp redirect to :15001",
        "}",
        "}",
    ]


def test_both_ip_versions_have_a_table_each() -> None:
    v4, v6 = render(CaptureSettings(), [IpVersion.V4]), render(CaptureSettings(), [IpVersion.V6])
    assert render(CaptureSettings()) == f"{v4}\n{v6}"
    own = 'oifname "lo" ip6 daddr != ::1 tcp dport != 15008 meta skuid 1337 meta l4proto tcp redirect to :15006'
    assert own in lines(CaptureSettings(), IpVersion.V6)
    assert 'oifname "lo" ip6 saddr ::6 return' in lines(CaptureSettings(), IpVersion.V6)


def test_every_rule_says_what_it_is_there_for() -> None:
    script = render(CaptureSettings(), [IpVersion.V4])
    assert '    meta skgid 1337 return comment "the proxy, by its group"\n' in script


def test_sets_are_sorted_and_their_intervals_do_not_overlap() -> None:
    settings = CaptureSettings(
        include_outbound_cidrs=tuple(map(ip_network, ("192.168.0.0/16", "10.1.0.0/16", "fd00::/8", "10.0.0.0/8"))),
        exclude_outbound_cidrs=(ip_network("169.254.169.254/32"),),
        exclude_interfaces=frozenset({"net1", "eth1"}),
        exclude_inbound_ports=frozenset({9091, 22}),
    )
    v4 = lines(settings)
    assert "ip daddr { 10.0.0.0/8, 192.168.0.0/16 } meta l4proto tcp redirect to :15001" in v4
    assert "ip daddr 169.254.169.254 return" in v4
    assert 'iifname { "eth1", "net1" } return' in v4
    assert 'oifname { "eth1", "net1" } return' in v4
    assert "tcp dport { 22, 9091 } return" in v4
    assert "ip6 daddr fd00::/8 meta l4proto tcp redirect to :15001" in lines(settings, IpVersion.V6)


def test_equal_settings_give_equal_text() -> None:
    some, same = (
        CaptureSettings(
            exclude_outbound_ports=frozenset(ports),
            exclude_outbound_cidrs=tuple(map(ip_network, cidrs)),
        )
        for ports, cidrs in (((1, 65535, 80), ("10.0.0.0/8", "fd00::/8")), ((80, 1, 65535), ("fd00::/8", "10.0.0.0/8")))
    )
    assert render(some) == render(same)


def test_cleaning_up_succeeds_whether_or_not_there_is_a_table() -> None:
    assert render_cleanup([IpVersion.V6]) == "add table ip6 weft_capture\ndelete table ip6 weft_capture\n"
    assert render(CaptureSettings(), [IpVersion.V6]).startswith(render_cleanup([IpVersion.V6]))


def test_our_table_is_known_by_its_name() -> None:
    assert has_table("table ip nat\ntable ip6 weft_capture\n")
    assert not has_table("table ip weft_capture_of_others\ntable inet weft\n")
