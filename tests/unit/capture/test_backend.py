"""Finding out what a network namespace and its machine have, from what the kernel shows."""

from pathlib import Path

import pytest

from weft_injector.capture.backend import Backend, Machine, candidates, look, tool
from weft_injector.capture.rules import IpVersion

LOOPBACK = "00000000000000000000000000000001 01 80 10 80       lo\n"
PASSTHROUGH = "00000000000000000000000000000006 01 80 00 80       lo\n"
LINK_LOCAL = "fe800000000000000000000000000001 02 40 20 80     eth0\n"
GLOBAL = "fd000000000000000000000000000005 02 40 00 80     eth0\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    return tmp_path


def test_legacy_is_last() -> None:
    assert candidates(Machine(backends=frozenset(Backend))) == (
        Backend.NFT,
        Backend.IPTABLES_NFT,
        Backend.IPTABLES_LEGACY,
    )


def test_what_is_not_installed_is_not_tried() -> None:
    assert candidates(Machine(backends=frozenset({Backend.IPTABLES_LEGACY}))) == (Backend.IPTABLES_LEGACY,)
    assert candidates(Machine(backends=frozenset())) == ()


def test_tools_are_called_by_the_name_of_their_variant() -> None:
    assert tool(Backend.IPTABLES_LEGACY, IpVersion.V6, "restore") == "ip6tables-legacy-restore"
    assert tool(Backend.IPTABLES_NFT, IpVersion.V4, "save") == "iptables-nft-save"


@pytest.mark.parametrize(
    ("addresses", "ipv6", "reachable"),
    [
        ("", False, False),
        (LOOPBACK, True, False),
        (LOOPBACK + PASSTHROUGH + LINK_LOCAL, True, False),
        (LOOPBACK + LINK_LOCAL + GLOBAL, True, True),
    ],
)
def test_ipv6_is_known_by_its_addresses(proc: Path, addresses: str, ipv6: bool, reachable: bool) -> None:
    (proc / "net/if_inet6").write_text(addresses)
    machine = look(proc)
    assert (machine.ipv6, machine.ipv6_addresses) == (ipv6, reachable)
    assert machine.versions == (tuple(IpVersion) if ipv6 else (IpVersion.V4,))


@pytest.mark.parametrize(
    ("mask", "allowed"),
    [("0000000000003000", True), ("000001ffffffffff", True), ("0000000000002000", False), ("0" * 16, False)],
)
def test_the_capability_is_read_from_the_process(proc: Path, mask: str, allowed: bool) -> None:
    (proc / "status").write_text(f"Name:\tweft\nCapPrm:\t000001ffffffffff\nCapEff:\t{mask}\n")
    assert look(proc).net_admin is allowed


def test_legacy_tables_are_seen_without_loading_them(proc: Path) -> None:
    assert look(proc).legacy == frozenset()
    (proc / "net/ip_tables_names").write_text("filter\nnat\n")
    (proc / "net/ip6_tables_names").write_text("filter\n")
    assert look(proc).legacy == {IpVersion.V4}
